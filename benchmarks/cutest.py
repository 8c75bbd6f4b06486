"""The Hessians of CUTEst: `jmc.hessian` against `jax.hessian`, in float64, on unconstrained and bounded problems.

    python benchmarks/cutest.py --json FILE [--problems NAME …] [--largest 2000] [--limit 120]

The problems are those of sif2jax (the dependency group `bench`). Each is compared where its own search starts and at a
random point near by. A problem that FILE holds is not run again unless it is named. A process that is late is killed,
and a new one goes on; jmc, which compiles three programs, has the limit and five times what JAX took. The data of a
problem are constants of the compiled programs, on both sides. The process restarts itself with one thread and the
malloc settings of `jmc.bench.timing`.
"""

import argparse
import json
import multiprocessing
import platform
import statistics
import sys
import time
import traceback
import types
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jmc.bench.timing import compare as compare_times
from jmc.bench.timing import compile_seconds, pin_process, pinned_environment
from jmc.checking.comparison import compare
from jmc.checking.oracles import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORT_LIMIT = 600
ROUNDS = 7
NUDGES = 4
EPS = float(np.finfo(np.float64).eps)


class Absent:
    """In the place of a constrained problem whose module takes over a minute to import."""

    name = "CLEUVEN7"


def load() -> dict[str, Any]:
    """The problems by name."""
    import jax

    jax.config.update("jax_enable_x64", True)
    module: Any = types.SimpleNamespace(CLEUVEN7=Absent)
    sys.modules.setdefault("sif2jax.cutest._constrained_minimisation.cleuven7", module)
    from sif2jax import cutest  # pyright: ignore[reportMissingImports] - only in the group `bench`

    return {p.name: p for p in (*cutest.unconstrained_minimisation_problems, *cutest.bounded_minimisation_problems)}


def points(problem: Any) -> list[np.ndarray]:
    """Where the search starts, and a random point near by, within the bounds: starts are often special."""
    start = np.asarray(problem.y0, np.float64)
    near = start + 0.1 * (1 + np.abs(start)) * np.random.default_rng(0).uniform(-1, 1, start.shape)
    if getattr(problem, "bounds", None) is not None:
        low, high = (np.asarray(bound, np.float64) for bound in problem.bounds)
        near = np.clip(near, low, high)
    return [start, near]


class Reference:
    """`jax.hessian` of one problem at its points, and how far each entry can be trusted."""

    def __init__(self, problem: Any) -> None:
        import jax

        self.f: Callable[..., Any] = lambda y: problem.objective(y, problem.args)
        self.points = points(problem)
        self.run, self.compile_seconds = compile_seconds(jax.jit(jax.hessian(self.f)), self.points[0])
        self.hessians = [np.asarray(self.run(y)) for y in self.points]

    def spread(self, k: int) -> np.ndarray:
        """How far the entries move when the point moves by its own rounding."""
        signs, y = np.random.default_rng(0), self.points[k]
        moved = [y + EPS * np.where(y, y, 1) * signs.choice((-1.0, 1.0), y.shape) for _ in range(NUDGES)]
        with np.errstate(invalid="ignore"):
            changes = [np.abs(np.asarray(self.run(y)) - self.hessians[k]) for y in moved]
        return np.max([np.where(np.isfinite(change), change, 0) for change in changes], axis=0)

    def disagreement(self, k: int) -> np.ndarray:
        """How far two modes of automatic differentiation are apart: cancellation that no nudge shows."""
        import jax

        other = np.asarray(jax.jit(jax.jacrev(jax.grad(self.f)))(self.points[k]))
        with np.errstate(invalid="ignore"):
            apart = np.abs(other - self.hessians[k])
        return np.where(np.isfinite(apart), apart, 0)

    def complaint(self, k: int, value: np.ndarray, v: np.ndarray | None = None) -> str:
        """Why `value` is not the Hessian at a point, or not its product with `v`; nothing if it is.

        Entries where `jax.hessian` is nan are free.
        """
        H, spread = self.hessians[k], self.spread(k)
        for doubt in (lambda _: np.zeros_like(H), self.disagreement):
            reference, moved, error = H, spread, 4 * doubt(k)
            if v is not None:
                size = np.abs(v)
                reference, moved, error = H @ v, spread @ size, (error + 1e-12 * np.abs(H)) @ size
            free = np.where(np.isnan(reference), np.nan, value)
            verdict = compare(free, Estimate("jax.hessian", reference, error), moved, equal_nan=True)
            if verdict.ok:
                return ""
        return f"{'Hessian' if v is None else 'mv'} at point {k}: {verdict}"


def measure(reference: Reference) -> dict[str, Any]:
    """What jmc makes of a problem: right or wrong, structure, numbers stored, seconds."""
    import jax

    import jmc

    f, start = reference.f, reference.points[0]
    facts: dict[str, Any] = {}

    def structured(y: Any) -> Any:
        H = jmc.hessian(f)(y)
        facts.update(structure=H.structure, stored=int(H.stored), flops=float(H.flops))
        return H

    compact, compact_seconds = compile_seconds(jax.jit(structured), start)
    dense, dense_seconds = compile_seconds(jax.jit(lambda y: jmc.hessian(f)(y).dense()), start)
    product = jax.jit(lambda H, v: H.mv(v))
    complaints = []
    for k, y in enumerate(reference.points):
        v = np.random.default_rng(1).uniform(-1, 1, start.shape)
        complaints.append(reference.complaint(k, np.asarray(dense(y))))
        complaints.append(reference.complaint(k, np.asarray(product(compact(y), v)), v))
    seconds = compare_times(
        {"jax": lambda: reference.run(start), "dense": lambda: dense(start), "structured": lambda: compact(start)},
        rounds=ROUNDS,
        warmup=1,
        min_round_seconds=0.002,
    )
    return facts | {
        "verdict": "wrong" if any(complaints) else "right",
        "complaints": list(filter(None, complaints)),
        "compile_seconds": {"structured": compact_seconds, "dense": dense_seconds},
        "seconds": {name: seconds.per_call(name).median for name in seconds.seconds},
        "speedup": {name: 1 / seconds.ratio(name, "jax").median for name in ("dense", "structured")},
    }


def failure(error: Exception) -> dict[str, Any]:
    """A refusal is an exception of jmc's own or one that says so; anything else is an error."""
    refused = type(error).__module__.partition(".")[0] == "jmc" or isinstance(error, NotImplementedError)
    frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
    text = f"{type(error).__name__}: {error}"[:1000]
    return {"verdict": "refused" if refused else "error", "complaints": [text], "frames": frames}


def worker(connection: Any, largest: int) -> None:
    """Names the problems, then answers each name with what JAX makes of it and, next, what jmc does."""
    problems = {name: p for name, p in load().items() if p.y0.size <= largest}
    connection.send({name: int(p.y0.size) for name, p in problems.items()})
    while True:
        try:
            name = connection.recv()
        except EOFError:
            return
        began = time.perf_counter()
        try:
            reference = Reference(problems[name])
            finite = [bool(np.isfinite(H).all()) for H in reference.hessians]
            nonzero = max(int(np.count_nonzero(H)) for H in reference.hessians)
            found = {"finite": finite, "nonzero": nonzero, "jax_compile_seconds": reference.compile_seconds}
            connection.send(found | {"jax_wall_seconds": time.perf_counter() - began})
        except Exception as error:
            connection.send(failure(error) | {"verdict": "no reference"})
            continue
        began = time.perf_counter()
        try:
            found = measure(reference)
        except Exception as error:
            found = failure(error)
        connection.send(found | {"wall_seconds": time.perf_counter() - began})


class Process:
    """A worker that is started when needed, and killed when it is late."""

    def __init__(self, limit: float, largest: int) -> None:
        self.limit, self.largest, self.process, self.connection = limit, largest, None, None

    def start(self) -> dict[str, int]:
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=worker, args=(theirs, self.largest), daemon=True)
        self.process.start()
        theirs.close()
        sizes = self.answer(IMPORT_LIMIT)
        if sizes is None:
            raise SystemExit("the problems cannot be loaded: is the dependency group `bench` installed?")
        return sizes

    def answer(self, limit: float) -> dict[str, Any] | None:
        """What the worker says within the limit; else None, and the worker is gone."""
        assert self.connection is not None
        assert self.process is not None
        try:
            if self.connection.poll(limit):
                return self.connection.recv()
        except (EOFError, ConnectionResetError):
            pass
        self.process.kill()
        self.process.join()
        self.process = None
        return None

    def run(self, name: str) -> dict[str, Any]:
        if self.process is None:
            self.start()
        assert self.connection is not None
        self.connection.send(name)
        found: dict[str, Any] = {}
        for late in ("no reference", "timeout"):
            answer = self.answer(self.limit + 5 * found.get("jax_wall_seconds", 0))
            found |= {"verdict": late, "complaints": ["late, or the process died"]} if answer is None else answer
            if "verdict" in found:
                break
        return found


def line(name: str, found: dict[str, Any]) -> str:
    text = f"{name:12} n={found['n']:<5} {found['verdict']:8}"
    if "speedup" in found:
        ratios = "{dense:6.2f}× {structured:6.2f}×".format(**found["speedup"])
        text += f" {ratios}  stored {found['stored']} of {found['n'] ** 2}  {found['structure'][:60]}"
    return text + "".join(f"\n    {complaint[:200]}" for complaint in found["complaints"] or ())


def summary(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts of verdicts; shares stored; medians of speed, and the geometric mean of the compile times."""
    measured = [found for found in results.values() if "speedup" in found]
    larger = [found for found in measured if found["n"] >= 50]
    shares = [found["stored"] / found["n"] ** 2 for found in larger]
    told: dict[str, Any] = {"problems": len(results), **Counter(found["verdict"] for found in results.values())}
    if larger:
        told["n ≥ 50"] = {
            "problems": sum(found["n"] >= 50 for found in results.values()),
            "stored in ≤ 20 % of dense": sum(share <= 0.2 for share in shares),
            "median of stored ÷ dense": statistics.median(shares),
        }
    for title, some in (("all", measured), ("n ≥ 50", larger)):
        for contender in ("dense", "structured"):
            if some:
                speed = statistics.median(found["speedup"][contender] for found in some)
                logs = [math.log(found["compile_seconds"][contender] / found["jax_compile_seconds"]) for found in some]
                told[f"jax.hessian ÷ {contender}, {title}"] = {
                    "run, median": speed,
                    "compile, geometric mean": math.exp(-statistics.mean(logs)),
                }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="keep the results in this file, and go on from what it holds")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="run these, again if need be")
    parser.add_argument("--largest", type=int, default=2000, help="the most variables a problem may have")
    parser.add_argument("--limit", type=float, default=120, help="seconds for each side of each problem")
    options = parser.parse_args()
    pin_process(threads=1)

    results: dict[str, dict[str, Any]] = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())["problems"]
    process = Process(options.limit, options.largest)
    sizes = process.start()
    names = options.problems or [name for name in sizes if name not in results]
    if unknown := set(names) - set(sizes):
        parser.error(f"no such problem of at most {options.largest} variables: {', '.join(sorted(unknown))}")
    for count, name in enumerate(sorted(names, key=sizes.__getitem__), 1):
        results[name] = {"n": sizes[name], **process.run(name)}
        print(f"[{count}/{len(names)}] {line(name, results[name])}", flush=True)
        if options.json:
            partial = options.json.with_suffix(".partial")
            partial.write_text(json.dumps(record(results, options.limit), indent=1) + "\n")
            partial.replace(options.json)
    print(json.dumps(summary(results), indent=1, ensure_ascii=False))


def record(results: dict[str, dict[str, Any]], limit: float) -> dict[str, Any]:
    return {
        "summary": summary(results),
        "problems": results,
        "limit_seconds": limit,
        "environment": pinned_environment(1),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("jax", "sif2jax")}},
    }


if __name__ == "__main__":
    main()
