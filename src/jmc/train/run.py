"""`jmc train` after its config is checked: data, training, the run directory, the exit code."""

import contextlib
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jmc.train.config import to_toml
from jmc.train.data import DataError, load
from jmc.train.problem import Problem, bind
from jmc.train.progress import note, progress
from jmc.train.record import Record, RunExistsError, sha256, to_json
from jmc.train.schema import Config

DONE, BAD_INPUT, DIVERGED, STORAGE_FAILED = 0, 2, 5, 6
_VERSIONS = ("jax", "jaxlib", "optax", "numpy")


def run(config: Config, *, run_dir: Path | None, dry_run: bool, as_json: bool, quiet: bool) -> int:
    """Train as ``config`` says, or with ``dry_run`` say what that would take. Returns the exit code:
    0 done · 2 data or run directory unfit · 5 diverged, the last good parameters kept · 6 storage failed.
    """
    began = time.perf_counter()
    try:
        problem = bind(config, load(config.data, Path()))
        _check_memory(problem)
        if dry_run:
            print(to_json(problem.summary()) if as_json else _describe(problem))
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
    print(to_json(result) if as_json else _report(result))
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
            f"{_bytes(memory)}, but got {problem.parameters:,} parameters, which with their training need about "
            f"{_bytes(problem.bytes)}"
        )


def _train(problem: Problem, directory: Path, *, quiet: bool, began: float) -> dict[str, Any]:
    with contextlib.closing(Record(directory, to_toml(problem.config))) as record:
        import jax

        # float64 for this run alone; the process's own setting stays as it is
        with jax.enable_x64(problem.config.train.dtype == "float64"):
            return _train_and_record(problem, record, quiet=quiet, began=began)


def _train_and_record(problem: Problem, record: Record, *, quiet: bool, began: float) -> dict[str, Any]:
    import jax
    import numpy as np

    from jmc.train import optimizer
    from jmc.train.evaluation import Evaluator, evaluate
    from jmc.train.loop import Batches, Params, train
    from jmc.train.model import initial, objective
    from jmc.train.report import render

    config, data = problem.config, problem.data
    evaluator = Evaluator(problem)
    training = evaluator.arrays(data.X_train, data.y_train)
    validation = evaluator.arrays(data.X_valid, data.y_valid) if len(data.y_valid) else None
    rate = optimizer.schedule(config.optimizer, problem.steps)
    rows: list[dict[str, Any]] = []

    def assess(params: Params) -> dict[str, float] | None:
        return evaluator(params, validation, data.y_valid) if validation else None

    def on_chunk(step: int, params: Params, loss: float, seconds: float) -> None:
        row: dict[str, Any] = {"step": step, "loss": loss}
        row |= {f"validation_{name}": value for name, value in (assess(params) or {}).items()}
        row |= {
            "learning_rate": float(np.asarray(rate(step - 1))),
            "seconds": seconds,
            "steps_per_second": step / seconds,
        }
        rows.append(row)
        record.metrics(row)
        every = config.checkpoint.every_steps
        if every and step % every == 0:
            host = _host(params)
            if all(np.isfinite(array).all() for array in host.values()):
                record.checkpoint(step, host, config.checkpoint.keep)
        advance(row)

    load_seconds = time.perf_counter() - began
    note(f"{_headline(problem)} → {record.directory}", quiet=quiet)
    with progress(problem.steps, quiet=quiet) as advance:
        outcome = train(
            objective(problem),
            optimizer.build(config.optimizer),
            rate,
            config.train.gradient,
            Batches(jax.random.key(config.train.seed), problem.examples, problem.batch_size),
            initial(problem),
            *training,
            steps=problem.steps,
            length=problem.chunk,
            stops=config.checkpoint.every_steps,
            training_loss=lambda params: evaluator(params, training, data.y_train)["loss"],
            on_chunk=on_chunk,
        )
    params = {name: np.asarray(outcome.params[name]) for name in problem.shapes}
    record.parameters(_host(outcome.params))
    device = jax.devices()[0]
    result: dict[str, Any] = {
        "status": "done" if outcome.diverged_at is None else "diverged",
        "diverged_at_step": outcome.diverged_at,
        "steps": outcome.steps,
        "name": config.name,
        "data": data.name,
        "model": config.model.kind,
        "task": data.task,
        "parameters": problem.parameters,
        "train": evaluator(outcome.params, training, data.y_train),
        "validation": assess(outcome.params),
        "params_sha256": sha256(params),
        "dtype": config.train.dtype,
        "gradient": config.train.gradient,
        "seed": config.train.seed,
        "device": _device_name(device),
        "versions": {"jmc": version("jmc"), "python": platform.python_version()}
        | {package: version(package) for package in _VERSIONS},
        "run_dir": str(record.directory),
        "report": str(record.directory / "report.html"),
        "timings": {
            "load_seconds": load_seconds,
            "compile_seconds": outcome.compile_seconds,
            "run_seconds": outcome.run_seconds,
            "microseconds_per_step": 1e6 * outcome.run_seconds / max(outcome.steps, 1),
        },
    }
    evaluation = evaluate(problem, outcome.params, evaluator)
    result["gradient_checks"] = {
        check.parameter: {"max_difference": check.largest_difference, "normwise": check.normwise}
        for check in evaluation.gradient_checks
    }
    result["timings"]["total_seconds"] = time.perf_counter() - began
    record.result(result)
    record.report(
        render(name=config.name, config_toml=to_toml(config), rows=rows, result=result, evaluation=evaluation)
    )
    return result


def _host(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters for a .npz, which knows no bfloat16: float32 holds its values exactly."""
    import numpy as np

    arrays = {name: np.asarray(array) for name, array in params.items()}
    return {name: a if a.dtype.kind == "f" else a.astype(np.float32) for name, a in arrays.items()}


def _device_name(device: Any) -> str:
    kind = platform.processor() or platform.machine() if device.platform == "cpu" else device.device_kind
    return f"{device.platform.upper()} {kind}, {os.cpu_count()} host cores"


def _headline(problem: Problem) -> str:
    config = problem.config
    batch = "full batch" if problem.batch_size is None else f"batches of {problem.batch_size}"
    return (
        f"{config.model.kind} on {problem.data.name} · {problem.parameters:,} parameters · "
        f"{problem.steps:,} steps of {config.optimizer.kind}, {batch}, {config.train.dtype}"
    )


def _describe(problem: Problem) -> str:
    summary = problem.summary()
    shapes = " · ".join(f"{name} {tuple(shape)}" for name, shape in summary["shapes"].items())
    examples = f"{summary['training_examples']:,} training, {summary['validation_examples']:,} validation"
    lines = {
        "data": f"{summary['data']}: {examples} examples of {summary['features']} features, {summary['task']}",
        "model": f"{problem.config.model.kind}: {shapes}",
        "parameters": f"{summary['parameters']:,}",
        "steps": f"{summary['steps']:,}, batch {summary['batch_size']:,}, seen every {summary['chunk_steps']:,}",
        "FLOPs per step": f"{summary['flops_per_step']:,} in matrix products",
        "memory": f"about {_bytes(summary['memory_bytes'])}",
    }
    return "\n".join(_aligned(lines))


def _report(result: dict[str, Any]) -> str:
    def figures(metrics: dict[str, float] | None) -> str:
        names = {"r2": "R²", "rmse": "RMSE", "mae": "MAE"}
        return " · ".join(f"{names.get(name, name)} {value:.4g}" for name, value in (metrics or {}).items())

    timings = result["timings"]
    lines = {
        "validation": figures(result["validation"]) or "none held out",
        "training": figures(result["train"]),
        "time": f"compile {timings['compile_seconds']:.2f} s · {result['steps']:,} steps in "
        f"{timings['run_seconds']:.3g} s, {timings['microseconds_per_step']:.3g} µs each",
        "gradient": _agreement(result["gradient"], result["gradient_checks"]),
        "report": result["report"],
    }
    if result["status"] == "diverged":
        step, kept = result["diverged_at_step"], result["steps"]
        lines = {
            "diverged": f"the loss is not finite at step {step:,}; kept the parameters of step {kept:,}. "
            "Try a smaller optimizer.learning_rate, or optimizer.clip_norm"
        } | lines
    return "\n".join(_aligned(lines))


def _agreement(mode: str, checks: dict[str, dict[str, float]]) -> str:
    used, other = ("closed form", "autodiff") if mode == "closed_form" else ("autodiff", "closed form")
    worst = max(check["normwise"] for check in checks.values())
    return f"{used}; {other} {f'differs by {worst:.1e}' if worst else 'is equal to the last bit'}"


def _aligned(lines: dict[str, str]) -> Iterator[str]:
    width = max(map(len, lines))
    yield from (f"{name:<{width}}  {text}" for name, text in lines.items())


def _bytes(count: int) -> str:
    units: Sequence[str] = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")
    power = min(max(count.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{count / 1024**power:,.4g} {units[power]}"
