"""How often something may be tried: so many times in any window, and later after each failure.

Knows counts and delays. Refuses to know what is tried, and the time: it is told.
"""

from __future__ import annotations

from collections import deque
from random import Random

__all__ = ["Backoff", "Pace"]


class Pace:
    """A bound on how often something happens, in any window of time.

    Parameters
    ----------
    limits : (int, float)
        At most so many in any so many seconds.
    """

    def __init__(self, *limits: tuple[int, float]) -> None:
        self._windows = [(deque[float](maxlen=count), seconds) for count, seconds in limits]

    def take(self, now_s: float) -> float:
        """Take the next turn; return the seconds from now until it comes."""
        turn = now_s
        for taken, seconds in self._windows:
            if len(taken) == taken.maxlen:
                turn = max(turn, taken[0] + seconds)
        for taken, _ in self._windows:
            taken.append(turn)
        return turn - now_s


class Backoff:
    """Delays that double with each failure up to a cap, each drawn between half of it and all of it.

    Parameters
    ----------
    first_s : float
        Longest delay of the first try.
    cap_s : float
        Longest delay of any.
    random : Random
    """

    def __init__(self, first_s: float, cap_s: float, random: Random) -> None:
        self._first_s, self._cap_s, self._random = first_s, cap_s, random
        self.failures = 0

    def next_s(self) -> float:
        """Return the seconds to wait before the next try, and count it as one that fails until `reset`."""
        longest = min(self._cap_s, self._first_s * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return longest * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew: the last try was good."""
        self.failures = 0
