"""The examples of a run, on the host and ready to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.tables import DataError, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64, Int64

    from jmc.train.data.stream import Stream

CLASS_LIMIT = 20
"""The most distinct values a target may have to be taken for classes unasked."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and validation examples, standardised as asked, and the way back to the units of the data.

    Features in their own units are `X * feature_scale + feature_mean`, and a regression target is
    `y * target_scale + target_mean`; what was not standardised has mean 0 and scale 1. In classification y
    holds indices into `class_names`, which is empty in regression. Where there is a `stream`, it has all the
    examples, and the four arrays hold samples of the two parts.
    """

    name: str
    task: Task
    feature_names: tuple[str, ...]
    target_name: str
    class_names: tuple[str, ...]
    X_train: Float64[np.ndarray, "N d"]
    y_train: Float64[np.ndarray, " N"] | Int64[np.ndarray, " N"]
    X_valid: Float64[np.ndarray, "M d"]
    y_valid: Float64[np.ndarray, " M"] | Int64[np.ndarray, " M"]
    feature_mean: Float64[np.ndarray, " d"]
    feature_scale: Float64[np.ndarray, " d"]
    target_mean: float
    target_scale: float
    stream: Stream | None = None

    @property
    def n_features(self) -> int:
        return len(self.feature_names)

    @property
    def n_classes(self) -> int:
        """The number of classes, 0 in regression."""
        return len(self.class_names)

    @property
    def n_training(self) -> int:
        return len(self.y_train) if self.stream is None else self.stream.training

    @property
    def n_validation(self) -> int:
        return len(self.y_valid) if self.stream is None else self.stream.validation

    def extremes(self) -> dict[str, float]:
        """The largest magnitude of each feature and of the target, as they are trained on."""
        if self.stream is not None:
            return dict(zip((*self.feature_names, self.target_name), self.stream.extremes.tolist(), strict=True))
        columns = [*np.concatenate([self.X_train, self.X_valid]).T, np.concatenate([self.y_train, self.y_valid])]
        return {
            name: float(np.max(np.abs(column)))
            for name, column in zip((*self.feature_names, self.target_name), columns, strict=True)
        }


def decide(
    values: Sequence[str] | np.ndarray, rows: int, task: Task | None, target_name: str
) -> tuple[Task, tuple[str, ...]]:
    """The task, and the names of the classes if it is one of classes, none in regression.

    ``values`` are the distinct values of the target, sorted: text, numbers or truth values. Raises DataError where
    they do not suit ``task``.
    """
    values = np.asarray(values)
    is_text = values.dtype.kind in "OU"
    whole = is_text or bool(np.all(values == np.floor(values)))
    few = 2 <= len(values) <= min(CLASS_LIMIT, rows - 1)
    task = task or ("classification" if whole and few else "regression")
    what = f"the target `{target_name}`"
    if task == "regression":
        if is_text:
            held = f"text, {len(values)} distinct in {rows} rows"
            raise DataError(f'{what} must hold numbers unless `data.task` is "classification", but got {held}')
        return task, ()
    if not whole:
        part = values[values != np.floor(values)][0]
        raise DataError(f"{what} must hold whole numbers or text for classification, but got {part}")
    as_written = is_text or values.dtype.kind == "b"
    names = [str(value if as_written else int(value)) for value in values]
    if len(names) < 2:
        raise DataError(f"{what} must hold two classes or more, but got {names[0]!r} in every row")
    return task, tuple(names)
