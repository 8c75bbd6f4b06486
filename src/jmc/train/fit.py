"""A run from its first step to its report: what is written down on the way, and what comes of it."""

import os
import platform
import time
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.train import optimizer, stopping
from jmc.train.config import to_toml
from jmc.train.evaluation import Evaluator, evaluate
from jmc.train.loop import Batches, Look, train
from jmc.train.model import Params, initial, objective
from jmc.train.problem import Problem
from jmc.train.progress import note, progress
from jmc.train.record import Record, sha256
from jmc.train.report import render
from jmc.train.sinks import sinks
from jmc.train.stopping import Best
from jmc.train.summary import headline

_VERSIONS = ("jax", "jaxlib", "optax", "numpy")


def fit(problem: Problem, record: Record, *, quiet: bool, began: float) -> dict[str, Any]:
    """Train, and write what comes of it to ``record``; returns what result.json holds. ``began`` is the
    ``time.perf_counter()`` that the whole run is counted from.
    """
    config, data = problem.config, problem.data
    evaluator = Evaluator(problem)
    training = evaluator.arrays(data.X_train, data.y_train)
    validation = evaluator.arrays(data.X_valid, data.y_valid) if len(data.y_valid) else None
    rate = optimizer.schedule(config.optimizer, problem.steps)
    rows: list[dict[str, Any]] = []
    best, kept = Best(), None

    def assess(params: Params) -> dict[str, float] | None:
        return evaluator(params, validation, data.y_valid) if validation else None

    def on_look(look: Look) -> bool:
        nonlocal best, kept
        params = look.state.params
        row: dict[str, Any] = {"step": look.step, "loss": look.loss}
        if look.step % (config.train.evaluate_every or 1) == 0 or look.step == problem.steps:
            row |= {f"validation_{name}": value for name, value in (assess(params) or {}).items()}
        row |= {
            "learning_rate": float(np.asarray(rate(look.step - 1))),
            "seconds": look.seconds,
            "steps_per_second": look.step / look.seconds,
        }
        for kind, norms in look.norms._asdict().items():
            row |= {f"{kind}_norm/{name}": float(norms[name]) for name in problem.shapes}
        rows.append(row)
        record.metrics(row)
        sink(row)
        if config.train.patience and config.train.watch in row:
            best = stopping.update(best, look.step, row[config.train.watch], config.train)
            if best.step == look.step:
                kept = jax.tree.map(jnp.copy, params)
        every = config.checkpoint.every_steps
        if every and look.step % every == 0:
            host = _host(params)
            if all(np.isfinite(array).all() for array in host.values()):
                record.checkpoint(look.step, host, config.checkpoint.keep)
        advance(row)
        return stopping.is_over(best, config.train)

    load_seconds = time.perf_counter() - began
    note(f"{headline(problem)} → {record.directory}", quiet=quiet)
    with progress(problem.steps, quiet=quiet) as advance, sinks(problem, record.directory) as sink:
        outcome = train(
            objective(problem),
            optimizer.build(config.optimizer),
            rate,
            config.train.gradient,
            Batches(jax.random.key(config.train.seed), problem.examples, problem.batch_size),
            initial(problem),
            lambda *_: training,
            steps=problem.steps,
            length=problem.chunk,
            stops=[period for period in (config.checkpoint.every_steps, config.train.evaluate_every) if period],
            training_loss=lambda params: evaluator(params, training, data.y_train)["loss"],
            on_look=on_look,
        )
    final = outcome.params if kept is None else kept
    params = {name: np.asarray(final[name]) for name in problem.shapes}
    record.parameters(_host(final))
    device = jax.devices()[0]
    result: dict[str, Any] = {
        "status": "done" if outcome.diverged_at is None else "diverged",
        "diverged_at_step": outcome.diverged_at,
        "steps": outcome.steps,
        "stopped_early": stopping.is_over(best, config.train),
        "parameters_step": outcome.steps if kept is None else best.step,
        "best": None if kept is None else {"watch": config.train.watch, "step": best.step, "value": best.value},
        "name": config.name,
        "data": data.name,
        "model": config.model.kind,
        "task": data.task,
        "parameters": problem.parameters,
        "train": evaluator(final, training, data.y_train),
        "validation": assess(final),
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
    evaluation = evaluate(problem, final, evaluator)
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
    arrays = {name: np.asarray(array) for name, array in params.items()}
    return {name: a if a.dtype.kind == "f" else a.astype(np.float32) for name, a in arrays.items()}


def _device_name(device: Any) -> str:
    kind = platform.processor() or platform.machine() if device.platform == "cpu" else device.device_kind
    return f"{device.platform.upper()} {kind}, {os.cpu_count()} host cores"
