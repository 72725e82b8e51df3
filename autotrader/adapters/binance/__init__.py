"""Binance USDT-margined futures over the wire: hosts, paths, streams and payloads."""
