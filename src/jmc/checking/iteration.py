"""Whether a function that iterates has come to rest: elsewhere its own derivative is not that of what it solves for."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.extend.core import primitives as p

from jmc.checking.oracles import double_precision
from jmc.checking.program import Equation, Program
from jmc.differentiate.links import scan_parts

AT_REST, MOVING = 1e-7, 1e-9
_STEPS = 4  # that are written out at least
_GONE = 1e-3  # by one of them


def unfinished(program: Program, runs: Sequence[Sequence[Any]]) -> list[bool]:
    """Of runs of one program or of programs alike, where an iteration still moves that is at rest in the first."""
    loops = [
        (made, moved)
        for made, moved in _loops(program)
        if moved(runs[0]) < AT_REST and _matters(program, runs[0], made)
    ]
    rests = [moved(runs[0]) for _, moved in loops]
    return [
        any(moved(values) > max(MOVING, 1e3 * rest) for (_, moved), rest in zip(loops, rests, strict=True))
        for values in runs
    ]


def _matters(program: Program, values: Sequence[Any], made: Sequence[int]) -> bool:
    """Whether what an iteration has come to is what the value is made of, not a case that is not taken."""
    changed = {n: np.asarray(values[n]) * (1 + 1e-3) for n in made if np.asarray(values[n]).dtype.kind == "f"}
    return any(
        not np.array_equal(program.again(values, changed, n), values[n], equal_nan=True) for n in program.outputs
    )


def _loops(program: Program) -> Iterator[tuple[list[int], Any]]:
    """What each iteration comes to, and how far its last step has moved relative to that, from a program's values."""
    written: dict[Any, list[int]] = {}
    for k, e in enumerate(program.equations):
        aval = e.eqn.outvars[0].aval
        if e.eqn.primitive in (p.scan_p, p.while_p):
            yield list(e.outs), functools.partial(_one_more, e)
        elif getattr(aval, "dtype", np.dtype(bool)).kind == "f":
            written.setdefault((e.place, aval.shape), []).append(k)
    for places in written.values():
        # the steps of a loop follow each other at equal distances; what a library does on one line of its user does not
        if len(places) > _STEPS and len(set(np.diff(places[-_STEPS:]))) == 1:
            numbers = [program.equations[k].outs[0] for k in places]
            yield numbers[-1:], functools.partial(_last, numbers)


def _last(numbers: Sequence[int], values: Sequence[Any]) -> float:
    """How far the last step has gone, if the steps become shorter."""
    *_, before, last = moved = [_apart([values[m]], [values[n]]) for n, m in itertools.pairwise(numbers)]
    return last if last <= before and max(moved) > _GONE else np.inf


def _one_more(e: Equation, values: Sequence[Any]) -> float:
    """How far another step of a loop would go."""
    params = e.eqn.params
    if e.eqn.primitive is p.scan_p:
        body, (consts, carried, _) = params["jaxpr"], scan_parts(e.eqn)
        rest = [values[i][-1] for i in e.ins[consts + carried :]] if params["length"] else None
        first = [values[i] for i in e.ins[:consts]]
    else:
        body, consts, rest = params["body_jaxpr"], params["body_nconsts"], []
        first = [values[i] for i in e.ins[params["cond_nconsts"] :][:consts]]
        carried = len(e.outs)
    if rest is None or not carried:
        return np.inf
    now = [values[n] for n in e.outs[:carried]]
    with double_precision():
        then = jax.jit(jaxpr_as_fun(body))(*first, *now, *rest)[:carried]
    kept = [k for k, x in enumerate(now) if np.asarray(x).dtype.kind == "f"]
    return _apart([then[k] for k in kept], [now[k] for k in kept])


def _apart(some: Sequence[Any], others: Sequence[Any]) -> float:
    found = 0.0 if some else np.inf
    for x, y in zip(map(np.asarray, some), map(np.asarray, others), strict=True):
        with np.errstate(all="ignore"):
            size = np.max(np.abs(x), initial=0) or 1.0
            found = max(found, float(np.nan_to_num(np.max(np.abs(x - y), initial=0) / size, nan=np.inf)))
    return found
