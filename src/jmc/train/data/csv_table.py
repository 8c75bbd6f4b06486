"""Reading a table from a file of comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.tables import DataError, RawTable, Task, check_features, pick, read_numbers, read_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def read_csv(path: Path, features: Sequence[str] | None, target: str | None, task: Task | None) -> RawTable:
    """Reads a comma-separated UTF-8 file whose first row names the columns.

    By default every column but the target is a feature; one that is neither may hold anything. Fields may be
    quoted; blank lines are dropped, and so are blanks around fields, except after a closing quote. Raises
    DataError naming file, line and column, and OSError for a file that cannot be read.
    """
    if target is None:
        raise DataError(f"{path}: `data.target` must name the column to learn, but got none")
    records = _records(path)
    header_line, header = next(records, (1, []))
    where = f"{path}:{header_line}"
    header = [" ".join(name.split()) for name in header]
    _check_header(header, where)
    # The cells are kept row after row: a list for each row would keep the garbage collector busy.
    lines, cells = [], []
    for line, record in records:
        if len(record) != len(header):
            fields = f"{len(header)} fields like the header, but got {len(record)}"
            raise DataError(f"{path}:{line}: must have {fields}")
        lines.append(line)
        cells += record
    if not lines:
        raise DataError(f"{where}: must be followed by rows of values, but got only the header")

    def column(at: int) -> list[str]:
        return cells[at :: len(header)]

    def place(at: int) -> Callable[[int], str]:
        return lambda row: f"{path}:{lines[row]}: column `{header[at]}`"

    [target_at] = pick([target], header, "data.target", where)
    features = [name for name in header if name != target] if features is None else features
    check_features(features, target, where)
    X = [read_numbers(column(at), place(at)) for at in pick(features, header, "data.features", where)]
    y = read_target(column(target_at), task, place(target_at))
    return RawTable(path.stem, tuple(features), np.stack(X, axis=1), target, y)


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each after the line it begins on."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = 1 + error.object.count(b"\n", 0, error.start), error.object[error.start]
        raise DataError(f"{path}:{line}: must be UTF-8 text, but got the byte {byte:#04x}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    line = 1
    try:
        for record in reader:
            if record not in ([], [""]):
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        reason = f"must be comma-separated values, but got a row with {error}"
        raise DataError(f"{path}:{line}: {reason}") from None


def _check_header(header: list[str], where: str) -> None:
    if not header:
        raise DataError(f"{where}: must be a row of column names, but got an empty file")
    for at, name in enumerate(header):
        if not name:
            raise DataError(f"{where}: every column must have a name, but column {at + 1} has none")
        if name in header[:at]:
            first = header.index(name) + 1
            raise DataError(f"{where}: column names must differ, but {name!r} names columns {first} and {at + 1}")
