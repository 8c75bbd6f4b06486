"""Whether a function that iterates has come to rest: elsewhere its own derivative is not that of what it solves for."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.extend.core import primitives as p

from jmc.checking.oracles import double_precision
from jmc.checking.program import Equation, Program

AT_REST, MOVING = 1e-7, 1e-9
_STEPS = 4  # that are written out at least


def unfinished(program: Program, runs: Sequence[Sequence[Any]]) -> list[bool]:
    """Of runs of one program or of programs alike, where an iteration still moves that is at rest in the first."""
    loops = list(_loops(program))
    moved = [[loop(values) for loop in loops] for values in runs]
    rests = [k for k, motion in enumerate(moved[0]) if motion < AT_REST]
    return [any(motion[k] > max(MOVING, 1e3 * moved[0][k]) for k in rests) for motion in moved]


def _loops(program: Program) -> Iterator[Any]:
    """Of each iteration, how far its last step has moved relative to what it has come to, from a program's values."""
    written: dict[Any, list[int]] = {}
    for e in program.equations:
        aval = e.eqn.outvars[0].aval
        if e.eqn.primitive in (p.scan_p, p.while_p):
            yield lambda values, e=e: _one_more(e, values)
        elif getattr(aval, "dtype", np.dtype(bool)).kind == "f":
            written.setdefault((e.place, aval.shape), []).append(e.outs[0])
    for numbers in written.values():
        if len(numbers) >= _STEPS:
            yield lambda values, numbers=numbers: _last(values, numbers)


def _last(values: Sequence[Any], numbers: Sequence[int]) -> float:
    return _apart([values[numbers[-1]]], [values[numbers[-2]]])


def _one_more(e: Equation, values: Sequence[Any]) -> float:
    """How far another step of a loop would go."""
    params = e.eqn.params
    if e.eqn.primitive is p.scan_p:
        body, consts, carried = params["jaxpr"], params["num_consts"], params["num_carry"]
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
