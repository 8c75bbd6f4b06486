"""One case measured: every contender is first held to the answer, then all that are right take turns."""

import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from jmc.bench.case import Case, Contender
from jmc.bench.machine import memory_bytes
from jmc.bench.timing import Estimate, compare, compile_seconds

ALWAYS = ("jmc", "hand")
MODULES = {"sklearn": "sklearn", "torch": "torch", "numpy": "numpy", "asdex": "asdex", "jax": "jax"}
TOLERANCES = {"float64": 1e-11, "float32": 3e-5, "bfloat16": 0.1, "float16": 0.02}
ROUNDS, FEWEST_ROUNDS = 30, 5
ROUND_SECONDS = 0.01
ROOM = 0.8  # of the memory: what else a process holds must fit, too


class RejectedError(Exception):
    """Why a contender is not measured: a status, and a sentence."""

    def __init__(self, status: str, note: str):
        super().__init__(note)
        self.status = status


@dataclass
class Limits:
    """Until when contenders may start, and how long one of each package took at most: a compiler can't be stopped."""

    ends: float = math.inf
    clock: Callable[[], float] = time.monotonic
    longest: dict[str, float] = field(default_factory=dict)

    def start(self, package: str, begin: Callable[[], Any]) -> Any:
        """What ``begin`` returns. Raises RejectedError if there may be no time for it."""
        began = self.clock()
        if began + self.longest.get(package, 0.0) >= self.ends:
            raise RejectedError("no time", "the budget is spent")
        try:
            return begin()
        finally:
            self.longest[package] = max(self.longest.get(package, 0.0), self.clock() - began)


def measure(
    case: Case, *, dtype: str, peers: Collection[str], seconds: float, limits: Limits | None = None
) -> dict[str, Any]:
    """What became of every contender, as JSON can hold it; about ``seconds`` go to the timing itself.

    A contender has a ``status``: "measured", "slow" (called once or twice, for want of time), "no time" (not called at
    all), "absent" (its package is not installed), "wrong", "out of memory" or "failed", each but the first with a
    ``note``. One that is measured has
    ``compile_seconds``, ``first_seconds`` (its first call, with what is left to load), ``seconds`` per call and its
    ``ratio`` to jmc's, both with an interval of 95 %, ``error`` (of the largest entry), ``temporary_bytes``
    and ``written_bytes``. ``transfer_seconds`` is what the arguments took from the host to the device.
    """
    import jax

    limits = limits or Limits()
    wanted = answer(case)
    transfer, args = once(jax.device_put, (jax.tree.map(np.asarray, case.args),))
    case = replace(case, args=args)
    records: dict[str, dict[str, Any]] = {}
    ready: dict[str, Callable[[], Any]] = {}
    for name, contender in case.contenders.items():
        if contender.package not in (*ALWAYS, *peers):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):  # of a peer's, to its users
                begin = partial(start, contender, case, wanted, dtype, seconds)
                ready[name], records[name] = limits.start(contender.package, begin)
        except RejectedError as why:
            records[name] = {"status": why.status, "note": str(why)}
        records[name]["package"] = contender.package
    fast = {name: call for name, call in ready.items() if records[name]["call_seconds"] * FEWEST_ROUNDS <= seconds}
    for name in ready.keys() - fast.keys():
        taken = records[name]["call_seconds"]
        records[name] |= {"status": "slow", "note": f"a call takes {taken:.3g} s", "seconds": estimate(taken)}
    if fast:
        a_round = sum(max(2 * ROUND_SECONDS, records[name]["call_seconds"]) for name in fast)
        rounds = int(min(ROUNDS, max(FEWEST_ROUNDS, seconds / a_round)))
        timed = compare(fast, rounds=rounds, warmup=1, min_round_seconds=ROUND_SECONDS)
        first = next(iter(case.contenders))
        for name in fast:
            taken = timed.per_call(name)
            records[name] |= {
                "status": "measured",
                "rounds": [float(f"{each:.6g}") for each in timed.seconds[name]],
                "seconds": taken.to_dict(),
            }
            if first in fast:
                records[name]["ratio"] = timed.ratio(name, first).to_dict()
    return {"contenders": records, "flops": case.flops, "transfer_seconds": transfer}


def estimate(seconds: float) -> dict[str, float]:
    return Estimate(seconds, seconds, seconds).to_dict()


def answer(case: Case) -> list[np.ndarray] | None:
    """The leaves of what the reference computes in float64."""
    import jax

    if case.reference is None:
        return None
    with jax.enable_x64(True):
        exact = jax.tree.map(in_double_precision, case.args)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(case.reference)(*exact))]


def in_double_precision(leaf: Any) -> Any:
    array = np.asarray(leaf)
    return array if array.dtype.kind in "biu" else array.astype(np.float64)


def start(
    contender: Contender, case: Case, wanted: list[np.ndarray] | None, dtype: str, seconds: float
) -> tuple[Callable[[], Any], dict[str, Any]]:
    """A contender compiled, called and held to the answer: the call to be timed, and the record so far.

    It is called a second time, without what is left to load, unless a compiled call takes ``seconds``.

    Raises RejectedError.
    """
    import jax

    module = MODULES.get(contender.package)
    if module is not None and importlib.util.find_spec(module) is None:
        raise RejectedError("absent", f"{contender.package} is not installed")
    try:
        args = contender.prepare(case.args) if contender.prepare else case.args
        program, record = contender.run, {"compile_seconds": 0.0, "temporary_bytes": None}
        if contender.compiled:
            program, record["compile_seconds"] = compile_seconds(jax.jit(contender.run), *args)
            record["temporary_bytes"] = fits(program)
        record["first_seconds"], found = once(program, args)
        record["call_seconds"] = record["first_seconds"]
        if not contender.compiled or record["first_seconds"] <= seconds:
            record["call_seconds"], found = once(program, args)
        record["written_bytes"] = sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(found))
        if wanted is not None:
            read = contender.read(found, *case.args) if contender.read else found
            record["error"] = error = difference(jax.tree.leaves(read), wanted)
            allowed = case.tolerance or TOLERANCES[dtype]
            if not error <= allowed:
                raise RejectedError("wrong", f"off by {error:.1e} of the largest entry, more than {allowed:.0e}")
    except RejectedError:
        raise
    except Exception as error:  # a peer may fail in any way, and the others are still to be measured
        raise RejectedError(*reason(error)) from error
    return lambda: program(*args), record


def fits(executable: Any) -> int | None:
    """The bytes of an executable's temporaries. Raises RejectedError if these, arguments and results have no room."""
    analysis, room = executable.memory_analysis(), memory_bytes()
    if analysis is None:
        return None
    needed = analysis.temp_size_in_bytes + analysis.output_size_in_bytes + analysis.argument_size_in_bytes
    if room is not None and needed > ROOM * room:
        raise RejectedError("out of memory", f"needs {needed / 2**30:.3g} GiB of {room / 2**30:.3g} GiB")
    return analysis.temp_size_in_bytes


def once(program: Callable[..., Any], args: tuple[Any, ...]) -> tuple[float, Any]:
    import jax

    began = time.perf_counter()
    found = jax.block_until_ready(program(*args))
    return time.perf_counter() - began, found


def difference(found: list[Any], wanted: list[np.ndarray]) -> float:
    """The largest difference in any array, relative to its largest entry. Raises RejectedError for another shape."""
    shapes = [np.shape(leaf) for leaf in found]
    if shapes != [leaf.shape for leaf in wanted]:
        raise RejectedError("wrong", f"shapes {shapes}, but the answer has {[leaf.shape for leaf in wanted]}")
    worst = 0.0
    for ours, theirs in zip(found, wanted, strict=True):
        scale = np.max(np.abs(theirs), initial=0.0) or 1.0
        error = np.max(np.abs(np.asarray(ours, np.float64) - theirs), initial=0.0) / scale
        worst = max(worst, float(error)) if np.isfinite(error) else np.inf
    return worst


def reason(error: Exception) -> tuple[str, str]:
    """The status and the sentence for what a contender raised."""
    text = next(iter(str(error).splitlines()), "") or type(error).__name__
    exhausted = isinstance(error, MemoryError) or type(error).__name__ in ("TooLarge", "OutOfMemoryError")
    if exhausted or "RESOURCE_EXHAUSTED" in text:
        return "out of memory", text
    return "failed", f"{type(error).__name__}: {text}"


def fastest(record: Mapping[str, Any], but: str = "") -> str | None:
    """The contender of a measured case that took the least time, apart from ``but``."""
    timed = {n: c["seconds"]["median"] for n, c in record["contenders"].items() if "seconds" in c and n != but}
    return min(timed, key=lambda name: timed[name]) if timed else None
