"""The functions that a rule's code calls, as parts of its traced program.

A formula is written with the functions of its source: what a helper of the catalogue computes is read as what it means
(``rules.HELPERS``), or, where it cannot be read, becomes a function with the helper's name.
"""

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

import jmc.catalogue
from jmc.symbolic.rules import HELPERS
from jmc.symbolic.tensor import Tensor

ROOM = Path(jmc.catalogue.__file__).parent
MACHINERY = {"record", "rule", "marker", "registry"}
Helper = Callable[..., Any]
Calls = tuple[tuple[Helper, str, int], ...]


class Run(NamedTuple):
    """Consecutive equations of a program, and the helper in whose call they stand, if there is one."""

    helper: Helper | None
    eqns: tuple[Any, ...]


def runs(eqns: Sequence[Any], depth: int) -> list[Run]:
    """The equations, in order, by the helper that is called ``depth`` calls below the rule's own function."""
    return _grouped(eqns, lambda calls: calls[:depth] if len(calls) >= depth else ())


def known(eqns: Sequence[Any]) -> list[Run]:
    """The equations, in order, by the outermost helper that has a meaning."""

    def within(calls: Calls) -> Calls:
        places = [k for k, (helper, *_) in enumerate(calls) if helper in HELPERS]
        return calls[: places[0] + 1] if places else ()

    return _grouped(eqns, within)


def _grouped(eqns: Sequence[Any], within: Callable[[Calls], Calls]) -> list[Run]:
    found: list[tuple[Calls, list[Any]]] = []
    for eqn in eqns:
        calls = within(_calls(eqn))
        if found and calls and found[-1][0] == calls:
            found[-1][1].append(eqn)
        else:
            found.append((calls, [eqn]))
    return [Run(calls[-1][0] if calls else None, part) for calls, own in found for part in _each(own)]


def _each(eqns: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The calls of one helper on one line, which have the same program and do not use each other."""
    kinds = [eqn.primitive for eqn in eqns]
    for count in range(len(eqns), 1, -1):
        size, rest = divmod(len(eqns), count)
        if not rest and kinds == kinds[:size] * count:
            parts = [tuple(eqns[k : k + size]) for k in range(0, len(eqns), size)]
            if all(not free(part).keys() & results(other) for part in parts for other in parts if part is not other):
                return parts
    return [tuple(eqns)]


def meant(run: Run, wanted: Collection[Any], env: Mapping[Any, Tensor]) -> dict[Any, Tensor] | None:
    """The results of a run that are wanted, by what its helper means; None if it is no call of the helper as it is."""
    meaning = None if run.helper is None else HELPERS.get(run.helper)
    used = free(run.eqns)
    if run.helper is None or meaning is None or len(used) != len(inspect.signature(meaning).parameters):
        return None
    for inputs in itertools.permutations(used):
        whole = _program(run.helper, inputs)
        own = None if whole is None else _matched(whole, run.eqns, inputs)
        if whole is not None and own is not None:
            values = meaning(*(env[var] for var in inputs))
            returned = {own.get(v): value for v, value in zip(whole.outvars, values, strict=True)}
            outs = [var for eqn in run.eqns for var in eqn.outvars if var in wanted]
            return {var: returned[var] for var in outs} if set(outs) <= returned.keys() else None
    return None


def _program(helper: Helper, inputs: Sequence[Any]) -> Any:
    """What the helper does with such arrays; None if it does not take them."""
    try:
        return jax.make_jaxpr(helper)(*(jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in inputs)).jaxpr
    except (TypeError, ValueError, IndexError):
        return None


def _matched(whole: Any, eqns: Sequence[Any], inputs: Sequence[Any]) -> dict[Any, Any] | None:
    """The variables of a program as those of these equations, if they do the same."""
    own = dict(zip(whole.invars, inputs, strict=True))
    if [eqn.primitive for eqn in whole.eqns] != [eqn.primitive for eqn in eqns]:
        return None
    for one, other in zip(whole.eqns, eqns, strict=True):
        for a, b in zip(one.invars, other.invars, strict=True):
            same = isinstance(a, Literal) and isinstance(b, Literal) and np.array_equal(a.val, b.val, equal_nan=True)
            if not same and (isinstance(a, Literal) or own.get(a) is not b):
                return None
        own.update(zip(one.outvars, other.outvars, strict=True))
    return own


def free(eqns: Sequence[Any]) -> dict[Any, None]:
    """The variables that equations use and do not define, in the order of their first use."""
    own = results(eqns)
    used = (var for eqn in eqns for var in eqn.invars if not isinstance(var, Literal))
    return dict.fromkeys(var for var in used if var not in own)


def results(eqns: Sequence[Any]) -> set[Any]:
    """The variables that equations define."""
    return {var for eqn in eqns for var in eqn.outvars}


def _calls(eqn: Any) -> Calls:
    """The helpers in whose calls an equation stands, outermost first, each with the place of the call."""
    found, place = [], None
    for frame in reversed(eqn.source_info.traceback.frames if eqn.source_info.traceback else ()):
        module = _module(frame.file_name)
        if module is None:
            continue
        helper = getattr(sys.modules.get(module), frame.function_name, None)
        own = inspect.isfunction(helper) and helper.__code__.co_name == frame.function_name
        if own and (place is not None or helper in HELPERS):  # the outermost is the rule's own function
            found.append((helper, *(place or ("", 0))))
        place = (frame.file_name, frame.line_num)
    return tuple(found)


@functools.cache
def _module(file: str) -> str | None:
    """The module of the catalogue that a file is, if it states rules."""
    path = Path(file)
    return None if path.parent != ROOM or path.stem in MACHINERY else f"jmc.catalogue.{path.stem}"
