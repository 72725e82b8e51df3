"""Binance USDT-margined futures: hosts, paths and payloads, and what they mean to the core.

Leaves are pure; whoever connects stands at the edge.
"""
