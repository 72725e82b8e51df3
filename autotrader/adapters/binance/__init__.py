"""Binance USDT-margined futures over the wire: hosts, paths, streams and payloads, and what they mean to the core.

Leaves are pure; whoever connects stands at the edge.
"""
