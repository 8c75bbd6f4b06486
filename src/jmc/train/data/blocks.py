"""A table too large to load: it is read in blocks of consecutive rows, each by itself, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.tables import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jaxtyping import Float64, Int64, Num, Shaped


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where the rows of a table are, and how to read them.

    Attributes:
        starts: the first row of each block, and last the number of rows.
        read: the features (n, d) of the block of an index, real numbers, and the target (n,), numbers or text; raises
            DataError for what is neither, and OSError. Threads may call it at the same time.
    """

    path: Path
    feature_names: tuple[str, ...]
    target_name: str
    starts: Int64[np.ndarray, " blocks+1"]
    read: Callable[[int], tuple[Num[np.ndarray, "n d"], Shaped[np.ndarray, " n"]]]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        return int(self.starts[-1])

    def checked(self, block: int) -> tuple[Float64[np.ndarray, "n d"], Shaped[np.ndarray, " n"]]:
        """The block's features in float64 and its target; raises DataError at a number that is not finite."""
        return self.check(block, *self.read(block))

    def check(
        self, block: int, X: Num[np.ndarray, "n d"], y: Shaped[np.ndarray, " n"]
    ) -> tuple[Float64[np.ndarray, "n d"], Shaped[np.ndarray, " n"]]:
        """The same of what was read."""
        with np.errstate(over="ignore"):  # a long double may be too large; it is then refused as infinite
            X = X.astype(np.float64, copy=False)
        y = y if y.dtype.kind in "OU" else y.astype(np.float64)
        for values, names in ((X, self.feature_names), (y, (self.target_name,))):
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                row, column = np.argwhere(~np.isfinite(values.reshape(len(values), len(names))))[0]
                value = values.reshape(len(values), len(names))[row, column]
                place = f"row {self.starts[block] + row} of `{names[column]}`"
                raise DataError(f"{self.path}: {place} must be finite, but got {value}")
        if y.dtype.kind in "OU" and np.any(empty := y == ""):
            row = self.starts[block] + int(np.argmax(empty))
            raise DataError(f"{self.path}: row {row} of `{self.target_name}` must hold text, but got an empty one")
        return X, y
