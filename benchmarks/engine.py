"""The derivatives of `jmc.jacobian` and `jmc.hessian` against JAX's modes and against formulas written by hand.

    python benchmarks/engine.py [CASE …] [--rounds 15] [--json FILE]

AD is the better of jacfwd and jacrev, for Hessians of jax.hessian and jacrev(grad); the expert computes, compiled,
what the structure leaves to compute, and "expert dense" makes the dense array of it. "structured" is the arrays in the
maps of `jit(jmc.jacobian(f))`, "computed" those among them that are not arguments of f, which a program can only return
as copies; "dense" is `jit` of `jmc.dense` of the maps, likewise row_norms, row_gram and diagonal.
Before anything is timed, everything is compared with a derivative taken in float64. Every ratio says how many times
as long the first takes as the second. The process restarts itself with one thread and the malloc settings of
`jmc.bench.timing`: with glibc's own, faulting pages of large results takes longer than computing them.
"""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jmc.bench.timing import Comparison, compare, compile_seconds, pin_process, pinned_environment

if TYPE_CHECKING:
    from engine_cases import Case

FLOOR = 0.9  # no slower than this against AD where no figure is wanted, nor against the expert
OVERALL = 2.0  # geometric means of compiling and of eager calls, as multiples of AD
LARGEST_BASIS = 2**29  # bytes: a mode whose basis of unit vectors is larger cannot be the better one
COMPILES = 3


class Line(NamedTuple):
    """One line of the table."""

    case: str
    what: str
    measured: str
    interval: str = ""
    wanted: str = ""
    reached: str = ""


def size(tree: Any) -> int:
    import jax

    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def modes(case: "Case") -> Mapping[str, Callable[..., Any]]:
    import jax

    if case.ad is not None:
        return case.ad
    if case.hessian:
        return {"jax.hessian": jax.hessian(case.f), "jacrev(grad)": jax.jacrev(jax.grad(case.f))}
    inputs, outputs = size(case.args[0]), size(jax.eval_shape(case.f, *case.args))
    bases = {"jacfwd": (jax.jacfwd(case.f), inputs), "jacrev": (jax.jacrev(case.f), outputs)}
    return {name: mode for name, (mode, n) in bases.items() if 4 * n * n <= LARGEST_BASIS}


def engine(case: "Case") -> dict[str, Callable[..., Any]]:
    """The map, and what `case.read` asks of it."""
    import jmc

    derivative: Any = (jmc.hessian if case.hessian else jmc.jacobian)(case.f)
    readers: dict[str, Callable[[Any], Any]] = {
        "dense": lambda J: jmc.dense(J),
        "row_norms": lambda J: jmc.row_norms(J),
        "row_gram": lambda J: jmc.dense(jmc.row_gram(J)),
        "diagonal": lambda J: J.diagonal(),
    }
    read = readers[case.read]
    return {"map": derivative, case.read: lambda *args: read(derivative(*args))}


def expert(case: "Case") -> dict[str, Callable[..., Any]]:
    found = {"expert": case.expert}
    if (expand := case.expand) is not None:
        found["expert dense"] = lambda *args: expand(case.expert(*args), *args)
    return found


def check(case: "Case", contenders: Mapping[str, Callable[..., Any]]) -> None:
    """Every contender's float32 answer is that of AD in float64, which the expert's formula also gives.

    Raises AssertionError.
    """
    import jax
    import numpy as np

    def agree(name: str, found: Any, tolerance: float) -> None:
        assert jax.tree.structure(found) == jax.tree.structure(wanted), f"{name}: the trees differ"
        for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            assert ours.shape == theirs.shape, f"{name}: shape {ours.shape}, not {theirs.shape}"
            error = np.max(np.abs(np.asarray(ours, np.float64) - theirs)) / np.max(np.abs(theirs))
            assert error <= tolerance, f"{name}: off by {error:.1e} of the largest entry, more than {tolerance:.0e}"

    dense = "expert dense" if case.expand else "expert"
    reference = case.reference or next(iter(modes(case).values()))
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda x: np.asarray(x, np.float64), case.args)
        wanted = jax.tree.map(np.asarray, jax.jit(reference)(*exact))
        agree(f"{dense} in float64", jax.jit(expert(case)[dense])(*exact), 1e-12)
    parts = {"expert", "structured", "computed", *(case.ad or {} if case.reference else {})}
    for name in {*contenders} - parts | {dense}:
        agree(name, jax.jit(contenders[name])(*case.args), 2e-5)


def without_references(derivative: Callable[..., Any]) -> Callable[..., list[Any]]:
    """The arrays of the maps that are not arguments of the function: a program that returns those copies them."""
    import jax

    def computed(*args: Any) -> list[Any]:
        references = {id(leaf) for leaf in jax.tree.leaves(args)}
        return [leaf for leaf in jax.tree.leaves(derivative(*args)) if id(leaf) not in references]

    return computed


def compiled(contenders: Mapping[str, Callable[..., Any]], args: Any) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds of tracing and compiling with JAX's caches empty (the median of a few), and bytes of temporaries."""
    import jax

    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    temporaries = {}
    for _ in range(COMPILES):
        for name, contender in contenders.items():
            jax.clear_caches()
            executable, taken = compile_seconds(jax.jit(lambda *args, f=contender: f(*args)), *args)
            seconds[name].append(taken)
            temporaries[name] = executable.memory_analysis().temp_size_in_bytes
    return {name: statistics.median(taken) for name, taken in seconds.items()}, temporaries


def measure(name: str, case: "Case", rounds: int) -> tuple[dict[str, Any], list[Line]]:
    """Everything measured of one case, and its lines of the table."""
    import jax

    args, ad, ours = case.args, modes(case), engine(case)
    derivative = ours.pop("map")
    if case.read in ("dense", "diagonal"):
        ours["structured"] = lambda *args: jax.tree.leaves(derivative(*args))
        computed = without_references(derivative)
        if 0 < len(jax.eval_shape(computed, *args)) < len(jax.eval_shape(ours["structured"], *args)):
            ours["computed"] = computed
    contenders = {**ad, **expert(case), **ours}
    check(case, contenders)
    maps = jax.tree.leaves(jax.jit(derivative)(*args), is_leaf=lambda node: hasattr(node, "structure"))
    seconds, temporaries = compiled(contenders, args)

    def bind(function: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: function(*args)

    timed = compare({key: bind(jax.jit(function)) for key, function in contenders.items()}, rounds=rounds)
    record: dict[str, Any] = {
        "structure": [found.structure for found in maps],
        "stored": sum(found.stored for found in maps),
        "times": timed.to_dict(),
        "compile_seconds": seconds,
        "temporary_bytes": temporaries,
    }
    shown = [Line(name, "structure", ", ".join(record["structure"])[:100])]
    if ad:
        best = min(ad, key=lambda mode: timed.per_call(mode).median)
        eager_ad = "jacfwd" if "jacfwd" in ad else best
        mine = derivative if "structured" in ours else ours[case.read]
        eager = compare({"AD": bind(ad[eager_ad]), "jmc": bind(mine)}, rounds=max(3, rounds // 3))
        judged = [key for key in ours if case.ad is None or key in case.wanted]
        record |= {"ad": best, "eager_ad": eager_ad, "eager": eager.to_dict()}
        record["eager_ratio"] = eager.ratio("jmc", "AD").median
        record["compile_ratio"] = max(seconds[key] for key in judged) / seconds[best]
        shown += [ratio(name, timed, best, key, case.wanted.get(key, FLOOR)) for key in judged]
        if "dense" in judged:
            shown.append(ratio(name, timed, best, "expert dense"))
        allowed = (1.1 * temporaries[best] + 1e6) / 1e6
        shown += [at_most(name, f"MB of temporaries, {key}", temporaries[key] / 1e6, allowed) for key in judged]
        shown.append(Line(name, f"trace + compile ÷ {best}", f"{record['compile_ratio']:.3g}"))
        shown.append(Line(name, f"eager ÷ eager {eager_ad}", f"{record['eager_ratio']:.3g}"))
    shown.append(ratio(name, timed, "expert", list(ours)[-1], FLOOR))
    return record, shown


def ratio(case: str, timed: Comparison, slow: str, fast: str, wanted: float | None = None) -> Line:
    found = timed.ratio(slow, fast)
    line = Line(case, f"{slow} ÷ {fast}", f"{found.median:.3g}", f"[{found.low:.3g}, {found.high:.3g}]")
    return line if wanted is None else line._replace(wanted=f"≥ {wanted:g}", reached=answer(found.median >= wanted))


def at_most(case: str, what: str, found: float, wanted: float) -> Line:
    return Line(case, what, f"{found:.3g}", "", f"≤ {wanted:.3g}", answer(found <= wanted))


def answer(reached: bool) -> str:
    return "yes" if reached else "NO"


def overall(cases: Mapping[str, dict[str, Any]]) -> list[Line]:
    """The geometric means over all cases."""
    shown = []
    for what, key in (("trace + compile", "compile_ratio"), ("eager", "eager_ratio")):
        if found := [case[key] for case in cases.values() if key in case]:
            mean = statistics.geometric_mean(found)
            shown.append(at_most("all", f"{what} ÷ AD, geometric mean", mean, OVERALL))
    return shown


def table(lines: list[Line]) -> str:
    rows = [Line(*Line._fields), *lines]
    aligned = [row for row in rows if row.what not in ("structure", "failed")]
    widths = [max(map(len, column)) for column in zip(*aligned, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="all of them if none is named")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    pin_process(threads=1)
    import engine_cases
    import engine_networks
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
    cases = engine_cases.CASES | engine_networks.CASES
    if unknown := set(options.cases) - set(cases):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    measured, shown = {}, []
    for name in options.cases or cases:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            measured[name], lines = measure(name, cases[name](), options.rounds)
        except Exception as error:  # the other cases are still worth measuring
            lines = [Line(name, "failed", f"{type(error).__name__}: {error}".splitlines()[0][:160], reached="NO")]
        shown += lines
    shown += overall(measured)
    print(table(shown))
    if options.json:
        record = {
            "cases": measured,
            "table": [line._asdict() for line in shown],
            "environment": pinned_environment(1),
            "asynchronous_dispatch": False,
            "device": str(jax.devices()[0]),
            "machine": platform.machine(),
            "versions": {"jax": jax.__version__, "python": platform.python_version()},
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(line.reached == "NO" for line in shown))


if __name__ == "__main__":
    sys.exit(main())
