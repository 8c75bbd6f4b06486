"""From the `[data]` table of a config to arrays ready to train on: task, split and standardisation. All on the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.csv_table import read_csv
from jmc.train.npz_table import read_npz
from jmc.train.tables import DataError, Table, Task, read_shipped

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64

    from jmc.train.config import DataConfig

__all__ = ["DataError", "Dataset", "load"]

CLASS_LIMIT = 20
"""The most distinct values a target may have to be taken for classes unasked."""

READERS = {".csv": read_csv, ".npz": read_npz}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and validation examples, standardised as asked, and what maps them back to the units of the data.

    A feature in its own unit is `X * feature_scale + feature_mean`, a regression target `y * target_scale + target_mean`;
    what was not standardised has mean 0 and scale 1. In classification y indexes `class_names`, which is else empty.
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

    @property
    def n_features(self) -> int:
        return len(self.feature_names)

    @property
    def n_classes(self) -> int:
        """The number of classes, 0 in regression."""
        return len(self.class_names)


def load(config: DataConfig, base: Path) -> Dataset:
    """Reads, splits and standardises the data that `config` names; a relative path is sought in `base` first.

    - **Task.** Unless `config.task` says, text and whole numbers (booleans, too) are classes if they take 2 to 20 distinct
      values in more rows than that, and any other numbers a regression target. Classes are sorted: text by code
      points, numbers by value.
    - **Split.** A permutation seeded by `config.seed` orders the rows, and the first `validation_fraction` of them
      (rounded) is held out; in classification, of each class by itself, so that both parts have its share of each class.
    - **Standardisation.** Mean and standard deviation are those of the training part; a constant column has scale 1.

    Raises DataError if the data cannot be read or do not suit the config.
    """
    table = _read(config, base)
    task, y, class_names = _decide(table, config.task)
    if config.standardize_target and task == "classification":
        raise DataError(f"`data.standardize_target` must be false for classes, but got true for `{table.target_name}`")
    train, valid = _split(y if class_names else np.zeros(len(y), np.int64), config.validation_fraction, config.seed)
    lost = np.setdiff1d(y, y[train]) if class_names else y[: len(train) == 0]
    ...
