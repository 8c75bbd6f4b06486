"""`jmc.check` on derivatives written by hand, right and wrong, beside JAX's and chex's checks of the same ones.

    python benchmarks/check.py [--half first|…|fifth|all] [--only NAME …] [--skip check|peers] [--json FILE]

A wrong derivative shall be judged wrong and its mistake be named: first, or among the first three findings; of two
mistakes at once, either. A right one, be it under another convention, shall raise no alarm. The peers accept or
reject: a rule is given to them as the custom derivative of the function, for the arguments that it speaks of.
"""

import argparse
import functools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from check_cases import EQUAL, Case, concrete, cotangent, dense, halves, named, positions

PEERS = ("check_grads", "chex")
SETS = ("first", "second", "third", "fourth", "fifth", "all")


def flat(kind: Any) -> str:
    return f"convention: {kind[1]}" if named(kind) else kind


def expected(case: Case) -> set[str]:
    """The names of the findings that would be right; empty where there is nothing to find."""
    return {kind[1] if named(kind) else kind for kind in case.kinds if kind != EQUAL}


def ask(case: Case) -> dict[str, Any]:
    """What jmc says, how high it ranks the right kind, and for how long it thinks."""
    import jmc

    check: Any = jmc.check
    keywords: dict[str, Any] = {} if case.mode == "own" else {case.mode: case.claim}
    if case.mode not in ("vjp", "jvp"):
        keywords["argnums"] = case.argnums
    start = time.perf_counter()
    try:
        report = check(case.f, *case.args, **keywords)
    except Exception as problem:  # a check that breaks down is one more thing that a check can get wrong
        told = f"{type(problem).__name__}: {str(problem)[:300]}"
        return {"verdict": "failed", "findings": [told], "rank": None, "seconds": time.perf_counter() - start}
    found = [finding.kind for finding in report.findings]
    rank = next((i for i, kind in enumerate(found, 1) if kind in expected(case)), None)
    seconds = time.perf_counter() - start
    return {"verdict": report.verdict, "findings": found, "rank": rank, "seconds": seconds}


def ruled(case: Case) -> tuple[Callable[..., Any], list[Any], str]:
    """The function with the claim as its custom derivative, the numbers that it depends on, and the mode to check."""
    args = concrete(case.args)
    f, claim = case.f, case.claim
    if claim is None:
        wrt = list(positions(case))
    elif case.mode == "jvp":
        wrt = list(range(len(args)))
    elif case.mode == "vjp":
        wrt = [i for i, g in enumerate(claim(args, cotangent(f, args))) if g is not None]
    else:
        wrt = list(positions(case))
    leaves, tree = jax.tree.flatten([args[i] for i in wrt])

    def whole(numbers: Sequence[Any]) -> tuple[Any, ...]:
        moved = dict(zip(wrt, jax.tree.unflatten(tree, numbers), strict=True))
        return tuple(moved.get(i, a) for i, a in enumerate(args))

    def primal(*numbers: Any) -> Any:
        return (jax.grad(f, case.argnums) if case.mode == "hessian" else f)(*whole(numbers))

    if claim is None:
        return primal, leaves, "rev"
    if case.mode == "jvp":
        forwards = jax.custom_jvp(primal)
        forwards.defjvp(lambda numbers, tangents: (primal(*numbers), claim(whole(numbers), whole(tangents))))
        return forwards, leaves, "fwd"

    def pull(numbers: Sequence[Any], u: Any) -> tuple[Any, ...]:
        if case.mode == "vjp":
            given = claim(whole(numbers), u)
            return tuple(jnp.asarray(g) for g in jax.tree.leaves([given[i] for i in wrt]))
        return tuple(jnp.tensordot(u, J, u.ndim) for J in dense(claim(*whole(numbers))))

    backwards = jax.custom_vjp(primal)
    backwards.defvjp(lambda *numbers: (primal(*numbers), numbers), pull)
    return backwards, leaves, "rev"


def peers(case: Case) -> dict[str, str]:
    """accepted, rejected, or what went wrong."""
    import chex
    from jax.test_util import check_grads

    checks = {"check_grads": check_grads, "chex": chex.assert_numerical_grads}
    said = {}
    for name in PEERS:
        try:
            g, leaves, mode = ruled(case)
            checks[name](g, tuple(leaves), order=1, modes=[mode])
            said[name] = "accepted"
        except AssertionError:
            said[name] = "rejected"
        except Exception as problem:  # mostly shapes that do not fit, which is a way of rejecting
            said[name] = f"rejected with {type(problem).__name__}: {str(problem)[:100]}"
    return said


def percent(part: int, whole: int) -> str:
    return f"{part:3d} of {whole:3d}  {100 * part / whole:5.1f} %" if whole else "none"


def summary(lines: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    table = [
        ("cases", f"{sum(not line['right'] for line in lines)} wrong, {sum(line['right'] for line in lines)} right")
    ]

    def row(what: str, among: Sequence[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> None:
        table.append((what, percent(sum(map(holds, among)), len(among))))

    def told(key: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The wrong ones and the right ones of which this is known."""
        known = [line for line in lines if key in line]
        return [line for line in known if not line["right"]], [line for line in known if line["right"]]

    wrong, right = told("verdict")
    if wrong or right:
        conventions = [line for line in right if EQUAL not in line["kinds"]]
        row("wrong ones: judged wrong", wrong, lambda line: line["verdict"] == "wrong")
        row("wrong ones: right kind first", wrong, lambda line: line["rank"] == 1)
        row("wrong ones: among the first three", wrong, lambda line: (line["rank"] or 9) <= 3)
        row("wrong ones: undecided", wrong, lambda line: line["verdict"] == "undecided")
        row("right ones: false alarms", right, lambda line: line["verdict"] in ("wrong", "failed"))
        row("right ones: undecided", right, lambda line: line["verdict"] == "undecided")
        row("other conventions: named", conventions, lambda line: line["verdict"] == "convention" and line["rank"] == 1)
        seconds = [line["seconds"] for line in (*wrong, *right)]
        table.append(("seconds", f"{sum(seconds):.0f} in all, {max(seconds):.1f} at most"))
    for peer in PEERS:
        wrong, right = told(peer)
        if wrong or right:
            row(f"{peer}: wrong ones rejected", wrong, lambda line, peer=peer: line[peer] != "accepted")
            row(f"{peer}: false alarms", right, lambda line, peer=peer: line[peer] != "accepted")
            same = [line for line in right if EQUAL in line["kinds"]]
            row(f"{peer}: … with no other convention", same, lambda line, peer=peer: line[peer] != "accepted")
    return table


def complaint(line: dict[str, Any]) -> str:
    """What is not as it should be; empty if all is."""
    if "verdict" not in line:
        return ""
    if not line["right"]:
        return (
            ""
            if line["verdict"] == "wrong" and line["rank"] == 1
            else "MISSED"
            if line["verdict"] != "wrong"
            else "KIND"
        )
    may = {"equal"} if EQUAL in line["kinds"] else set()
    may |= {"convention"} if any(kind.startswith("convention") for kind in line["kinds"]) else set()
    return "" if line["verdict"] in may else "FALSE ALARM" if line["verdict"] in ("wrong", "failed") else "VERDICT"


def asked(task: tuple[str, int, str | None]) -> dict[str, Any]:
    """What everyone says of one case, by its set and its place there."""
    half, k, skip = task
    case = sets()[half][k]
    line: dict[str, Any] = {"half": half, "name": case.name, "right": case.right, "note": case.note}
    line["kinds"] = sorted(map(flat, case.kinds))
    line |= {} if skip == "check" else ask(case)
    return line | ({} if skip == "peers" else peers(case))


sets = functools.cache(halves)


def merged(file: Path | None, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines, with what the file has of those who were not asked now, and of other cases."""
    kept = json.loads(file.read_text())["cases"] if file and file.exists() else []
    found = {(line["half"], line["name"]): line for line in kept}
    for line in lines:
        key = line["half"], line["name"]
        found[key] = found.get(key, {}) | line
    return list(found.values())


def main() -> int:
    parser = argparse.ArgumentParser(description="jmc.check and its peers on derivatives written by hand")
    parser.add_argument("--half", choices=SETS, default="all", help="one of the five sets of cases, or all of them")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME")
    parser.add_argument("--skip", choices=("check", "peers"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results there, beside what it holds")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    options = parser.parse_args()
    tasks = [
        (half, k, options.skip)
        for half, cases in halves().items()
        for k, case in enumerate(cases)
        if options.half in (half, "all") and (not options.only or case.name in options.only)
    ]
    lines: list[dict[str, Any]] = []
    began = time.perf_counter()
    # What a process has compiled stays in its memory.
    with multiprocessing.get_context("spawn").Pool(options.workers, maxtasksperchild=60) as pool:
        for line in pool.imap(asked, tasks):
            lines.append(line)
            said = [line.get("verdict", ""), " ".join(line.get("findings", ())[:3]), complaint(line)]
            said += [f"{peer} {line[peer].split(' ')[0]}" for peer in PEERS if peer in line]
            print(f"{line['name']:32s} {'/'.join(line['kinds']):36s} " + " | ".join(filter(None, said)), flush=True)
    print(f"\n{len(lines)} cases in {time.perf_counter() - began:.0f} s by {options.workers} processes")
    lines = merged(options.json, lines)
    tables = {
        half: summary([line for line in lines if line["half"] == half]) for half in {line["half"] for line in lines}
    }
    if len(tables) > 1:
        tables["all"] = summary(lines)
    for half in sorted(tables, key=SETS.index):
        print(f"\n{half}")
        for what, figure in tables[half]:
            print(f"    {what:36s} {figure}")
    if options.json:
        versions = {"jax": jax.__version__, "python": sys.version.split()[0]}
        kept = json.loads(options.json.read_text()) if options.json.exists() else {}
        record = kept | {
            "versions": versions,
            "summary": {half: dict(table) for half, table in tables.items()},
            "cases": lines,
        }
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
