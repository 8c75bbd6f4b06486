"""How good predictions are, in the data's own terms."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from jmc.train.data.moments import Moments, combined, moments

METRICS = {"regression": ("loss", "r2", "rmse", "mae"), "classification": ("loss", "accuracy")}
"""The objective and the figures of each task, by the names they have in the rows of metrics."""


@dataclass(frozen=True)
class Totals:
    """What the metrics of some examples follow from; the totals of two parts add up to those of both.

    Attributes:
        targets: the moments of y, in regression.
        squares, absolute: Σ(y − a)² and Σ|y − a|, in regression.
        right: the number of examples whose class is predicted, in classification.
    """

    count: int
    targets: Moments | None = None
    squares: float = 0.0
    absolute: float = 0.0
    right: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        targets = self.targets or other.targets
        if self.targets and other.targets:
            targets = combined(self.targets, other.targets)
        return Totals(
            self.count + other.count,
            targets,
            self.squares + other.squares,
            self.absolute + other.absolute,
            self.right + other.right,
        )

    def metrics(self) -> dict[str, float]:
        """R² = 1 − Σ(y − a)²/Σ(y − ȳ)², nan where all targets are equal, RMSE and MAE in the target's unit; or the
        accuracy.
        """
        if self.targets is None:
            return {"accuracy": self.right / self.count}
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the predictions of a model that diverges
            spread = float(self.targets.squares[0])
            varied = spread > 0 and not self.targets.constant[0]
            return {
                "r2": float(1 - np.float64(self.squares) / spread) if varied else float("nan"),
                "rmse": float(np.sqrt(self.squares / self.count)),
                "mae": self.absolute / self.count,
            }


def totals(task: str, y: Shaped[np.ndarray, " N"], prediction: Shaped[np.ndarray, " N"]) -> Totals:
    """Of targets and predictions in the data's own terms: values, or indices of classes."""
    if task == "classification":
        return Totals(len(y), right=int(np.sum(y == prediction)))
    with np.errstate(over="ignore", invalid="ignore"):
        residual = y - prediction
        squares, absolute = float(np.sum(residual**2)), float(np.sum(np.abs(residual)))
    return Totals(len(y), moments(np.asarray(y, np.float64)[:, None]), squares, absolute)


def metrics(task: str, y: Shaped[np.ndarray, " N"], prediction: Shaped[np.ndarray, " N"]) -> dict[str, float]:
    """R², RMSE and MAE of a regression, in the target's unit; the accuracy of a classification."""
    return totals(task, y, prediction).metrics()
