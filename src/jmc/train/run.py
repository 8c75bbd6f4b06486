"""`jmc train` after its config is checked: data, the run's directory, training, the exit code."""

import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from jmc.train.config.conflicts import is_streamed
from jmc.train.config.loading import ConfigError, load, to_dict
from jmc.train.config.schema import Config
from jmc.train.config.toml_source import dump
from jmc.train.data.loading import load as load_data
from jmc.train.data.memory import in_bytes, memory_bytes
from jmc.train.data.tables import DataError
from jmc.train.learning.problem import Problem, bind
from jmc.train.persistence import sinks, storage
from jmc.train.persistence.record import RunExistsError, check_new, name_of, read_json, to_json
from jmc.train.persistence.resume import NothingLeftError, differences
from jmc.train.report.progress import note
from jmc.train.report.summary import describe, report
from jmc.train.signals import InterruptedRunError, Interruption, interruptible

DONE, BAD_INPUT, IN_USE, DIVERGED, STORAGE_FAILED = 0, 2, 3, 5, 6


class DivergedRunError(ValueError):
    """A run that is to go on, but ended in a loss that is not finite."""


_CODES: dict[type[Exception], int] = {
    ConfigError: BAD_INPUT,
    DataError: BAD_INPUT,
    RunExistsError: BAD_INPUT,
    storage.InUseError: IN_USE,
    DivergedRunError: DIVERGED,
    NothingLeftError: STORAGE_FAILED,
}


def run(
    config: Config, *, run_dir: Path | None, resumed: bool = False, dry_run: bool, as_json: bool, quiet: bool
) -> int:
    """Train as ``config`` says, or with ``dry_run`` say what that would take. Returns the exit code:
    0 done · 2 config, data or run directory unfit · 3 the directory is in use · 5 diverged, the last good parameters
    kept · 6 storage failed · 130 or 143 interrupted, the state saved.

    With ``resumed`` the run in ``run_dir`` goes on, whose config this is, except for keys that may change.
    """
    began = time.perf_counter()
    directory = run_dir
    if resumed and run_dir:
        config = replace(config, name=name_of(run_dir))
    try:
        if is_streamed(config.data.path, config.data.stream):
            note(f"one pass over {config.data.path} …", quiet=quiet)
        problem = bind(config, load_data(config.data, Path()))
        _check_memory(problem)
        sinks.check(config.log)
        if dry_run:
            print(to_json(problem.summary()) if as_json else describe(problem))
            return DONE
        directory = directory or _default_directory(config)
        with interruptible() as interruption:
            result = _train(problem, directory, interruption, resumed=resumed, quiet=quiet, began=began)
    except BrokenPipeError:
        raise
    except InterruptedRunError as error:
        line = f"jmc: interrupted by {error}; go on with: jmc train --resume {shlex.quote(str(directory))}"
        print(line, file=sys.stderr)
        if as_json:
            print(to_json({"status": "interrupted", "run_dir": str(directory)}))
        return 128 + error.signal
    except (*_CODES, OSError, MemoryError) as error:
        lines, code = _failure(error)
        print("\n".join(lines), file=sys.stderr)
        if as_json:
            print(to_json({"errors": [line.removeprefix("jmc: ") for line in lines]}))
        return code
    print(to_json(result) if as_json else report(result))
    return DIVERGED if result["status"] == "diverged" else DONE


def _failure(error: Exception) -> tuple[list[str], int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, ConfigError):
        return [*error.lines], BAD_INPUT
    if isinstance(error, OSError):
        return [f"jmc: the run cannot be written: {error}"], STORAGE_FAILED
    if isinstance(error, MemoryError):
        return [
            "jmc: the memory of the device must suffice for `model.widths` and `train.batch_size`, but it ran out"
        ], BAD_INPUT
    return [f"jmc: {error}"], next(code for kind, code in _CODES.items() if isinstance(error, kind))


def _default_directory(config: Config) -> Path:
    """runs/<config>-<time>, with a number where two runs start in one second; it is made, so that it is this run's."""
    first = Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    storage.make_folder(first.parent)
    for path in (first, *(first.with_name(f"{first.name}-{i}") for i in range(2, 10_000))):
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{first} and many of its kind are there already")


def _check_memory(problem: Problem) -> None:
    memory = memory_bytes()
    if memory is not None and problem.bytes > memory:
        raise DataError(
            f"`model.widths`, `train.batch_size` and the steps between two rows must fit into memory, "
            f"{in_bytes(memory)}, but got {problem.parameters:,} parameters, which with their training need about "
            f"{in_bytes(problem.bytes)}"
        )


def _train(
    problem: Problem, directory: Path, interruption: Interruption, *, resumed: bool, quiet: bool, began: float
) -> dict[str, Any]:
    if not resumed:
        if not (directory / storage.LOCK).exists():
            check_new(directory)  # before anything is written there
        storage.make_folder(directory)
    with storage.lock(directory):
        if resumed and (result := _finished(problem, directory)):
            return result
        import jax

        from jmc.train.fit import fit

        # float64 for this run alone; the process's own setting stays as it is
        with jax.enable_x64(problem.config.train.dtype == "float64"):
            try:
                return fit(problem, directory, resumed=resumed, interruption=interruption, quiet=quiet, began=began)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" in str(error):
                    raise MemoryError from None
                raise


def _finished(problem: Problem, directory: Path) -> dict[str, Any] | None:
    """The result of a run that has nothing left to do. Raises ConfigError, DivergedRunError."""
    path = problem.config.data.path  # where the data lie now
    before = load(directory / "config.toml", [f"data.path={dump(path)}"] if path else [])
    lines = [*differences(to_dict(before), problem.config)]
    if lines:
        raise ConfigError(lines)
    result = read_json(directory / "result.json")
    if result.get("status") == "diverged":
        raise DivergedRunError(
            f"{directory} diverged at step {result.get('diverged_at_step')}, so that no step follows; begin another "
            "run with a smaller optimizer.learning_rate, or optimizer.clip_norm"
        )
    early = result.get("stopped_early") is True
    if not (early or result.get("steps") == problem.steps) or not (directory / "report.html").exists():
        return None
    more = "early stopping ended it" if early else f"to go on, --set train.steps to more than {problem.steps}"
    print(f"jmc: {directory} is finished; {more}", file=sys.stderr)
    return result
