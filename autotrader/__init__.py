"""Risk-first automated trading of Binance USDT-margined perpetual futures; knows only its own version."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("autotrader")
except PackageNotFoundError:  # a checkout that was built in place has no metadata
    __version__ = "0+checkout"
