"""A run's directory: run.json, config.toml, metrics.jsonl, checkpoints/, parameters.npz, result.json, report.html."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jmc.train.persistence import storage
from jmc.train.persistence.checkpoint import write_npz

CHECKPOINTS = "checkpoints"
_FILES = (
    "config.toml",
    "metrics.jsonl",
    "parameters.npz",
    "result.json",
    "report.html",
    CHECKPOINTS,
    "metrics.csv",
    "tensorboard",
)


class RunExistsError(ValueError):
    """The directory holds a run already; nothing is overwritten."""


class Record:
    """Writes a run to its directory; every file but metrics.jsonl appears whole or not at all. Raises OSError.

    Attributes:
        rows: the rows of metrics.jsonl.
    """

    def __init__(self, directory: Path, rows: list[dict[str, Any]]):
        self.directory, self.rows = directory, rows
        self._metrics = storage.Log(directory / "metrics.jsonl")

    def metrics(self, row: dict[str, Any]) -> None:
        """Append one line, ``{"step": …, …}``, and hand it to the operating system."""
        self.rows.append(row)
        self._metrics.append(to_json(row))

    def sync(self) -> None:
        """Return when all rows so far are on the device."""
        self._metrics.sync()

    def parameters(self, params: Mapping[str, Any]) -> None:
        storage.write_file(self.directory / "parameters.npz", lambda sink: write_npz(sink, params))

    def result(self, result: Mapping[str, Any]) -> None:
        """Write the result, after the page of an earlier one is gone."""
        storage.remove_file(self.directory / "report.html")
        _write_text(self.directory / "result.json", to_json(result, indent=2) + "\n")

    def report(self, page: str) -> None:
        _write_text(self.directory / "report.html", page)

    def close(self) -> None:
        self._metrics.close()


def check_new(directory: Path) -> None:
    """Raises RunExistsError if the directory holds a run."""
    present = [name for name in _FILES if (directory / name).exists()]
    if present:
        raise RunExistsError(
            f"`--run-dir` must be a directory without a run, but got {directory}, which has {present[0]}"
        )


def create(directory: Path, name: str, config_toml: str) -> Record:
    """A run in a directory that has none: from its config.toml on there is one. Raises RunExistsError, OSError."""
    check_new(directory)
    storage.sweep(directory)
    _write_text(directory / "run.json", to_json({"name": name, "started": time.strftime("%Y-%m-%dT%H:%M:%S%z")}) + "\n")
    write_config(directory, config_toml)
    return Record(directory, [])


def reopen(directory: Path, step: int) -> Record:
    """The record of a run that goes on after ``step`` steps: later rows, or torn ones, are cut off. Raises OSError."""
    storage.sweep(directory)
    storage.sweep(directory / CHECKPOINTS)
    rows, size = _rows(directory / "metrics.jsonl", step)
    if size is not None:
        storage.truncate(directory / "metrics.jsonl", size)
    return Record(directory, rows)


def write_config(directory: Path, config_toml: str) -> None:
    _write_text(directory / "config.toml", config_toml)


def name_of(directory: Path) -> str:
    """The name that a run was given, or else its directory's."""
    found = read_json(directory / "run.json").get("name")
    return found if isinstance(found, str) else directory.resolve().name


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file, or an empty one where there is none to be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _rows(path: Path, step: int) -> tuple[list[dict[str, Any]], int | None]:
    """The rows up to ``step``, and the bytes that they take, None where the file ends there."""
    rows: list[dict[str, Any]] = []
    size, last = 0, 0
    if not path.exists():
        return rows, None
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
                if not (line.endswith(b"\n") and last < row["step"] <= step):
                    return rows, size
            except (ValueError, TypeError, KeyError, RecursionError):
                return rows, size
            rows.append(row)
            size, last = size + len(line), row["step"]
    return rows, None


def _write_text(path: Path, text: str) -> None:
    storage.write_file(path, lambda sink: sink.write(text.encode()))


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: a number that is not finite becomes null."""

    def clean(value: Any) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if isinstance(value, Mapping):
            return {key: clean(item) for key, item in value.items()}
        return [clean(item) for item in value] if isinstance(value, list | tuple) else value

    return json.dumps(clean(value), indent=indent, allow_nan=False, ensure_ascii=False)


def sha256(params: Mapping[str, np.ndarray]) -> str:
    """The hash of names, dtypes, shapes and bits of the parameters, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(params):
        array = np.asarray(params[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
