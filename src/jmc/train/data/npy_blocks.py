"""Blocks of the rows of `.npy` files, memory-mapped one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.blocks import Blocks
from jmc.train.data.tables import DataError, check_features, pick

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOCK_BYTES = 2**20


def open_npy(path: Path, target_path: Path | None, features: Sequence[str] | None, target: str | None) -> Blocks:
    """The rows of one array of shape (N, columns), one of them the target, or of features (N, d) and targets (N,).

    Column j is named "X[j]", the target of a file of its own "y". Each block is mapped while it is copied, so that no
    more of the file counts as memory of the process. Raises DataError naming the file, and OSError.
    """
    array = _opened(path)
    if array.ndim not in (1, 2):
        raise DataError(f"{path}: must hold an array of shape (N, d) or (N,), but got {array.shape}")
    if not array.flags.c_contiguous:
        raise DataError(f"{path}: must hold its rows one after the other (C order), but got Fortran order")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{path}: must hold real numbers, but got dtype {array.dtype}")
    names = ["X"] if array.ndim == 1 else [f"X[{j}]" for j in range(array.shape[1])]
    targets = None
    if target_path is not None:
        target, targets = "y", _opened(target_path)
        if targets.shape != array.shape[:1]:
            raise DataError(f"{target_path}: must have shape ({len(array)},) like {path}, but got {targets.shape}")
        if targets.dtype.kind not in "biufU":
            raise DataError(f"{target_path}: must hold numbers or text, but got dtype {targets.dtype}")
        target_at = None
    elif target is None:
        raise DataError(f"{path}: `data.target` must name a column, or `data.target_path` a file, but got neither")
    else:
        [target_at] = pick([target], names, "data.target", str(path))
    features = [name for name in names if name != target] if features is None else features
    check_features(features, target, str(path))
    picked = pick(features, names, "data.features", str(path))
    if not len(array) or not array.size:
        raise DataError(f"{path}: must hold a row and a feature at least, but got shape {array.shape}")
    columns = slice(None) if picked == [*range(len(names))] else picked
    rows_per_block = max(1, BLOCK_BYTES // (array.dtype.itemsize * len(names)))
    starts = np.append(np.arange(0, len(array), rows_per_block), len(array))

    def read(block: int) -> tuple[np.ndarray, np.ndarray]:
        first, end = starts[block], starts[block + 1]
        rows = _mapped(array, first, end).reshape(end - first, len(names))
        y = rows[:, target_at] if targets is None else _mapped(targets, first, end)
        return np.array(rows[:, columns]), np.array(y)

    return Blocks(path, tuple(features), target, starts, read)


def _opened(path: Path) -> np.memmap:
    """The array of a file, mapped whole; nothing is read of it but its header."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:  # damage shows as ValueError, SyntaxError, TypeError and others
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(f"{path}: must be a NumPy array, but got: {reason}") from None


def _mapped(array: np.memmap, first: int, end: int) -> np.memmap:
    """These rows in a map of their own, whose pages the process gives back with it."""
    assert array.filename is not None
    row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    offset = array.offset + int(first) * row_bytes
    return np.memmap(array.filename, array.dtype, "r", offset, (int(end - first), *array.shape[1:]))
