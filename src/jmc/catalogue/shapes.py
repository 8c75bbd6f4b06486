"""Shapes in the names of a rule's axes, ``(n, k)`` where sizes are 5 and 3: read off two points of its domain."""

import itertools
from collections.abc import Sequence

import jax
import numpy as np

from jmc.catalogue.record import Rule


def value_axes(rule: Rule) -> list[tuple[str, ...]]:
    """The axes of what the rule's primal returns, ``[("n", "k")]``; of a tuple, those of each part."""
    measured = []
    for seed in range(3):
        sizes = rule.sizes(np.random.default_rng(seed))
        args = rule.sample(seed, sizes=sizes)
        value = jax.eval_shape(rule.f, *args)
        flat = {name: size[0] if isinstance(size, tuple) else size for name, size in sizes.items()}
        measured.append((flat, [leaf.shape for leaf in jax.tree.leaves(value)]))
    names = _expressions([sizes for sizes, _ in measured])
    return [
        tuple(names.get(size, str(size[0])) for size in zip(*over, strict=True))
        for over in zip(*(found for _, found in measured), strict=True)
    ]


def shown(axes: Sequence[str]) -> str:
    """``(n, k)``, ``(n,)``, ``()``."""
    return f"({', '.join(axes)}{',' * (len(axes) == 1)})"


def table(out: Sequence[str], in_: Sequence[str], layout: str) -> str:
    """The size of the table that ``LinearMap.table``, or else ``LinearMap.matrix``, lays out: ``m × n``."""
    if len(out) + len(in_) == 2 and len(out) != 1:
        rows, columns = (*out, *in_) if out or layout != "numerator" else reversed(in_)
        return f"{columns} × {rows}" if out and layout == "denominator" else f"{rows} × {columns}"
    rows, columns = ("·".join(axes) or "1" for axes in (out, in_))
    transposed = layout == "denominator" or (layout == "mixed" and not out)
    return f"{columns} × {rows}" if transposed else f"{rows} × {columns}"


def _expressions(points: Sequence[dict[str, int]]) -> dict[tuple[int, ...], str]:
    """From what an axis measures at each point to what it is called, the simplest name last and so the one kept.

    Sizes that never vary are no evidence of a sum or a product; of several axes with one size, the first is named.
    """
    every = list(points[0])
    names = [a for a in every if len({p[a] for p in points}) > 1]
    pairs = list(itertools.combinations_with_replacement(names, 2))
    found = {tuple(p[a] * p[b] for p in points): f"{a}·{b}" for a, b in pairs}
    found |= {tuple(p[a] + p[b] for p in points): f"{a}+{b}" for a, b in pairs}
    for step in (-2, 2, -1, 1):
        found |= {tuple(p[a] + step for p in points): f"{a}{step:+d}".replace("-", "−") for a in names}
    return found | {tuple(p[a] for p in points): a for a in reversed(every)}
