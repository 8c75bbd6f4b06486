"""How good predictions are, in the data's own terms."""

import numpy as np
from jaxtyping import Float, Int, Shaped

METRICS = {"regression": ("loss", "r2", "rmse", "mae"), "classification": ("loss", "accuracy")}
"""The objective and the figures of each task, by the names they have in the rows of metrics."""


def metrics(task: str, y: Shaped[np.ndarray, " N"], prediction: Shaped[np.ndarray, " N"]) -> dict[str, float]:
    """R², RMSE and MAE of a regression, in the target's unit; the accuracy of a classification."""
    return classification(y, prediction) if task == "classification" else regression(y, prediction)


def regression(y: Float[np.ndarray, " N"], prediction: Float[np.ndarray, " N"]) -> dict[str, float]:
    """R² = 1 − Σ(y − a)²/Σ(y − ȳ)², nan where all targets are equal; RMSE; MAE."""
    with np.errstate(over="ignore", invalid="ignore"):  # the predictions of a model that diverges
        residual = y - prediction
        squares, spread = np.sum(residual**2), np.sum((y - np.mean(y)) ** 2)
        return {
            "r2": float(1 - squares / spread) if spread > 0 else float("nan"),
            "rmse": float(np.sqrt(np.mean(residual**2))),
            "mae": float(np.mean(np.abs(residual))),
        }


def classification(y: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"]) -> dict[str, float]:
    """The share of examples whose class is predicted."""
    return {"accuracy": float(np.mean(y == prediction))}
