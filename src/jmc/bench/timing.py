"""The honest A/B timer: contenders that are warm, interleaved and waited for, and ratios with an interval.

Two programs timed one after the other meet different machines: clocks drift, caches fill, neighbours wake
up. Here they take turns in short rounds, so that what disturbs one round disturbs both sides of its ratio.

Every call is waited for with `jax.block_until_ready`, which itself takes some microseconds: the same for
contenders with the same results, so that it draws the ratios of very short calls towards 1.
"""

from __future__ import annotations

import gc
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONFIDENCE = 0.95
RESAMPLES = 5000
UNITS = ((" s", 1.0), (" ms", 1e-3), (" µs", 1e-6), (" ns", 1e-9))


@dataclass(frozen=True)
class Estimate:
    """A median, and the interval that holds it with a confidence of 95 %, by the bootstrap over rounds."""

    median: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Comparison:
    """What `compare` measured: for each contender, in the order given, the seconds per call in every round.

    The k-th round of one contender was measured next to the k-th round of every other.
    """

    seconds: Mapping[str, tuple[float, ...]]
    calls: Mapping[str, int]

    def per_call(self, name: str) -> Estimate:
        """The seconds that a call of `name` takes. Raises ValueError for an unknown name."""
        return _estimate(self._rounds(name))

    def ratio(self, name: str, reference: str) -> Estimate:
        """How many times as long as `reference` a call of `name` takes, round by round.

        Raises ValueError for an unknown name.
        """
        pairs = zip(self._rounds(name), self._rounds(reference), strict=True)
        return _estimate([ours / theirs for ours, theirs in pairs])

    def to_dict(self) -> dict[str, Any]:
        """Everything measured, as JSON can hold it; every ratio is to the first contender."""
        first = next(iter(self.seconds))
        return {
            "confidence": CONFIDENCE,
            "reference": first,
            "contenders": {
                name: {
                    "ratio": self.ratio(name, first).to_dict(),
                    "seconds_per_call": self.per_call(name).to_dict(),
                    "calls_per_round": self.calls[name],
                    "rounds": list(rounds),
                }
                for name, rounds in self.seconds.items()
            },
        }

    def __str__(self) -> str:
        """A table with a line per contender: its time as a multiple of the first one's, and per call."""
        first = next(iter(self.seconds))
        lines = [(f"× {first}", "per call", "rounds × calls", "")]
        for name, rounds in self.seconds.items():
            ratio, call = self.ratio(name, first), self.per_call(name)
            unit, size = next((unit for unit in UNITS if call.median >= unit[1]), UNITS[-1])
            times = "1" if name == first else _span(ratio)
            lines.append((times, _span(call, unit, size), f"{len(rounds)} × {self.calls[name]}", name))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _rounds(self, name: str) -> tuple[float, ...]:
        if name not in self.seconds:
            raise ValueError(f"`name` must be one of {', '.join(map(repr, self.seconds))}, but got {name!r}")
        return self.seconds[name]


def compare(
    contenders: Mapping[str, Callable[[], Any]],
    *,
    rounds: int = 30,
    warmup: int = 3,
    min_round_seconds: float = 0.01,
    clock: Callable[[], float] = time.perf_counter,
) -> Comparison:
    """Times functions of no arguments against each other, waiting for whatever arrays they return.

    Each contender is first called `warmup` times, which compiles it, then given the smallest power of two
    of calls that takes `min_round_seconds` at least. The `rounds` follow: in each, all contenders take
    their turn, and the order is turned around from one round to the next (A B, B A, A B, …). The garbage
    collector rests meanwhile.

    Close over nothing that should not be a constant of the compiled program: let arrays be arguments of the
    jitted function. `clock` returns seconds and never decreases.

    Raises ValueError if there are no contenders, `rounds` < 2, `warmup` < 0, or `min_round_seconds` is not
    positive.
    """
    import jax

    if not contenders:
        raise ValueError("`contenders` must hold at least one function, but got none")
    if rounds < 2:
        raise ValueError(f"`rounds` must be at least 2, for an interval, but got {rounds}")
    if warmup < 0:
        raise ValueError(f"`warmup` must not be negative, but got {warmup}")
    if not 0 < min_round_seconds < math.inf:
        raise ValueError(f"`min_round_seconds` must be positive and finite, but got {min_round_seconds}")

    def time_calls(contender: Callable[[], Any], calls: int) -> float:
        start = clock()
        for _ in range(calls):
            jax.block_until_ready(contender())
        return clock() - start

    for contender in contenders.values():
        for _ in range(warmup):
            jax.block_until_ready(contender())
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        calls = {}
        for name, contender in contenders.items():
            calls[name] = 1
            while time_calls(contender, calls[name]) < min_round_seconds:
                calls[name] *= 2
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(rounds):
            for name in list(contenders)[:: 1 if turn % 2 == 0 else -1]:
                seconds[name].append(time_calls(contenders[name], calls[name]) / calls[name])
    finally:
        if collecting:
            gc.enable()
    return Comparison({name: tuple(taken) for name, taken in seconds.items()}, calls)


def compile_seconds(jitted: Any, *args: Any, clock: Callable[[], float] = time.perf_counter) -> tuple[Any, float]:
    """Compiles a jitted function for these arguments ahead of time: the executable, and how long that took.

    Tracing, lowering and compilation all count, as far as they are not cached: JAX keeps the trace of a
    function it has seen, and a persistent compilation cache the executable.
    """
    start = clock()
    compiled = jitted.lower(*args).compile()
    return compiled, clock() - start


def pinned_environment(threads: int = 1) -> dict[str, str]:
    """The environment variables under which ratios on the CPU are fair; they are read when a process starts.

    All contenders have the same number of threads: `NPROC` sizes the thread pool of XLA's CPU client, the
    others those of NumPy's BLAS. And glibc keeps freed memory: by default it hands large arrays back to the
    system at once and faults every page in again for the next, which can take longer than computing them.

    Raises ValueError if `threads` < 1.
    """
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1, but got {threads}")
    pools = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(pools, str(threads)) | {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(32 * 2**30),
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_TOP_PAD_": str(2**30),
    }


def pin_process(threads: int = 1) -> None:
    """Starts the running Python command anew under `pinned_environment(threads)`, unless it already runs so.

    A benchmark calls this first; what the process did until then is done twice.
    """
    pinned = pinned_environment(threads)
    if not pinned.items() <= os.environ.items():
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **pinned})


def _estimate(values: Sequence[float]) -> Estimate:
    import numpy as np
    from scipy.stats import bootstrap

    resampled = bootstrap(
        (values,), np.median, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=0
    )
    low, high = resampled.confidence_interval
    return Estimate(float(np.median(values)), float(low), float(high))


def _span(estimate: Estimate, unit: str = "", size: float = 1.0) -> str:
    """An estimate in units of `size`, such as `2.1 µs [2.05, 2.2]`."""
    median, low, high = (_digits(value / size) for value in (estimate.median, estimate.low, estimate.high))
    return f"{median}{unit} [{low}, {high}]"


def _digits(value: float) -> str:
    """Three significant digits, and never a power of ten for what is large."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
