"""Binance USDT-margined futures as a client meets them: hosts, paths, streams, payloads, limits and refusals.

Knows how the exchange is asked and listened to, and what its answers mean. Refuses to know what should be traded, and
why.
"""
