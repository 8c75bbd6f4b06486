"""Cotangents that were not summed, or along another axis than those along which an argument is repeated."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from jmc.checking.hypotheses import LEFT, Case, Finding, left
from jmc.checking.walks import Walk, Walker


def summed(case: Case, made: Walker, walks: Sequence[Walk]) -> Iterator[Finding]:
    """A cotangent on the way, as it is or summed along some axes."""
    what, claims, truths = f"∂/∂{case.name}", [c for c, _ in case.pairs], [t for _, t in case.pairs]
    same = all(c.shape == t.shape for c, t in case.pairs)
    if not any(np.any(c) for c in claims):
        return
    larger = all(c.size > t.size and _repeats(t.shape, c.shape) for c, t in case.pairs)
    repeated = f"those along which `{case.name}` is repeated"
    cotangents = [(place, [walk.unsummed[n] for walk in walks]) for n, place in enumerate(made.repeated)]
    cotangents += [(place, [walk.arrived[n] for walk in walks]) for n, place in enumerate(made.nodes)]
    for (operation, line), arrived in cotangents:
        if len({a.ndim for a in arrived}) > 1 or left(list(zip(arrived, truths, strict=True))) < LEFT:
            continue  # at other sizes another operation may stand here
        e = left(list(zip(claims, arrived, strict=True)))
        if e < LEFT and larger:
            text = f"{what} is not summed along {repeated} ({operation}, {line})"
            yield case.finding("missing_sum", text, e, line, operation)
            return
        every = [
            axes for n in range(1, arrived[0].ndim + 1) for axes in itertools.combinations(range(arrived[0].ndim), n)
        ]
        for axes, (name, reduced) in itertools.product(every, (("summed", np.sum), ("averaged", np.mean))):
            reduced_ = [reduced(a, axes) for a in arrived]
            e = left(list(zip(claims, reduced_, strict=True)))
            if e < LEFT < left(list(zip(truths, reduced_, strict=True))):
                where = f"axes {axes} of the cotangent of `{operation}` ({line})"
                text = f"{what} is {name} along {where}, not along {repeated}"
                kind = "missing_sum" if larger and not same else "wrong_axis"
                yield case.finding(kind, text, e, line, operation)
                return


def _repeats(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of the one shape is repeated to one of the other."""
    try:
        return np.broadcast_shapes(small, large) == large
    except ValueError:
        return len(large) > len(small)
