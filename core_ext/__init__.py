"""The compiled core: one deterministic engine and the nouns it is made of.

It knows nothing of the layers above it, owns no socket and no file but the journal, and
reads no clock but for latency statistics.
"""
