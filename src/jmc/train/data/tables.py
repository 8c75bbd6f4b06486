"""A table of features and a target, as it was read, and what its readers share.

A reader returns a `RawTable` or raises a `DataError` that says where the fault is. Features are always finite
numbers; the target may also be text. What becomes of the table is decided in `jmc.train.data.loading`.
"""

from __future__ import annotations

import difflib
import math
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jaxtyping import Float64, Num

Task = Literal["regression", "classification"]

SHIPPED_TARGETS = {
    "diabetes": "disease progression",
    "breast_cancer": "diagnosis",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}


class DataError(ValueError):
    """Data that cannot be trained on; the message is one line that names the place and the requirement."""


@dataclass(frozen=True, eq=False)
class RawTable:
    """One row per example: features that are finite, and a target of finite numbers or of trimmed text."""

    name: str
    feature_names: tuple[str, ...]
    X: Float64[np.ndarray, "N d"]
    target_name: str
    target: Num[np.ndarray, " N"] | list[str]


def read_shipped(name: str, features: Sequence[str] | None, target: str | None, task: Task | None) -> RawTable:
    """Reads a set that scikit-learn ships, in the units it was measured in; nothing is downloaded.

    Raises DataError for an unknown set or feature name, and for any `target`, since each set has its own.
    """
    from sklearn import datasets

    if name not in SHIPPED_TARGETS:
        known = f"among {listing(SHIPPED_TARGETS)}"
        raise DataError(f"`data.name` must be {known}, but got {name!r}{nearest(name, SHIPPED_TARGETS)}")
    if target is not None:
        own = f"whose target is `{SHIPPED_TARGETS[name]}`"
        raise DataError(f"`data.target` must be left out for {name}, {own}, but got {target!r}")
    # scikit-learn's own scaling of diabetes would let the validation rows into the standardisation.
    bunch = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    columns = [str(column) for column in bunch.feature_names]
    features = columns if features is None else features
    check_features(features, SHIPPED_TARGETS[name], name)
    picked = pick(features, columns, "data.features", name)
    y = bunch.target
    if "target_names" in bunch:
        y = read_target([str(bunch.target_names[index]) for index in y], task, lambda _: f"{name}: target")
    return RawTable(name, tuple(features), bunch.data[:, picked].astype(np.float64), SHIPPED_TARGETS[name], y)


def pick(wanted: Sequence[str], names: Sequence[str], key: str, where: str) -> list[int]:
    """The position of each of the `wanted` names among `names`; raises DataError for a name not there."""
    for name in wanted:
        if name not in names:
            known = f"must be among {listing(names)}"
            raise DataError(f"{where}: `{key}` {known}, but got {name!r}{nearest(name, names)}")
    return [names.index(name) for name in wanted]


def check_features(features: Sequence[str], target: str, where: str) -> None:
    """Raises DataError if there are no features, one is named twice, or the target is one of them."""
    if not features:
        raise DataError(f"{where}: `data.features` must name a column besides {target!r}, but got none")
    if target in features:
        raise DataError(f"{where}: `data.features` must not hold the target, but got {target!r}")
    if len(set(features)) < len(features):
        twice = next(name for name in features if features.count(name) > 1)
        raise DataError(f"{where}: `data.features` must name each column once, but got {twice!r} twice")


def read_numbers(cells: Sequence[str], place: Callable[[int], str]) -> Float64[np.ndarray, " N"]:
    """The cells as finite numbers; raises DataError at `place(row)` of the first cell that is not one."""
    values = _all_finite(cells)
    if values is None:
        row = next(row for row, cell in enumerate(cells) if _all_finite([cell]) is None)
        raise DataError(f"{place(row)}: must be a finite number, but got {_shown(cells[row])}")
    return values


def read_target(
    cells: Sequence[str], task: Task | None, place: Callable[[int], str]
) -> Float64[np.ndarray, " N"] | list[str]:
    """The cells as finite numbers if all of them are, else as text, without the blanks around them.

    Text among numbers is more often a slip than a class, so only `task` "classification" accepts it. Raises
    DataError at `place(row)` of the first cell that is empty, NaN or infinite, or text where a number is due.
    """
    values = _all_finite(cells)
    if values is not None:
        return values
    for row, cell in enumerate(cells):
        if not cell.strip() or not math.isfinite(_number(cell) or 0.0):
            raise DataError(f"{place(row)}: must be a finite number or text, but got {_shown(cell)}")
    is_text = [_number(cell) is None for cell in cells]
    if task == "regression" or (task is None and not all(is_text)):
        row = is_text.index(True)
        unless = "for regression" if task else 'like others here, unless `data.task` is "classification"'
        raise DataError(f"{place(row)}: must be a number {unless}, but got {_shown(cells[row])}")
    return [cell.strip() for cell in cells]


def nearest(name: str, names: Iterable[str]) -> str:
    """What a message about an unknown `name` ends in: the most similar of `names`, if one is similar."""
    return "".join(f"; did you mean {match!r}?" for match in difflib.get_close_matches(name, names, n=1))


def listing(names: Iterable[str]) -> str:
    """The names for a message, a long list shortened."""
    names = [repr(name) for name in names]
    return ", ".join(names if len(names) <= 12 else [*names[:10], f"… ({len(names)} in all)"])


def _all_finite(cells: Sequence[str]) -> Float64[np.ndarray, " N"] | None:
    """The cells as numbers, parsed in one go, or None if one of them is not a finite number."""
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    # `float` takes 2024_01 for 202401; in a table it is more likely a date or a code.
    return values if np.isfinite(values).all() and "_" not in "".join(cells) else None


def _number(cell: str) -> float | None:
    """The cell as a number, finite or not, or None if it is text."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def _shown(cell: str) -> str:
    return reprlib.repr(cell) if cell.strip() else "an empty cell"
