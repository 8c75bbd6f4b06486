"""Reading a table from the arrays of a NumPy archive."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.memory import in_bytes, memory_bytes
from jmc.train.data.tables import DataError, RawTable, Task, check_features, pick, read_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jaxtyping import Float64, Num


def read_npz(path: Path, features: Sequence[str] | None, target: str | None, task: Task | None) -> RawTable:
    """Reads numeric arrays, and text for a target, from a `.npz` file; never unpickles.

    The arrays under the keys `features` (default: "X" alone) have shape (N, d), or (N,) for a single column,
    and are joined side by side; column j of a two-dimensional "X" is named "X[j]". The array under `target`
    (default "y") has shape (N,). Raises DataError naming file, key and row (counted from 0), and OSError for
    a file that cannot be read.
    """
    keys = ["X"] if features is None else list(features)
    target = "y" if target is None else target
    check_features(keys, target, str(path))
    arrays = _load(path, keys, target)
    y = arrays[target]
    names, blocks = [], []
    for key in keys:
        block = arrays[key]
        columns = [key] if block.ndim == 1 else [f"{key}[{j}]" for j in range(block.shape[1])]
        blocks.append(_finite(block.reshape(len(block), len(columns)), key, columns, path))
        names += columns
    if y.dtype.kind == "U":
        y = read_target(y.tolist(), task, lambda row: f"{path}: row {row} of `{target}`")
    else:
        _finite(y[:, None], target, [target], path)
    return RawTable(path.stem, tuple(names), np.concatenate(blocks, axis=1), target, y)


def _load(path: Path, keys: Sequence[str], target: str) -> dict[str, np.ndarray]:
    """The arrays under `keys` and `target`; what their headers promise is looked at before it is allocated."""
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{path}: must be a NumPy archive, but it is damaged or of another kind")
        file.seek(0)
        shapes, arrays, key = {}, {}, keys[0]
        try:
            with np.load(file, allow_pickle=False) as archive:
                pick(keys, archive.files, "data.features", str(path))
                pick([target], archive.files, "data.target", str(path))
                for key in (*keys, target):
                    shapes[key] = _shape(archive.zip, key)
                _check_shapes(shapes, target, path)
                for key in (*keys, target):
                    arrays[key] = np.asarray(archive[key])
        except DataError:
            raise
        except Exception as error:  # damage shows as almost anything, from zlib.error to MemoryError
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise DataError(f"{path}: `{key}` must be a readable array, but got: {reason}") from None
    return arrays


def _shape(archive: zipfile.ZipFile, key: str) -> tuple[int, ...]:
    """The shape in the header of an array. Raises ValueError unless the array takes the bytes that it promises."""
    member = archive.getinfo(f"{key}.npy" if f"{key}.npy" in archive.namelist() else key)
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        promised = file.tell() + dtype.itemsize * int(np.prod(shape, dtype=object))
    if not dtype.hasobject and promised != member.file_size:
        raise ValueError(f"{member.file_size} bytes for shape {shape} of {dtype}, which takes {promised}")
    return shape


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], target: str, path: Path) -> None:
    """Raises DataError for shapes that are no table, or larger than the memory in double precision."""
    rows = shapes[target]
    if len(rows) != 1:
        raise DataError(f"{path}: `{target}` must have shape (N,), but got {rows}")
    for key, shape in shapes.items():
        if len(shape) not in (1, 2):
            raise DataError(f"{path}: `{key}` must have shape (N, d) or (N,), but got {shape}")
        if shape[0] != rows[0]:
            raise DataError(f"{path}: `{key}` must have {rows[0]} rows like `{target}`, but got {shape[0]}")
    needed, memory = 8 * sum(int(np.prod(shape, dtype=object)) for shape in shapes.values()), memory_bytes()
    if memory is not None and needed > memory:
        raise DataError(f"{path}: must fit into memory, {in_bytes(memory)}, but got {in_bytes(needed)}")


def _finite(block: Num[np.ndarray, "N d"], key: str, columns: Sequence[str], path: Path) -> Float64[np.ndarray, "N d"]:
    """The block in double precision; raises DataError unless it holds finite real numbers."""
    if block.dtype.kind not in "biuf":
        raise DataError(f"{path}: `{key}` must hold real numbers, but got dtype {block.dtype}")
    with np.errstate(over="ignore"):  # a long double may be too large; it is then refused as infinite
        values = block.astype(np.float64)
    faults = np.argwhere(~np.isfinite(values))
    if len(faults):
        row, column = faults[0]
        value = values[row, column]
        raise DataError(f"{path}: row {row} of `{columns[column]}` must be finite, but got {value}")
    return values
