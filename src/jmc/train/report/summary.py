"""What a run says about itself on the terminal."""

from collections.abc import Iterator
from typing import Any

from jmc.train.data.memory import in_bytes
from jmc.train.learning.problem import Problem


def headline(problem: Problem) -> str:
    config = problem.config
    batch = "full batch" if problem.batch_size is None else f"batches of {problem.batch_size}"
    dtype, compute = config.train.dtype, problem.compute_dtype
    return (
        f"{config.model.kind} on {problem.data.name} · {problem.parameters:,} parameters · "
        f"{problem.steps:,} steps of {config.optimizer.kind}, {batch}, {dtype}"
        + f" computed in {compute}"
        * (compute != dtype)
    )


def describe(problem: Problem) -> str:
    summary = problem.summary()
    shapes = " · ".join(f"{name} {tuple(shape)}" for name, shape in summary["shapes"].items())
    examples = f"{summary['training_examples']:,} training, {summary['validation_examples']:,} validation"
    lines = {
        "data": f"{summary['data']}: {examples} examples of {summary['features']} features, {summary['task']}"
        + ", streamed" * summary["streamed"],
        "model": f"{problem.config.model.kind}: {shapes}",
        "parameters": f"{summary['parameters']:,}",
        "steps": f"{summary['steps']:,}, batch {summary['batch_size']:,}, seen every {summary['chunk_steps']:,}",
        "FLOPs per step": f"{summary['flops_per_step']:,} in matrix products",
        "memory": f"about {in_bytes(summary['memory_bytes'])}",
    }
    return "\n".join(_aligned(lines))


def report(result: dict[str, Any]) -> str:
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
    kept, best = result["parameters_step"], result["best"]
    if best:
        watch = best["watch"].replace("_", " ")
        why = f"; it was no better by step {result['steps']:,}, which ended training" if result["stopped_early"] else ""
        lines = {"kept": f"the parameters of step {kept:,}, whose {watch} {best['value']:.4g} is the best{why}"} | lines
    if result["status"] == "diverged":
        step = result["diverged_at_step"]
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
