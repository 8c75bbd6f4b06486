"""Reading a table from a file of comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.tables import DataError, Table, Task, check_features, pick, read_numbers, read_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def read_csv(path: Path, features: Sequence[str] | None, target: str | None, task: Task | None) -> Table:
    """Reads a comma-separated UTF-8 file whose first row names the columns; by default all but the target are features.

    Fields may be quoted; blanks around them and blank lines are dropped. A column that is neither a feature nor the
    target may hold anything. Raises DataError naming file, line and column, OSError if the file cannot be read.
    """
    if target is None:
        raise DataError(f"{path}: `data.target` must name the column to learn, but got none")
    (header_line, header), *records = _records(path)
    where = f"{path}:{header_line}"
    _check_header(header, where)
    if not records:
        raise DataError(f"{where}: must be followed by rows of values, but got only the header")
    for line, record in records:
        if len(record) != len(header):
            raise DataError(f"{path}:{line}: must have {len(header)} fields like the header, but got {len(record)}")
    lines, rows = zip(*records, strict=True)
    columns = list(zip(*rows, strict=True))

    def place(at: int) -> Callable[[int], str]:
        return lambda row: f"{path}:{lines[row]}: column `{header[at]}`"

    [target_at] = pick([target], header, "data.target", where)
    features = [name for name in header if name != target] if features is None else features
    check_features(features, target, where)
    X = [read_numbers(columns[at], place(at)) for at in pick(features, header, "data.features", where)]
    y = read_target(columns[target_at], task, place(target_at))
    return Table(path.stem, tuple(features), np.stack(X, axis=1), target, y)


def _records(path: Path) -> list[tuple[int, list[str]]]:
    """The records that are not blank, each after the line it begins on; the first is the header, its names tidied."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = 1 + error.object.count(b"\n", 0, error.start), error.object[error.start]
        raise DataError(f"{path}:{line}: must be UTF-8 text, but got the byte {byte:#04x}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    records, line = [], 1
    try:
        for record in reader:
            if record not in ([], [""]):
                records.append((line, record))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: must be comma-separated values, but got a row with {error}") from None
    if not records:
        raise DataError(f"{path}: must begin with a row of column names, but got an empty file")
    line, header = records[0]
    records[0] = line, [" ".join(name.split()) for name in header]
    return records


def _check_header(header: list[str], where: str) -> None:
    for at, name in enumerate(header):
        if not name:
            raise DataError(f"{where}: every column must have a name, but column {at + 1} has none")
        if name in header[:at]:
            first = header.index(name) + 1
            raise DataError(f"{where}: column names must differ, but {name!r} names columns {first} and {at + 1}")
