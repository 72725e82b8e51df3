"""The dead man's switch: the exchange cancels a symbol's ordinary orders if it does not hear from us for two minutes.

Knows for which symbols the timer runs and when it is set again. Refuses to know which orders there are, and conditional
orders: they protect a position, and the timer leaves them alone.

While we live no timer runs out: a symbol without open orders has its timer ended at the next beat, since an order that
came later would be cancelled by it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NoReturn

from autotrader.errors import AutotraderError
from autotrader.messages import say

__all__ = ["BEAT_S", "TIMER_MS", "DeadMan"]

TIMER_MS: Final = 120_000
BEAT_S: Final = 30.0
LOOKS: Final = 30
"""How often within a beat it is looked for symbols that have orders now, and tried again where it failed."""


class DeadMan:
    """A timer for each symbol with open orders, set again and again.

    Parameters
    ----------
    set_timer : callable
        Sets a symbol's timer at the exchange, ms; 0 ends it. `rest.Rest.countdown_cancel_all`.
    open_symbols : callable
        Returns the symbols that have open ordinary orders now.
    told : callable
        Told (alert, text): ``DEAD_MAN_FAILED`` once when a symbol's timer could not be set or ended, ``DEAD_MAN_WORKS``
        when it could again.
    timer_ms : int, optional
    beat_s : float, optional
        Time between two settings; less than half of the timer, so that one may fail.

    Attributes
    ----------
    armed : set of str
        Symbols whose timer may be running.

    Raises
    ------
    ValueError
        If the timer would run out between two beats.

    Notes
    -----
    Setting a timer weighs 10: twenty-five symbols weigh 500 a minute.
    """

    def __init__(
        self,
        set_timer: Callable[[str, int], Awaitable[object]],
        open_symbols: Callable[[], Collection[str]],
        told: Callable[[str, str], None],
        timer_ms: int = TIMER_MS,
        beat_s: float = BEAT_S,
    ) -> None:
        if not 0 < 2000 * beat_s < timer_ms:
            raise ValueError(f"a timer of {timer_ms} ms would run out between beats of {beat_s:g} s")
        self._set_timer, self._open_symbols, self._told = set_timer, open_symbols, told
        self._timer_ms, self._beat_s = timer_ms, beat_s
        self.armed: set[str] = set()
        self._failing: set[str] = set()

    async def run(self) -> NoReturn:
        """Set the timers, now and for ever; `stop` ends them when this has been cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due_s = loop.time() + self._beat_s
            wanted = set(self._open_symbols())
            await self._set(wanted, self._timer_ms)
            await self._set(self.armed - wanted, 0)
            while loop.time() < due_s:
                await asyncio.sleep(self._beat_s / LOOKS)
                await self._set(self._late(), self._timer_ms)

    async def stop(self) -> None:
        """End every timer: a clean end leaves its orders as they are."""
        await self._set(set(self.armed), 0)

    def _late(self) -> set[str]:
        # Those with orders whose timer does not run, or may not.
        wanted = set(self._open_symbols())
        return wanted & (self._failing | (wanted - self.armed))

    async def _set(self, symbols: Collection[str], timer_ms: int) -> None:
        await asyncio.gather(*(self._one(symbol, timer_ms) for symbol in sorted(symbols)))

    async def _one(self, symbol: str, timer_ms: int) -> None:
        self.armed.add(symbol)  # an answer that is lost leaves a timer that may run
        try:
            await self._set_timer(symbol, timer_ms)
        except AutotraderError as error:
            if symbol not in self._failing:
                self._failing.add(symbol)
                self._told("DEAD_MAN_FAILED", say("dead_man.failed", symbol=symbol, reason=str(error)))
            return
        if not timer_ms:
            self.armed.discard(symbol)
        if symbol in self._failing:
            self._failing.discard(symbol)
            self._told("DEAD_MAN_WORKS", say("dead_man.works", symbol=symbol))
