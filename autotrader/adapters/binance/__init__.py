"""Binance USDT-margined futures as a client meets them: hosts, paths, payloads, limits, refusals, streams and time.

Knows how the exchange is asked, listened to, and what its answers mean. Refuses to know what should be traded, and why.
"""
