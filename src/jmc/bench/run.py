"""The suites measured within a budget: what people ask first comes first, and what is left out is said."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from jmc.bench.case import Draw, Series
from jmc.bench.machine import describe, peaks
from jmc.bench.measure import Limits, measure

SUITES = ("jacobians", "hessians", "gradients", "training", "ntk", "startup")
PEERS = ("jax", "numpy", "torch", "asdex", "sklearn")
TIMING_SECONDS = (0.4, 6.0)  # of one case, whatever the budget would allow
TIMING_SHARE = 0.5  # of a case's share of the budget; compiling takes the rest
ROOM = 0.5  # of the memory, for the largest answer of a case


@dataclass(frozen=True)
class Item:
    """A case of a suite at one size."""

    suite: str
    name: str
    size: int
    headline: bool
    series: Series


def plan(
    suites: Sequence[str], sizes: Collection[int] = (), large: bool = False, room: float | None = None
) -> list[Item]:
    """What to measure, in order: the headline size of every case, suite by turns, then the others from small to large.

    The turns see to it that each suite has answers where the budget ends early.

    ``sizes`` replaces those of every series; with ``large`` the sizes for accelerators belong to them, as far as
    their answers have ``room`` bytes.
    """
    found: list[tuple[tuple[bool, int], Item]] = []
    for suite in suites:
        for turn, (name, series) in enumerate(import_module(f"jmc.bench.suites.{suite}").SERIES.items()):
            wanted = sorted(sizes) or [*series.sizes, *(series.large if large else ())]
            fits = [n for n in wanted if room is None or series.bytes_at(n) <= ROOM * room]
            headline = series.headline if not sizes else wanted[-1]
            if large and not sizes and fits:
                headline = fits[-1]
            for n in fits:
                item = Item(suite, name, n, n == headline, series)
                found.append(((not item.headline, turn if item.headline else n), item))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def run(
    items: Sequence[Item],
    *,
    dtype: str,
    peers: Collection[str],
    budget: float,
    threads: int,
    watch: Callable[[Item, int, int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Everything measured, as JSON can hold it; ``watch(item, k, n)`` is told what begins.

    The record has ``machine``, ``peaks`` (FLOP/s, bytes/s of a copy, and of arrays filled), ``dtype``, ``budget`` and
    the seconds ``taken``, ``cases`` (suite, name, size, headline, what `measure` says, and as ``roof`` of each
    contender the share of the best that the peaks allow) and ``left_out``, for which there was no time.
    """
    import jax

    started = clock()
    machine = describe(threads)
    cases: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    longest: dict[str, float] = {}
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        began = clock()
        roof = peaks(dtype)
        ends = started + budget - (clock() - began)  # the peaks are measured again at the end
        limits = Limits(ends, clock)
        for k, item in enumerate(items):
            began = clock()
            label = {"suite": item.suite, "case": item.name, "size": item.size, "headline": item.headline}
            # A larger size takes longer than the one before, whose time is known.
            least = max(longest.get(f"{item.suite} {item.name}", 0.0), limits.longest.get("jmc", 0.0))
            if began + least >= ends:
                left_out.append(label)
                continue
            if watch is not None:
                watch(item, k, len(items))
            alike = sum(other.headline for other in items[k:]) if item.headline else len(items) - k
            share = TIMING_SHARE * (ends - began) / alike
            seconds = min(max(share, TIMING_SECONDS[0]), TIMING_SECONDS[1])
            case = item.series.make(item.size, Draw(dtype))
            cases.append(label | measure(case, dtype=dtype, peers=peers, seconds=seconds, limits=limits))
            jax.clear_caches()
            if not item.headline:
                longest[f"{item.suite} {item.name}"] = clock() - began
        roof |= peaks(dtype)
    for case in cases:
        for found in case["contenders"].values():
            if found["status"] == "measured":
                least = roof.least_seconds(case["flops"], found["written_bytes"])
                found["roof"] = least / found["seconds"]["median"]
    return {
        "machine": machine,
        "dtype": dtype,
        "peaks": {"flops": roof.flops, "bandwidth": roof.bandwidth, "writes": list(roof.writes.items())},
        "peers": list(peers),
        "budget": budget,
        "taken": clock() - started,
        "cases": cases,
        "left_out": left_out,
    }


def absent(record: Mapping[str, Any]) -> list[str]:
    """The peers that were asked for and are not installed."""
    found = {c["package"] for _, c in contenders(record) if c["status"] == "absent"}
    return sorted(found)


def contenders(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for case in record["cases"]:
        yield from case["contenders"].items()
