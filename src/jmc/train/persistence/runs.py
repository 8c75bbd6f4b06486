"""Runs as they are found on disk: finished, unfinished or damaged, none of which is an error."""

import json
import math
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jmc.train.learning.stopping import HIGHER_IS_BETTER

_SIGNS = ("result.json", "metrics.jsonl")  # a folder with one of these is a run


class _Timings(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    run_seconds: float | None = None


class _Result(BaseModel):
    """What of result.json is relied on; the rest is taken as it is."""

    model_config = ConfigDict(extra="allow", strict=True)
    status: str
    steps: Annotated[int, Field(ge=0, le=10**12)]
    stopped_early: bool = False
    validation: dict[str, float | None] | None
    train: dict[str, float | None]
    timings: _Timings


@dataclass(frozen=True)
class Run:
    """A run's directory as it was read.

    Attributes:
        status: ``done``, ``stopped early``, ``diverged``, ``unfinished`` where there is no result (yet), or
            ``damaged`` where a file cannot be read; ``faults`` then says which, and why.
        steps: the steps done, None where nothing tells.
        metrics: ``train_…`` and ``validation_…`` of the parameters kept; of an unfinished run its last row's.
        seconds: time spent in steps, None where nothing tells.
        config: the tables of config.toml, empty where it cannot be read.
        rows: the lines of metrics.jsonl, in order, up to the first that cannot be read.
    """

    directory: Path
    status: str
    steps: int | None
    metrics: Mapping[str, float | None]
    seconds: float | None
    config: Mapping[str, Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """What `jmc runs --json` prints."""
        return {
            "run": str(self.directory),
            "status": self.status,
            "steps": self.steps,
            **self.metrics,
            "seconds": self.seconds,
            "faults": list(self.faults),
        }


def find(folder: Path) -> list[Path]:
    """The runs in a folder or below it, by name; the folder itself where it is one. Raises OSError for the folder."""
    found = []

    def unreadable(error: OSError) -> None:
        if error.filename == str(folder):
            raise error

    for place, folders, files in os.walk(folder, onerror=unreadable):
        if any(sign in files for sign in _SIGNS):
            found.append(Path(place))
            folders.clear()
    return sorted(found)


def read(directory: Path) -> Run:
    """The run in a directory; whatever is wrong with a file of it is among its faults."""
    faults: list[str] = []

    def parsed(name: str, parse: Callable[[str], Any], default: Any) -> Any:
        try:
            return parse((directory / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return default
        except (OSError, ValueError, RecursionError) as error:  # broken UTF-8, JSON and TOML are ValueErrors
            reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
            faults.append(f"{name}: {reason}")
            return default

    config = parsed("config.toml", _tables, None)
    result = parsed("result.json", _result, None)
    rows: list[Mapping[str, Any]] = []
    parsed("metrics.jsonl", lambda text: rows.extend(_rows(text)), None)
    if config is None and not faults:
        faults.append("config.toml: is missing")
    last = rows[-1] if rows else {}
    if result is not None:
        status = "stopped early" if result.get("stopped_early") and result["status"] == "done" else result["status"]
        parts = {"train": result["train"], "validation": result["validation"] or {}}
        metrics = {f"{part}_{name}": value for part, values in parts.items() for name, value in values.items()}
        steps, seconds = result["steps"], result["timings"].get("run_seconds")
    else:
        status, steps, seconds = "unfinished", last.get("step"), last.get("seconds")
        metrics = {name: value for name, value in last.items() if name.startswith("validation_")}
        metrics = ({"train_loss": last["loss"]} if "loss" in last else {}) | metrics
    return Run(
        directory,
        "damaged" if faults else status,
        steps,
        metrics,
        seconds,
        config or {},
        rows,
        result or {},
        tuple(faults),
    )


def _tables(text: str) -> dict[str, dict[str, Any]]:
    tables = tomllib.loads(text)
    if not all(isinstance(table, dict) for table in tables.values()):
        raise ValueError("must hold tables alone")
    return tables


def _result(text: str) -> dict[str, Any]:
    try:
        return _Result.model_validate_json(text).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"`{where}`: {first['msg']}" if where else first["msg"]) from None


def _rows(text: str) -> Iterator[Mapping[str, Any]]:
    """The rows in order; a last line without its end is being written, or was torn, and counts for nothing."""
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or type(row.get("step")) is not int or not all(map(_is_number, row.values())):
            raise ValueError(f"line {number} is no row of metrics")
        yield row


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | None):
        return False
    return value is None or abs(value) < 2**1023  # beyond it an integer is no float


def sort_keys(runs: Sequence[Run]) -> list[str]:
    """What runs can be sorted by: what any of them has a number for."""
    return [*dict.fromkeys(["steps", "seconds", *(name for run in runs for name in run.metrics)])]


def ordered(runs: Sequence[Run], key: str) -> list[Run]:
    """The runs, the best by ``key`` first, those without a number last."""
    sign = -1.0 if key in (*HIGHER_IS_BETTER, "train_r2", "train_accuracy") else 1.0

    def place(run: Run) -> tuple[bool, float]:
        value = run.summary().get(key)
        return (True, 0.0) if value is None or math.isnan(value) else (False, sign * value)

    return sorted(runs, key=place)
