"""Seeded hostile input for everything that reads bytes which others wrote.

``seeds`` is what the exchange really sends, ``mutations`` spoils it, ``readers`` feeds it and says whether a reader
and its judge disagree. ``python -m fuzz`` runs many blocks; ``tests/test_fuzz.py`` runs a few in each test run.
"""
