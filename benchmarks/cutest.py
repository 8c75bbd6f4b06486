"""The Hessians of CUTEst: `jmc.hessian` against `jax.hessian`, in float64, on unconstrained and bounded problems.

    python benchmarks/cutest.py --json FILE [--problems NAME …] [--largest 2000] [--limit 300]

The problems are those of sif2jax (the dependency group `bench`). Each is compared where its own search starts and at a
random point near by: the Hessian and its product with a vector, or the product alone where `jax.hessian` has no room.
A problem that FILE holds is not run again unless it is named. A process that is late is killed, and a new one goes on;
jmc, which compiles three programs, has the limit and five times what JAX took. The data of a problem are constants of
the compiled programs, on both sides. The process restarts itself with one thread and the malloc settings of
`jmc.bench.timing`.
"""

import argparse
import contextlib
import json
import multiprocessing
import platform
import signal
import statistics
import sys
import time
import traceback
import types
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from jmc.bench.timing import compare as compare_times
from jmc.bench.timing import compile_seconds, pin_process, pinned_environment
from jmc.checking.comparison import compare
from jmc.checking.oracles import Estimate

IMPORT_LIMIT = 600
ROUNDS = 7
NUDGES = 4
LARGEST_DENSE = 4000
EPS = float(np.finfo(np.float64).eps)


def load() -> dict[str, Any]:
    """The problems by name; without one constrained problem whose module takes over a minute to import."""
    import jax

    jax.config.update("jax_enable_x64", True)
    absent: Any = types.SimpleNamespace(CLEUVEN7=lambda: types.SimpleNamespace(name="CLEUVEN7"))
    sys.modules.setdefault("sif2jax.cutest._constrained_minimisation.cleuven7", absent)
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


class Oracle:
    """A function of a point (and a vector) by automatic differentiation, in two modes."""

    def __init__(self, mode: Callable[..., Any], other: Callable[..., Any], *args: np.ndarray) -> None:
        import jax

        self.run, self.compile_seconds = compile_seconds(jax.jit(mode), *args)
        self.other = jax.jit(other)

    def complaint(self, value: Any, y: np.ndarray, *v: np.ndarray) -> str:
        """Why a value is wrong; nothing if it is right, or where automatic differentiation gives nan.

        It may be off as much as the point's own rounding moves it, or as the two modes are apart.
        """
        value, expected, signs = np.asarray(value), np.asarray(self.run(y, *v)), np.random.default_rng(0)
        moved = [y + EPS * np.where(y, y, 1) * signs.choice((-1.0, 1.0), y.shape) for _ in range(NUDGES)]
        spread = np.max([distance(self.run(y, *v), expected) for y in moved], axis=0)
        value = np.where(np.isnan(expected), np.nan, value)
        verdict = compare(value, expected, spread, equal_nan=True)
        if not verdict.ok:
            apart = 4 * distance(self.other(y, *v), expected)
            verdict = compare(value, Estimate("jax", expected, apart), spread, equal_nan=True)
        return "" if verdict.ok else str(verdict)


def distance(a: Any, b: np.ndarray) -> np.ndarray:
    """|a − b|, and 0 where that is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.nan_to_num(np.abs(np.asarray(a) - b), posinf=0)


class Reference:
    """What `jax.hessian` makes of a problem: the Hessian if there is room for it, and products with a vector."""

    def __init__(self, problem: Any) -> None:
        import jax

        def f(y: Any) -> Any:
            return problem.objective(y, problem.args)

        self.f, self.points, grad = f, points(problem), jax.grad(f)
        start = self.points[0]
        self.v = np.random.default_rng(1).uniform(-1, 1, start.shape)
        in_reverse = jax.grad(lambda y, v: grad(y) @ v)
        self.product = Oracle(lambda y, v: jax.jvp(grad, (y,), (v,))[1], in_reverse, start, self.v)
        self.facts: dict[str, Any] = {}
        self.hessian: Oracle | None = None
        if start.size > LARGEST_DENSE:
            return
        try:
            hessian = Oracle(jax.hessian(f), jax.jacrev(grad), start)
            found = [np.asarray(hessian.run(y)) for y in self.points]
        except jax.errors.JaxRuntimeError as error:
            self.facts["jax.hessian"] = str(error).partition("\n")[0]
            return
        self.hessian = hessian
        self.facts["jax_compile_seconds"] = hessian.compile_seconds
        self.facts["density"] = max(np.count_nonzero(H) for H in found) / start.size**2


def measure(reference: Reference) -> dict[str, Any]:
    """What jmc makes of a problem: right or wrong, structure, numbers stored, seconds."""
    import jax

    import jmc

    f, start, v, hessian = reference.f, reference.points[0], reference.v, reference.hessian
    facts: dict[str, Any] = {}

    def structured(y: Any) -> Any:
        H = jmc.hessian(f)(y)
        facts.update(structure=H.structure, stored=int(H.stored))
        return H

    compact, seconds = compile_seconds(jax.jit(structured), start)
    compiling, contenders = {"structured": seconds}, {"structured": lambda: compact(start)}
    product = jax.jit(lambda H, v: H.mv(v))
    complaints = [("mv", reference.product.complaint(product(compact(y), v), y, v)) for y in reference.points]
    if hessian is not None:
        dense, compiling["dense"] = compile_seconds(jax.jit(lambda y: jmc.hessian(f)(y).dense()), start)
        complaints += [("dense", hessian.complaint(dense(y), y)) for y in reference.points]
        contenders |= {"jax": lambda: hessian.run(start), "dense": lambda: dense(start)}
    times = compare_times(contenders, rounds=ROUNDS, warmup=1, min_round_seconds=0.002)
    return facts | {
        "verdict": "wrong" if any(why for _, why in complaints) else "right",
        "complaints": [f"{what}: {why}" for what, why in complaints if why],
        "compile_seconds": compiling,
        "seconds": {name: times.per_call(name).median for name in contenders},
        "speedup": {name: 1 / times.ratio(name, "jax").median for name in compiling if hessian is not None},
    }


def failure(error: Exception) -> dict[str, Any]:
    """A refusal is an exception of jmc's own or one that says so; anything else is an error."""
    ours = type(error).__module__.partition(".")[0] == "jmc"
    verdict = "refused" if ours or isinstance(error, NotImplementedError) else "error"
    frames = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
    return {"verdict": verdict, "complaints": [f"{type(error).__name__}: {error}"[:1000]], "frames": frames}


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
            connection.send(reference.facts | {"jax_wall_seconds": time.perf_counter() - began})
        except Exception as error:
            connection.send(failure(error) | {"verdict": "no reference"})
            continue
        try:
            connection.send(measure(reference))
        except Exception as error:
            connection.send(failure(error))


class Process:
    """A worker that is started when needed, and killed when it is late."""

    def __init__(self, limit: float, largest: int) -> None:
        self.limit, self.largest = limit, largest
        self.process: Any = None

    def start(self) -> dict[str, int]:
        spawn = multiprocessing.get_context("spawn")
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=worker, args=(theirs, self.largest), daemon=True)
        self.process.start()
        theirs.close()
        if sizes := self.answer(IMPORT_LIMIT):
            return sizes
        raise SystemExit("the problems cannot be loaded: is the dependency group `bench` installed?")

    def answer(self, limit: float) -> dict[str, Any] | None:
        """What the worker says within the limit; else None, and the worker is gone."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            if self.connection.poll(limit):
                return self.connection.recv()
        self.process.kill()
        self.process.join()
        self.process = None
        return None

    def run(self, name: str) -> dict[str, Any]:
        if self.process is None:
            self.start()
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
    if speedup := found.get("speedup"):
        text += " {dense:6.2f}× {structured:6.2f}×".format(**speedup)
    if "stored" in found:
        text += f"  stored {found['stored']} of {found['n'] ** 2}  {found['structure'][:60]}"
    return "\n    ".join([text, *(complaint[:200] for complaint in found["complaints"])])


def summary(results: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts of verdicts; shares stored; medians of speed, and the geometric mean of the compile times."""
    measured = [found for found in results.values() if found.get("speedup")]
    shares = [found["stored"] / found["n"] ** 2 for found in results.values() if found["n"] >= 50 and "stored" in found]
    told: dict[str, Any] = {"problems": len(results), **Counter(found["verdict"] for found in results.values())}
    if shares:
        told["n ≥ 50"] = {
            "problems": sum(found["n"] >= 50 for found in results.values()),
            "stored in ≤ 20 % of dense": sum(share <= 0.2 for share in shares),
            "median of stored ÷ dense": statistics.median(shares),
        }
    for title, some in (("all", measured), ("n ≥ 50", [found for found in measured if found["n"] >= 50])):
        for contender in ("dense", "structured") if some else ():
            compiling = [found["jax_compile_seconds"] / found["compile_seconds"][contender] for found in some]
            told[f"jax.hessian ÷ {contender}, {title}"] = {
                "run, median": statistics.median(found["speedup"][contender] for found in some),
                "compile, geometric mean": statistics.geometric_mean(compiling),
            }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="keep the results in this file, and go on from what it holds")
    parser.add_argument("--problems", nargs="+", metavar="NAME", help="run these, again if need be")
    parser.add_argument("--largest", type=int, default=2000, help="the most variables a problem may have")
    parser.add_argument("--limit", type=float, default=300, help="seconds for each side of each problem")
    options = parser.parse_args()
    pin_process(threads=1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit that takes the worker along

    kept = options.json and options.json.exists()
    results: dict[str, dict[str, Any]] = json.loads(options.json.read_text())["problems"] if kept else {}
    process = Process(options.limit, options.largest)
    sizes = process.start()
    names = options.problems or [name for name in sizes if name not in results]
    if unknown := set(names) - set(sizes):
        parser.error(f"no such problem of at most {options.largest} variables: {', '.join(sorted(unknown))}")
    for count, name in enumerate(sorted(names, key=sizes.__getitem__), 1):
        results[name] = {"n": sizes[name], **process.run(name)}
        print(f"[{count}/{len(names)}] {line(name, results[name])}", flush=True)
        save(options.json, results, options.limit)
    print(json.dumps(summary(results), indent=1, ensure_ascii=False))


def save(file: Path | None, results: dict[str, dict[str, Any]], limit: float) -> None:
    if not file:
        return
    record = {
        "summary": summary(results),
        "problems": results,
        "limit_seconds": limit,
        "environment": pinned_environment(1),
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("jax", "sif2jax")}},
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=1) + "\n")
    partial.replace(file)


if __name__ == "__main__":
    main()
