"""Filters of regime and variance."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

def exponential(x: float) -> float:
    """Return e to a power up to 709 by the filters' own series, 0 below -708."""

@final
class HmmFilter:
    """Forward filter of a hidden Markov model with Gaussian features, and the regime that it holds."""

    def __init__(
        self,
        start: Sequence[float],
        transition: Sequence[Sequence[float]],
        means: Sequence[Sequence[float]],
        variances: Sequence[Sequence[float]],
        enter: float = 0.7,
        dwell: int = 5,
    ) -> None: ...
    def push(self, features: Sequence[float]) -> None:
        """Take the features of the next bar."""

    def run(self, features: ArrayLike) -> NDArray[np.float64]:
        """Take the features of many bars, n x D; return the posteriors after each, n x K."""

    @property
    def posterior(self) -> tuple[float, ...]:
        """Probability of each state at the last bar, given the bars so far."""

    @property
    def regime(self) -> int:
        """State that the model is held to be in."""

    @property
    def age(self) -> int:
        """Bars since the regime began."""

    @property
    def confidence(self) -> float:
        """Posterior of the regime."""

    @property
    def bars(self) -> int:
        """Bars seen."""

    @property
    def blind(self) -> int:
        """Bars among them whose features said nothing."""

    @property
    def log_likelihood(self) -> float:
        """Log likelihood of the features so far; for reading only, its logarithm is the library's."""

    def state(self) -> dict[str, Any]:
        """Return everything that the filter knows, for the state hash."""

@final
class GarchFilter:
    """One-step variance filter of GARCH(1, 1), with a leverage term (GJR)."""

    @property
    def omega(self) -> float:
        """Constant of the recursion."""

    @property
    def alpha(self) -> float:
        """Weight of a squared surprise."""

    @property
    def gamma(self) -> float:
        """Weight added after a fall."""

    @property
    def beta(self) -> float:
        """Weight of the variance before."""

    @property
    def mean(self) -> float:
        """Mean of the values."""

    @property
    def persistence(self) -> float:
        """Share of a shock to the variance that is left a step later."""

    @property
    def variance(self) -> float:
        """Variance of the next value."""

    @property
    def count(self) -> int:
        """Values seen."""

    @property
    def blind(self) -> int:
        """Values among them that said nothing."""

    @property
    def long_run(self) -> float:
        """Variance to which every forecast tends."""

    def __init__(
        self,
        omega: float,
        alpha: float,
        beta: float,
        gamma: float = 0.0,
        mean: float = 0.0,
        variance: float | None = None,
    ) -> None: ...
    def push(self, value: float) -> None:
        """Take the next value."""

    def forecast(self, steps: int = 1) -> float:
        """Return the variance expected of the value so many steps ahead, from 1."""

    def total(self, steps: int) -> float:
        """Return the variance expected of the sum of the next values."""

    def state(self) -> tuple[float, ...]:
        """Return everything that the filter knows, for the state hash."""
