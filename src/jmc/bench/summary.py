"""What a record says of each case in a line: how many times as long others take as jmc, and who is ahead."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmc.bench.measure import fastest
from jmc.bench.timing import Estimate


@dataclass(frozen=True)
class Line:
    """One case at one size. ``rival`` is the fastest contender that is neither jmc nor written by hand.

    ``versus`` and ``by_hand`` are the times of the rival and of the formula by hand as multiples of jmc's; ``verdict``
    says "jmc", the name of who is ahead, or "even" where the interval holds 1. ``roof`` is the share of the peak.
    """

    suite: str
    case: str
    size: int
    headline: bool
    seconds: Estimate | None
    rival: str | None
    versus: Estimate | None
    by_hand: Estimate | None
    roof: float | None
    verdict: str
    notes: tuple[str, ...]


def lines(record: Mapping[str, Any]) -> Iterator[Line]:
    """A line for each case, suite by suite, in the order of the suites' files and of size."""
    order: dict[tuple[str, str], int] = {}
    for case in record["cases"]:
        order.setdefault((case["suite"], case["case"]), len(order))
    suites = list(dict.fromkeys(case["suite"] for case in record["cases"]))
    key = {name: (suites.index(name[0]), k) for name, k in order.items()}
    for case in sorted(record["cases"], key=lambda c: (*key[c["suite"], c["case"]], c["size"])):
        yield _line(case)


def _line(case: Mapping[str, Any]) -> Line:
    contenders = case["contenders"]
    ours = contenders["jmc"]
    others = {name: c for name, c in contenders.items() if c["package"] not in ("jmc", "hand")}
    rival = fastest({"contenders": others})
    versus = _ratio(others.get(rival or "", {}), ours)
    notes = [
        f"{name}: {c['status']}, {c['note']}"
        for name, c in contenders.items()
        if c["status"] not in ("measured", "absent")
    ]
    return Line(
        suite=case["suite"],
        case=case["case"],
        size=case["size"],
        headline=case["headline"],
        seconds=_estimate(ours.get("seconds")),
        rival=rival,
        versus=versus,
        by_hand=next((_ratio(c, ours) for c in contenders.values() if c["package"] == "hand"), None),
        roof=ours.get("roof") if case["flops"] else None,
        verdict=_verdict(rival, versus),
        notes=tuple(notes),
    )


def _ratio(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Estimate | None:
    """Their time by ours: with an interval where both took turns, without one where theirs was called once."""
    if "seconds" not in theirs or "seconds" not in ours:
        return None
    if "ratio" in theirs:
        return _estimate(theirs["ratio"])
    quotient = theirs["seconds"]["median"] / ours["seconds"]["median"]
    return Estimate(quotient, quotient, quotient)


def _estimate(found: Mapping[str, float] | None) -> Estimate | None:
    return Estimate(found["median"], found["low"], found["high"]) if found else None


def _verdict(rival: str | None, versus: Estimate | None) -> str:
    if rival is None or versus is None:
        return ""
    if versus.low > 1:
        return "jmc"
    return rival if versus.high < 1 else "even"


def growth(record: Mapping[str, Any], suite: str, case: str) -> dict[str, tuple[list[int], list[float], float | None]]:
    """For each contender the sizes, its seconds at them, and the exponent p of n^p fitted to the upper half."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    cases = [c for c in record["cases"] if (c["suite"], c["case"]) == (suite, case)]
    for one in sorted(cases, key=lambda c: c["size"]):
        for name, contender in one["contenders"].items():
            if "seconds" in contender:
                sizes, seconds = found.setdefault(name, ([], []))
                sizes.append(one["size"])
                seconds.append(contender["seconds"]["median"])
    return {name: (sizes, seconds, exponent(sizes, seconds)) for name, (sizes, seconds) in found.items()}


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float | None:
    """The slope in logarithms by least squares, of the larger sizes: small ones are all overhead."""
    half = len(sizes) // 2 if len(sizes) > 3 else 0
    x, y = [math.log(n) for n in sizes[half:]], [math.log(s) for s in seconds[half:]]
    if len(x) < 2:
        return None
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread


def failures(record: Mapping[str, Any]) -> list[str]:
    """jmc's own answers that are wrong or did not come."""
    return [
        f"{case['suite']}, {case['case']} at {case['size']}: {ours['status']}, {ours['note']}"
        for case in record["cases"]
        if (ours := case["contenders"]["jmc"])["status"] in ("wrong", "failed")
    ]
