"""Blocks of the rows of a parquet file: its row groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jmc.train.data.blocks import Blocks
from jmc.train.data.extras import require
from jmc.train.data.tables import DataError, check_features, pick

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def open_parquet(path: Path, features: Sequence[str] | None, target: str | None) -> Blocks:
    """The rows of a parquet file, by default with every column but the target as a feature.

    Features are columns of numbers or truth values, the target may also be text; no cell may be null. Raises
    DataError naming file and column, MissingExtraError without pyarrow, and OSError.
    """
    require("pyarrow", "parquet", f"{path}: a .parquet file")
    from pyarrow import ArrowException
    from pyarrow import parquet as pq

    if target is None:
        raise DataError(f"{path}: `data.target` must name the column to learn, but got none")
    try:
        with path.open("rb") as file:
            opened = pq.ParquetFile(file)
            metadata, schema = opened.metadata, opened.schema_arrow
    except (ArrowException, ValueError, OSError) as error:
        raise DataError(f"{path}: must be a parquet file, but got: {_reason(error)}") from None
    names = list(schema.names)
    pick([target], names, "data.target", str(path))
    features = [name for name in names if name != target] if features is None else list(features)
    check_features(features, target, str(path))
    pick(features, names, "data.features", str(path))
    for name in (*features, target):
        _check_type(schema.field(name).type, name, path, is_target=name == target)
    groups = [group for group in range(metadata.num_row_groups) if metadata.row_group(group).num_rows]
    starts = np.cumsum([0, *(metadata.row_group(group).num_rows for group in groups)], dtype=np.int64)
    if not groups:
        raise DataError(f"{path}: must hold a row and a feature at least, but got shape (0, {len(features)})")

    def read(block: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            with path.open("rb") as file:
                source = pq.ParquetFile(file, metadata=metadata)
                table = source.read_row_group(groups[block], columns=[*features, target], use_threads=False)
        except (ArrowException, ValueError, OSError) as error:
            raise DataError(f"{path}: row group {groups[block]} must be readable, but got: {_reason(error)}") from None
        columns = [_numpy(table.column(name), name, path, int(starts[block])) for name in (*features, target)]
        return np.stack(columns[:-1], axis=1), columns[-1]

    return Blocks(path, tuple(features), target, starts, read)


def _reason(error: Exception) -> str:
    """The first line of an error of pyarrow; raises one of the operating system, which pyarrow's OSErrors are not."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    return next(iter(str(error).splitlines()), type(error).__name__)


def _check_type(kind: Any, name: str, path: Path, *, is_target: bool) -> None:
    from pyarrow import types

    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)
    if not numeric and not (is_target and _is_text(kind)):
        must = "numbers or text" if is_target else "numbers"
        raise DataError(f"{path}: column `{name}` must hold {must}, but got {kind}")


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return (
        types.is_string(kind)
        or types.is_large_string(kind)
        or (types.is_dictionary(kind) and _is_text(kind.value_type))
    )


def _numpy(column: Any, name: str, path: Path, first: int) -> np.ndarray:
    """The column as float32, where it is that, as float64, or as an object array of text."""
    import pyarrow

    if column.null_count:
        row = first + int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise DataError(f"{path}: row {row} of `{name}` must hold a value, but got null")
    if _is_text(column.type):
        return column.cast(pyarrow.string()).to_numpy(zero_copy_only=False).astype(object)
    if not pyarrow.types.is_float32(column.type):
        column = column.cast(pyarrow.float64(), safe=False)
    return column.to_numpy(zero_copy_only=False)
