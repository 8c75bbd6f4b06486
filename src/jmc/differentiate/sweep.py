"""Columns pushed through a function, and rows pulled back: what is linked goes together, once for all its places."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jmc.differentiate.links import Key, Pairs, terms_links, through
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import Factor, Term, fresh, identity, plains

# Of so many groups of rows all choices are weighed.
MOST_CHOICES = 6


class Side(NamedTuple):
    """Columns for an operand, or rows for a result, one for each place on the axes that are not linked."""

    rows: bool
    number: int
    linked: frozenset[int]
    sweeps: int


def plan(of: Any, keys: Sequence[Key]) -> dict[Side, list[Key]]:
    """By columns or by rows, and which blocks of the Jacobian: of all choices the one with the fewest."""
    choices = {key: (_side(of, key, False), _side(of, key, True)) for key in keys}
    by_rows = list(dict.fromkeys(row for _, row in choices.values()))
    same = len({jnp.iscomplexobj(a) for a in (*of.args, *of.outs)}) == 1
    mode = of.mode() if same or of.mode() == "reverse" else "forward"
    some = range(len(by_rows) + 1) if len(by_rows) <= MOST_CHOICES else (0, len(by_rows))
    counts = {"both": some, "forward": [0], "reverse": [len(by_rows)]}[mode]

    def chosen(rows: Sequence[Side]) -> dict[Side, list[Key]]:
        found: dict[Side, list[Key]] = {}
        for key, (column, row) in choices.items():
            found.setdefault(row if row in rows else column, []).append(key)
        return found

    plans = [chosen(rows) for count in counts for rows in itertools.combinations(by_rows, count)]
    return min(plans, key=lambda found: sum(side.sweeps for side in found))


def _side(of: Any, key: Key, rows: bool) -> Side:
    number, array = (key[0], of.outs[key[0]]) if rows else (key[1], of.args[key[1]])
    linked = frozenset(pair[0 if rows else 1] for pair in of.links[key])
    return Side(rows, number, linked, math.prod(n for d, n in enumerate(array.shape) if d not in linked))


def block_size(of: Any, key: Key) -> int:
    """How many numbers a block of the Jacobian has."""
    return math.prod(of.outs[key[0]].shape) * _side(of, key, False).sweeps


def swept(of: Any, keys: Sequence[Key]) -> Iterable[tuple[Key, tuple[Term, ...]]]:
    """These blocks of the Jacobian."""
    chosen = plan(of, keys)
    for rows, number in dict.fromkeys((side.rows, side.number) for side in chosen):
        own = [key for side, some in chosen.items() if side[:2] == (rows, number) for key in some]
        array = (of.outs if rows else of.args)[number]
        unit: list[LinearMap | None] = [None] * len(of.outs if rows else of.args)
        unit[number] = LinearMap([identity(array.shape)], array.shape, array.shape, array.dtype)
        wanted = [key[1 if rows else 0] for key in own]
        found = pulled(of, unit, wanted) if rows else pushed(of, unit, wanted)
        for key, target in zip(own, wanted, strict=True):
            J = found[target]
            assert J is not None
            yield key, J.terms


def pushed(of: Any, arriving: Sequence[LinearMap | None], wanted: Sequence[int] | None = None) -> list[Any]:
    """The results' Jacobians from those of the operands; None for results that are not wanted, or do not move."""
    return _moved(of.push, of.links, arriving, of.args, of.outs, wanted, last=True)


def pulled(of: Any, arriving: Sequence[LinearMap | None], wanted: Sequence[int] | None = None) -> list[Any]:
    """The Jacobians with respect to the operands from those with respect to the results; None as for `pushed`."""
    turned = {(k, j): frozenset((q, p) for p, q in pairs) for (j, k), pairs in of.links.items()}
    rows = [None if J is None else J.T for J in arriving]
    return [J and J.T for J in _moved(of.pull_back, turned, rows, of.outs, of.args, wanted, last=False)]


def cost(of: Any, arriving: Sequence[LinearMap | None], back: bool = False) -> int:
    """How many columns :func:`pushed`, or rows :func:`pulled`, takes."""
    links = {(k, j): frozenset((q, p) for p, q in pairs) for (j, k), pairs in of.links.items()} if back else of.links
    rows = [None if J is None else J.T if back else J for J in arriving]
    space, groups = _groups(links, rows, range(len(of.args if back else of.outs)))
    return sum(math.prod(n for q, n in enumerate(space) if q not in linked) for linked in groups)


def _groups(
    links: Any, arriving: Sequence[LinearMap | None], wanted: Iterable[int]
) -> tuple[tuple[int, ...], dict[frozenset[int], dict[int, Pairs]]]:
    """The space from which maps arrive, and by its axes that are linked the targets with their pairs."""
    space = next(J.in_shape for J in arriving if J is not None)
    known = [{} if J is None or (own := terms_links(J.terms)) is None else {0: own} for J in arriving]
    groups: dict[frozenset[int], dict[int, Pairs]] = {}
    reached = through(links, known, 1 + max((j for j, _ in links), default=-1))
    for target in wanted:
        if target < len(reached) and 0 in reached[target]:
            pairs = reached[target][0]
            groups.setdefault(frozenset(q for _, q in pairs), {})[target] = pairs
    return space, groups


def _moved(
    apply: Callable[[Sequence[Any]], Sequence[Any]],
    links: Any,
    arriving: Sequence[LinearMap | None],
    sources: Sequence[Any],
    targets: Sequence[Any],
    wanted: Sequence[int] | None,
    last: bool,
) -> list[LinearMap | None]:
    """Maps to the targets from those to the sources; the space that they come from is a target's last axis or not."""
    result: list[LinearMap | None] = [None] * len(targets)
    space, groups = _groups(links, arriving, range(len(targets)) if wanted is None else wanted)
    for linked, group in groups.items():
        rest = [n for q, n in enumerate(space) if q not in linked]
        basis = {i: _basis(J, linked, rest, sources[i]) for i, J in enumerate(arriving) if J is not None}

        def one(row: Any, group: Any = group) -> Sequence[Any]:
            found = apply([row[i] if i in row else jnp.zeros(a.shape, a.dtype) for i, a in enumerate(sources)])
            return [found[target] for target in group]

        ranks = [len(targets[target].shape) for target in group]
        # the first axes that are linked stay the first, so that the block lies as it will be wanted
        places = [rank if last else _leading(rank, pairs) for rank, pairs in zip(ranks, group.values(), strict=True)]
        for (target, pairs), d, array in zip(group.items(), places, _each(one, places, basis), strict=True):
            own, free = fresh(targets[target].shape), fresh(space)
            for p, q in sorted(pairs, reverse=True):
                free[q] = own[p]
            labels = (*own[:d], *(label for q, label in enumerate(free) if q not in linked), *own[d:])
            factor = Factor(array.reshape([label.size for label in labels]), labels)
            term = Term(1, (factor,), plains(own), plains(free))
            result[target] = LinearMap([term], np.shape(targets[target]), space, array.dtype)
    return result


def _leading(rank: int, pairs: Pairs) -> int:
    linked = {p for p, _ in pairs}
    return next((d for d in range(rank) if d not in linked), rank)


def _basis(J: LinearMap, linked: frozenset[int], rest: Sequence[int], source: Any) -> Any:
    """The columns of J on top of each other, those for the places of linked axes in one."""
    terms = [
        Term(t.coefficient, t.factors, t.out, tuple(axis for q, axis in enumerate(t.in_) if q not in linked))
        for t in J.terms
    ]
    columns = LinearMap(terms, J.out_shape, rest, J.dtype).T.dense()
    return columns.reshape(math.prod(rest), *J.out_shape).astype(source.dtype)


def _each(f: Callable[[Any], Sequence[Any]], axes: list[int], basis: Any) -> Sequence[Any]:
    """``f`` of every row of ``basis``, each result along its axis; one by one where JAX cannot vectorize ``f``."""
    try:
        return jax.vmap(f, out_axes=axes)(basis)
    except NotImplementedError:
        return [jnp.moveaxis(array, 0, axis) for array, axis in zip(jax.lax.map(f, basis), axes, strict=True)]
