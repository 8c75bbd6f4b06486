"""A run's directory: config.toml, metrics.jsonl, parameters.npz, checkpoints/, result.json, report.html."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

_FILES = (
    "config.toml",
    "metrics.jsonl",
    "parameters.npz",
    "result.json",
    "report.html",
    "checkpoints",
    "metrics.csv",
    "tensorboard",
)


class RunExistsError(ValueError):
    """The directory holds a run already; nothing is overwritten."""


class Record:
    """Writes a run to its directory; every file but metrics.jsonl appears whole or not at all.

    Raises RunExistsError where there is a run already, OSError where the directory cannot be written.
    """

    def __init__(self, directory: Path, config_toml: str):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        present = [name for name in _FILES if (directory / name).exists()]
        if present:
            raise RunExistsError(
                f"`--run-dir` must be a directory without a run, but got {directory}, which has {present[0]}"
            )
        self._write("config.toml", lambda file: file.write(config_toml.encode()))
        self._metrics = (directory / "metrics.jsonl").open("a", encoding="utf-8")

    def metrics(self, row: Mapping[str, Any]) -> None:
        """Append one line, ``{"step": …, …}``, and hand it to the operating system."""
        self._metrics.write(to_json(row) + "\n")
        self._metrics.flush()

    def parameters(self, params: Mapping[str, np.ndarray]) -> None:
        self._write("parameters.npz", lambda file: np.savez(file, allow_pickle=False, **params))

    def checkpoint(self, step: int, params: Mapping[str, np.ndarray], keep: int) -> None:
        """Save the parameters of a step and drop all but the newest ``keep``."""
        folder = self.directory / "checkpoints"
        folder.mkdir(exist_ok=True)
        self._write(f"checkpoints/step-{step:012d}.npz", lambda file: np.savez(file, allow_pickle=False, **params))
        for old in sorted(folder.glob("step-*.npz"))[:-keep]:
            old.unlink()

    def result(self, result: Mapping[str, Any]) -> None:
        self._write("result.json", lambda file: file.write((to_json(result, indent=2) + "\n").encode()))

    def report(self, page: str) -> None:
        self._write("report.html", lambda file: file.write(page.encode()))

    def close(self) -> None:
        self._metrics.close()

    def _write(self, name: str, fill: Callable[[IO[bytes]], Any]) -> None:
        final = self.directory / name
        partial = final.with_name(f".{final.name}.tmp")
        with partial.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(final)


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
