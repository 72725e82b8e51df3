"""The live run."""

from collections.abc import Callable, Iterable
from typing import final

import numpy as np
from numpy.typing import NDArray

from core_ext.driver import Run
from core_ext.engine import Engine
from core_ext.journal import JournalWriter
from core_ext.types import Status
from core_ext.wire import Request, Scanner

@final
class Live(Run):
    """A run on a wire."""

    send: Callable[[list[Request]], None]

    @property
    def failure(self) -> OSError | None:
        """What the journal failed of, None while it has not."""

    @property
    def next_due(self) -> int | None:
        """Stamp of the next wake-up, ns; None while nothing waits."""

    def __init__(
        self,
        engine: Engine,
        scanner: Scanner,
        journal: JournalWriter,
        send: Callable[[list[Request]], None],
        sample_ns: int,
    ) -> None: ...
    def message(self, payload: bytes, ts: int) -> Status:
        """Feed one market message, and let what it leads to leave."""

    def tell(self, rows: NDArray[np.void]) -> None:
        """Feed rows that no market stream brings: answers, account events, rules of symbols, gates."""

    def control(self, kind: int, ts: int, words: Iterable[int] = (), symbol: int = 0) -> None:
        """Put an event that neither market nor venue brings (RUN, COMMAND, GATE) into the stream."""

    def wake(self, ts: int) -> None:
        """Let time pass: deliver the wake-ups that are due."""

    def finish(self) -> bytes:
        """Seal the journal with the state's hash; return it."""
