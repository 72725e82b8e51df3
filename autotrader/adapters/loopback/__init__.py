"""The exchange on loopback: the wire protocol of Binance USDT-M futures in front of the simulated venue.

Knows how the exchange speaks: its requests, streams, limits, signatures and errors. Refuses to know how an order is
matched, what a position needs and when it is liquidated: that is `core_ext.exchange`.
"""
