"""Hot mode: the loop never sleeps, and its thread keeps one processor for itself.

Knows how a loop is kept awake and how a thread chooses its processor. Refuses to know what the loop does meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from autotrader.errors import OperatorError
from autotrader.messages import say

__all__ = ["LAST", "Awake", "hot"]

LAST: Final = -1


@contextmanager
def hot(loop: asyncio.AbstractEventLoop, core: int = LAST) -> Iterator[Awake]:
    """Keep a loop awake, its thread on one processor; to be entered in that thread.

    Parameters
    ----------
    loop : AbstractEventLoop
    core : int, optional
        Number of a processor that this process may use; by default the last of them.

    Yields
    ------
    Awake
        What keeps it awake.

    Raises
    ------
    OperatorError
        If the process may not use that processor, or the system lets no thread choose.

    Notes
    -----
    A loop that waits is woken by the system, which costs more than most of what stands between a message and its order.
    One that always has something to do asks for what has come and does not wait. Threads begin where the thread that
    begins them may run; those of the loop's executor go to the other processors, if there are any.
    """
    before = _pinned(core)
    if before:
        elsewhere = before - os.sched_getaffinity(threading.get_native_id()) or before
        loop.set_default_executor(ThreadPoolExecutor(initializer=_go, initargs=(elsewhere,)))
    awake = Awake(loop)
    try:
        yield awake
    finally:
        awake.end()
        if before:
            _go(before)


class Awake:
    """What keeps a loop awake: whatever has come is taken before the same turn comes round again.

    Parameters
    ----------
    loop : AbstractEventLoop

    Attributes
    ----------
    turn : callable
        Called once a turn; what it raises is the loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.turn: Callable[[], None] = _rest
        self._handle = loop.call_soon(self._again)

    def _again(self) -> None:
        self._handle = self._loop.call_soon(self._again)
        self.turn()

    def rest(self) -> None:
        """Do nothing more in its turns."""
        self.turn = _rest

    def end(self) -> None:
        """Let it sleep."""
        self._handle.cancel()


def _rest() -> None:
    """Do nothing."""


def _pinned(core: int) -> set[int]:
    # Where this thread might run before; nothing where it was left alone.
    if not hasattr(os, "sched_setaffinity"):
        if core == LAST:
            return set()
        raise OperatorError(say("hot.no_choice", core=core))
    allowed = os.sched_getaffinity(threading.get_native_id())
    if core != LAST and core not in allowed:
        raise OperatorError(say("hot.core", core=core, allowed=", ".join(map(str, sorted(allowed)))))
    _go({max(allowed) if core == LAST else core})
    return allowed


def _go(cores: set[int]) -> None:
    os.sched_setaffinity(threading.get_native_id(), cores)
