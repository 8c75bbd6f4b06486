"""`jmc train` after its config is checked: data, training, the run directory, the exit code."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from jmc.train import sinks
from jmc.train.config import to_toml
from jmc.train.data import DataError, load
from jmc.train.problem import Problem, bind
from jmc.train.record import Record, RunExistsError, to_json
from jmc.train.schema import Config
from jmc.train.summary import describe, in_bytes, report

DONE, BAD_INPUT, DIVERGED, STORAGE_FAILED = 0, 2, 5, 6


def run(config: Config, *, run_dir: Path | None, dry_run: bool, as_json: bool, quiet: bool) -> int:
    """Train as ``config`` says, or with ``dry_run`` say what that would take. Returns the exit code:
    0 done · 2 data or run directory unfit · 5 diverged, the last good parameters kept · 6 storage failed.
    """
    began = time.perf_counter()
    try:
        problem = bind(config, load(config.data, Path()))
        _check_memory(problem)
        sinks.check(config.log)
        if dry_run:
            print(to_json(problem.summary()) if as_json else describe(problem))
            return DONE
        result = _train(problem, run_dir or _default_directory(config), quiet=quiet, began=began)
    except (DataError, RunExistsError) as error:
        print(f"jmc: {error}", file=sys.stderr)
        if as_json:
            print(to_json({"errors": [str(error)]}))
        return BAD_INPUT
    except BrokenPipeError:
        raise
    except OSError as error:
        print(f"jmc: the run cannot be written: {error}", file=sys.stderr)
        return STORAGE_FAILED
    print(to_json(result) if as_json else report(result))
    return DIVERGED if result["status"] == "diverged" else DONE


def _default_directory(config: Config) -> Path:
    """runs/<config>-<time>, with a number where two runs start in one second."""
    first = Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    return next(
        path for path in (first, *(first.with_name(f"{first.name}-{i}") for i in range(2, 10_000))) if not path.exists()
    )


def _check_memory(problem: Problem) -> None:
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if problem.bytes > memory:
        raise DataError(
            f"`model.widths`, `train.batch_size` and the steps between two rows must fit into memory, "
            f"{in_bytes(memory)}, but got {problem.parameters:,} parameters, which with their training need about "
            f"{in_bytes(problem.bytes)}"
        )


def _train(problem: Problem, directory: Path, *, quiet: bool, began: float) -> dict[str, Any]:
    with contextlib.closing(Record(directory, to_toml(problem.config))) as record:
        import jax

        from jmc.train.fit import fit

        # float64 for this run alone; the process's own setting stays as it is
        with jax.enable_x64(problem.config.train.dtype == "float64"):
            return fit(problem, record, quiet=quiet, began=began)
