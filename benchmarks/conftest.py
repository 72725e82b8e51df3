import pytest

from benchmarks.recording import FIVE, Bars, Stream, bars
from benchmarks.recording import stream as recorded


@pytest.fixture(scope="session")
def stream() -> Stream:
    """The L2 recording."""
    return recorded()


@pytest.fixture(scope="session")
def history() -> Bars:
    """Candles of five symbols."""
    return bars(*FIVE)
