"""A run from its first step, or where it was left, to its report: what is written down, and what comes of it."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jmc.train.config.loading import to_toml
from jmc.train.data.dataset import Dataset
from jmc.train.learning import stopping
from jmc.train.learning.evaluation import Evaluator, evaluate
from jmc.train.learning.feed import feeding
from jmc.train.learning.loop import Batches, Look, Progress, StartDivergedError, train
from jmc.train.learning.model import Params, initial, objective
from jmc.train.learning.optimizer import build, schedule
from jmc.train.learning.problem import Problem
from jmc.train.learning.stopping import Best
from jmc.train.persistence import checkpoint, environment, resume, state
from jmc.train.persistence.record import CHECKPOINTS, Record, create, reopen, sha256, write_config
from jmc.train.persistence.resume import Found, candidates
from jmc.train.persistence.saver import Saver
from jmc.train.persistence.sinks import sinks
from jmc.train.persistence.state import Kept
from jmc.train.report.page import render
from jmc.train.report.progress import note, progress
from jmc.train.report.summary import headline
from jmc.train.signals import Interruption


def fit(
    problem: Problem, directory: Path, *, resumed: bool, interruption: Interruption, quiet: bool, began: float
) -> dict[str, Any]:
    """Train, and write what comes of it to ``directory``; returns what result.json holds.

    A resumed run goes on from its newest checkpoint that is whole, or from its beginning. ``began`` is the
    ``time.perf_counter()`` that this process's part is counted from. Raises InterruptedRunError once the state is
    saved, and whatever `candidates` and the storage raise.
    """
    about = resume.about(problem)
    for record, found in _begin(problem, directory, about, resumed):
        with contextlib.closing(record):
            try:
                return _fit(problem, record, found, about, interruption, quiet=quiet, began=began)
            except StartDivergedError as error:
                note(f"{error}; going on from the checkpoint before", quiet=quiet)
    raise AssertionError("no step comes before the beginning of a run")


def _begin(
    problem: Problem, directory: Path, about: dict[str, Any], resumed: bool
) -> Iterator[tuple[Record, Found | None]]:
    """The record of the run, and the checkpoint to go on from, None for the beginning: the newest, then older ones."""
    toml = to_toml(problem.config)
    if not resumed:
        yield create(directory, problem.config.name, toml), None
        return
    params, optimizer, batches = _skeleton(problem)
    template = state.template(params, optimizer, _watched(problem), batches, problem.data)
    for found in candidates(directory / CHECKPOINTS, problem, about, template):
        write_config(directory, toml)
        yield reopen(directory, found.step if found else 0), found


def _watched(problem: Problem) -> bool:
    """Whether the best parameters are kept."""
    return problem.config.train.patience is not None


def _skeleton(problem: Problem) -> tuple[dict[str, jax.ShapeDtypeStruct], optax.GradientTransformation, Batches]:
    """The shapes of the parameters, the optimizer, and the draws."""
    dtype = jnp.dtype(problem.config.train.dtype)
    params = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape in problem.shapes.items()}
    key, streamed = jax.random.key(problem.config.train.seed), problem.data.stream is not None
    batches = Batches(key, problem.examples, problem.batch_size, in_order=streamed)
    return params, build(problem.config.optimizer), batches


def _fit(
    problem: Problem,
    record: Record,
    found: Found | None,
    about: dict[str, Any],
    interruption: Interruption,
    *,
    quiet: bool,
    began: float,
) -> dict[str, Any]:
    config, data = problem.config, problem.data
    evaluator = Evaluator(problem)
    training = evaluator.arrays(data.X_train, data.y_train)
    validation = evaluator.arrays(data.X_valid, data.y_valid) if len(data.y_valid) else None
    rate = schedule(config.optimizer, problem.steps)
    skeleton, optimizer, batches = _skeleton(problem)
    if found:
        start, kept = state.from_arrays(found.step, found.arrays, skeleton, optimizer, _watched(problem))
    else:
        params = initial(problem)
        start = Progress(0, params, optimizer.init(params))
        kept = Kept(Best(), params) if _watched(problem) else None
    about = about | {"departures": found.departures if found else []}
    last = start

    def assess(params: Params) -> dict[str, float] | None:
        return evaluator(params, validation, data.y_valid) if validation else None

    def on_look(look: Look) -> bool:
        nonlocal kept
        row: dict[str, Any] = {"step": look.step, "loss": look.loss}
        if look.step % (config.train.evaluate_every or 1) == 0 or look.step == problem.steps:
            row |= {f"validation_{name}": value for name, value in (assess(look.params) or {}).items()}
        row |= {
            "learning_rate": float(np.asarray(rate(look.step - 1))),
            "seconds": look.seconds,
            "steps_per_second": look.step / look.seconds,
        }
        for kind, norms in look.norms._asdict().items():
            row |= {f"{kind}_norm/{name}": float(norms[name]) for name in problem.shapes}
        record.metrics(row)
        sink(row)
        if kept and config.train.watch in row:
            best = stopping.update(kept.best, look.step, row[config.train.watch], config.train)
            kept = Kept(best, look.params if best.step == look.step else kept.params)
        advance(row)
        return kept is not None and stopping.is_over(kept.best, config.train)

    def save(now: Progress) -> None:
        arrays = state.to_arrays(now, kept, batches, data)

        def write() -> None:
            if all(np.isfinite(np.asarray(array)).all() for array in now.params.values()):
                record.sync()
                checkpoint.save(record.directory / CHECKPOINTS, now.step, arrays, about, config.checkpoint.keep)

        saver.save(write)

    def on_chunk(now: Progress) -> None:
        nonlocal last
        last = now
        if interruption.pending:
            save(now)
            saver.wait()
            interruption.check()
        elif now.step < problem.steps and saver.is_due(now.step):
            save(now)

    load_seconds = time.perf_counter() - began
    begins = f"from step {start.step:,} of " if found else ""
    note(f"{begins}{headline(problem)} → {record.directory}", quiet=quiet)
    over = kept is not None and stopping.is_over(kept.best, config.train)
    with (
        contextlib.closing(Saver(config.checkpoint)) as saver,
        progress(problem.steps, quiet=quiet) as advance,
        sinks(problem, record.directory, record.rows) as sink,
        feeding(problem, evaluator.targets, training) as examples,
    ):
        outcome = train(
            objective(problem),
            optimizer,
            rate,
            config.train.gradient,
            batches,
            start,
            examples,
            steps=start.step if over else problem.steps,
            length=problem.chunk,
            looks=[period for period in (problem.row_steps, config.train.evaluate_every) if period],
            microbatches=config.train.microbatches,
            stops=[period for period in (config.checkpoint.every_steps,) if period],
            training_loss=lambda params: evaluator(params, training, data.y_train)["loss"],
            on_look=on_look,
            on_chunk=on_chunk,
        )
        if outcome.diverged_at is None and last is not start:
            save(last)
        saver.wait()
    interruption.check()
    best = kept.best if kept and kept.best.step else None
    final = kept.params if kept and best else outcome.params
    params = {name: np.asarray(final[name]) for name in problem.shapes}
    record.parameters(final)
    result: dict[str, Any] = {
        "status": "done" if outcome.diverged_at is None else "diverged",
        "diverged_at_step": outcome.diverged_at,
        "steps": outcome.steps,
        "stopped_early": kept is not None and stopping.is_over(kept.best, config.train),
        "parameters_step": best.step if best else outcome.steps,
        "best": {"watch": config.train.watch, "step": best.step, "value": best.value} if best else None,
        "resumed_at_step": start.step if found else None,
        "departures": about["departures"],
        "name": config.name,
        "data": data.name,
        "model": config.model.kind,
        "task": data.task,
        "examples": {"training": data.n_training, "validation": data.n_validation},
        "sampled": None if data.stream is None else {"training": len(data.y_train), "validation": len(data.y_valid)},
        "parameters": problem.parameters,
        **_final_metrics(evaluator, data, final),
        "params_sha256": sha256(params),
        "dtype": config.train.dtype,
        "compute_dtype": problem.compute_dtype,
        "gradient": config.train.gradient,
        "seed": config.train.seed,
        "device": environment.device(),
        "versions": environment.versions(),
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
    interruption.check()
    result["timings"]["total_seconds"] = time.perf_counter() - began
    record.result(result)
    record.report(
        render(name=config.name, config_toml=to_toml(config), rows=record.rows, result=result, evaluation=evaluation)
    )
    return result


def _final_metrics(evaluator: Evaluator, data: Dataset, params: Params) -> dict[str, dict[str, float] | None]:
    """The metrics of each part, over all its examples also where they are streamed."""
    if data.stream is None:
        parts = {"train": (data.X_train, data.y_train), "validation": (data.X_valid, data.y_valid)}
        return {
            name: evaluator(params, evaluator.arrays(X, y), y) if len(y) else None for name, (X, y) in parts.items()
        }
    validation = evaluator.over(params, data.stream.in_order(held_out=True)) if data.n_validation else None
    return {"train": evaluator.over(params, data.stream.in_order(held_out=False)), "validation": validation}
