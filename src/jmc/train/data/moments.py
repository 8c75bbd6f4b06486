"""Mean and spread of columns in one pass over blocks of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64


@dataclass(frozen=True, eq=False)
class Moments:
    """Of ``count`` rows, by column: the mean, the sum of squared deviations from it, the extreme values."""

    count: int
    mean: Float64[np.ndarray, " d"]
    squares: Float64[np.ndarray, " d"]
    least: Float64[np.ndarray, " d"]
    largest: Float64[np.ndarray, " d"]

    @property
    def constant(self) -> np.ndarray:
        """Which columns have one value only."""
        return self.least == self.largest

    @property
    def deviation(self) -> Float64[np.ndarray, " d"]:
        """√(squares / count), of a constant column 0."""
        with np.errstate(invalid="ignore", over="ignore"):
            return np.where(self.constant, 0.0, np.sqrt(self.squares / max(self.count, 1)))


def moments(values: Float64[np.ndarray, "N d"]) -> Moments:
    """Of the rows of a block, of which there may be none."""
    count, columns = values.shape
    if not count:
        return Moments(0, np.zeros(columns), np.zeros(columns), np.full(columns, np.inf), np.full(columns, -np.inf))
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow shows in the result
        mean = values.mean(axis=0)
        squares = np.square(values - mean).sum(axis=0)
    return Moments(count, mean, squares, values.min(axis=0), values.max(axis=0))


def combined(a: Moments, b: Moments) -> Moments:
    """Of the rows of both together, by the pairwise update of Chan, Golub and LeVeque (1983).

    It is stable: with δ the difference of the means, Σ(x − x̄)² = Σ_a + Σ_b + δ² n_a n_b / (n_a + n_b), where no
    large sums are subtracted from each other.
    """
    if not a.count or not b.count:
        return a if a.count else b
    count = a.count + b.count
    with np.errstate(over="ignore", invalid="ignore"):
        difference = b.mean - a.mean
        mean = a.mean + difference * (b.count / count)
        squares = a.squares + b.squares + np.square(difference) * (a.count / count * b.count)
    least, largest = np.minimum(a.least, b.least), np.maximum(a.largest, b.largest)
    return Moments(count, np.where(least == largest, least, mean), squares, least, largest)
