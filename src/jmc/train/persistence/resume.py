"""Where a run goes on: the newest checkpoint that is whole and that belongs to the config and the data at hand."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmc.train.config.loading import ConfigError, to_dict
from jmc.train.config.schema import TABLES, Config, may_change
from jmc.train.config.toml_source import shown
from jmc.train.data.dataset import Dataset
from jmc.train.learning.problem import Problem
from jmc.train.persistence import checkpoint
from jmc.train.persistence.checkpoint import Checkpoint, DamagedError, Template
from jmc.train.persistence.environment import changes, environment

_ROWS_AT_ONCE = 2**16


class NothingLeftError(ValueError):
    """A run has checkpoints, but none that can be used."""


@dataclass(frozen=True)
class Found:
    """A checkpoint that can be gone on from, its arrays, and in what the run departs from one without a break."""

    step: int
    arrays: Mapping[str, np.ndarray]
    departures: list[str]


def about(problem: Problem) -> dict[str, Any]:
    """What a checkpoint says of the run that it is of; it takes a pass over the data."""
    return {
        "name": problem.config.name,
        "config": to_dict(problem.config),
        "steps": problem.steps,
        "row_steps": problem.row_steps,
        "data": fingerprint(problem.data),
        "environment": environment(),
        "departures": [],
    }


def candidates(folder: Path, problem: Problem, mine: Mapping[str, Any], template: Template) -> Iterator[Found | None]:
    """The checkpoints below ``folder`` that can be used, the newest first, and last None, the beginning of the run.

    ``mine`` is what the problem is `about` now. A damaged checkpoint is reported in a line on stderr and, once another
    is found to go on from, renamed. Raises ConfigError for one of another config or other data, NothingLeftError where
    all of them are damaged.
    """
    damaged: list[int] = []
    usable, present = False, checkpoint.steps(folder)
    for step in present:
        try:
            found = checkpoint.verify(folder, step)
            _check_belongs(found, problem, mine["data"])
            arrays = checkpoint.read(found, template)
        except DamagedError as error:
            print(f"jmc: the checkpoint of step {step:,} is damaged: {error}", file=sys.stderr)
            damaged.append(step)
            continue
        while damaged:
            checkpoint.set_aside(folder, damaged.pop())
        usable = True
        yield Found(step, arrays, _departures(found, problem, mine))
    if present and not usable:
        raise NothingLeftError(
            f"no checkpoint in {folder} can be used; start again with `jmc train {folder.parent / 'config.toml'}`"
        )
    yield None


def differences(before: Mapping[str, Mapping[str, Any]], config: Config) -> Iterator[str]:
    """The keys whose values differ and may not, a line each that says what they must stay."""
    for table, new in to_dict(config).items():
        old = before.get(table, {})
        for key in dict.fromkeys([*old, *new]):
            field = TABLES[table].model_fields.get(key)
            default = field.get_default(call_default_factory=True) if field and not field.is_required() else None
            was, value = old.get(key, default), new.get(key, default)
            if was != value and not may_change(table, key):
                yield f"`{table}.{key}` = {_shown(value)}: must stay {_shown(was)} to resume the run"


def fingerprint(data: Dataset) -> str:
    """The SHA-256 of all that training and validation see of the data, and of their names."""
    digest = hashlib.sha256()
    names = (data.task, data.feature_names, data.target_name, data.class_names)
    digest.update(repr((names, data.target_mean, data.target_scale)).encode())
    if data.stream is not None:
        digest.update(data.stream.digest.encode())
    parts = (data.X_train, data.y_train, data.X_valid, data.y_valid, data.feature_mean, data.feature_scale)
    for array in parts:
        digest.update(f"{array.dtype.str} {array.shape}\n".encode())
        for first in range(0, len(array), _ROWS_AT_ONCE):
            digest.update(array[first : first + _ROWS_AT_ONCE].tobytes())
    return digest.hexdigest()


def _check_belongs(found: Checkpoint, problem: Problem, data: str) -> None:
    """Raises ConfigError unless the checkpoint is of this config and these data."""
    before = found.about.get("config")
    if not isinstance(before, dict):
        raise DamagedError(f"{checkpoint.ABOUT} must hold the config")
    lines = [*differences(before, problem.config)]
    if found.about.get("data") != data and not any(line.startswith("`data.") for line in lines):
        source = problem.config.data.path or problem.config.data.name
        key = "data.path" if problem.config.data.path else "data.name"
        lines.append(f"`{key}` = {_shown(source)}: must hold the data that the run began with, but they have changed")
    if problem.steps < found.step:
        key = "steps" if problem.config.train.steps else "epochs"
        value = getattr(problem.config.train, key)
        what = "" if key == "steps" else f", {problem.steps:,} steps"
        lines.append(
            f"`train.{key}` = {value}{what}: must give at least the {found.step:,} steps of the last checkpoint"
        )
    if lines:
        raise ConfigError(lines)


def _departures(found: Checkpoint, problem: Problem, mine: Mapping[str, Any]) -> list[str]:
    """In what the run is no longer the one that it would be without a break: earlier departures, then new ones."""
    before = found.about
    new = [*changes(before.get("environment") or {}, mine["environment"])]
    if problem.config.optimizer.schedule != "constant" and before.get("steps") != problem.steps:
        new.append(f"the schedule was made for {before.get('steps')} steps, is for {problem.steps}")
    if problem.config.train.patience and before.get("row_steps") != problem.row_steps:
        new.append(
            f"early stopping saw a row every {before.get('row_steps')} steps, sees one every {problem.row_steps}"
        )
    if new:
        print(f"jmc: not bit-exact from step {found.step:,} on: {'; '.join(new)}", file=sys.stderr)
    return [*before.get("departures", []), *(f"from step {found.step}: {departure}" for departure in new)]


def _shown(value: object) -> str:
    return "not set" if value is None else shown(value)
