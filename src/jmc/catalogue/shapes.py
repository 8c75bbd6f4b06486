"""Shapes in the names of a rule's axes, ``(n, k)`` where sizes are 5 and 3: read off two points of its domain."""

import inspect
import itertools
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import AbstractArray

from jmc.catalogue.record import PRIMES, Rule


def value_axes(rule: Rule) -> list[tuple[str, ...]]:
    """The axes of what the rule's primal returns, ``[("n", "k")]``; of a tuple, those of each part."""
    primal = inspect.unwrap(rule.f)
    declared = primal.__annotations__.get("return") if primal.__name__ == rule.name else None
    if isinstance(declared, type) and issubclass(declared, AbstractArray) and "..." not in declared.dim_str:
        return [tuple(declared.dim_str.split())]
    try:
        measured = [_measured(rule, seed, seed) for seed in range(3)]
    except (TypeError, ValueError):  # sizes that are small may have to be what they are
        measured = [_measured(rule, seed, 0) for seed in range(3)]
    names = _expressions([sizes for sizes, _ in measured])
    return [
        tuple(names.get(size, str(size[0])) for size in zip(*over, strict=True))
        for over in zip(*(found for _, found in measured), strict=True)
    ]


def _measured(rule: Rule, seed: int, larger: int) -> tuple[dict[str, int], list[tuple[int, ...]]]:
    """The sizes of the axes, the small ones enlarged, and the shapes that the primal returns for them."""
    small = {axis: size + larger * p for (axis, size), p in zip(rule.small.items(), reversed(PRIMES), strict=False)}
    flat = rule.sizes(np.random.default_rng(seed)) | small
    flat = {axis: size[0] if isinstance(size, tuple) else size for axis, size in flat.items()}
    sizes = {axis: (size,) if axis.startswith("*") else size for axis, size in flat.items()}
    value = jax.eval_shape(rule.f, *rule.sample(seed, sizes=sizes))
    return flat, [leaf.shape for leaf in jax.tree.leaves(value)]


def shown(axes: Sequence[str]) -> str:
    """``(n, k)``, ``(n,)``, ``()``."""
    return f"({', '.join(axes)}{',' * (len(axes) == 1)})"


def table(out: Sequence[str], in_: Sequence[str], layout: str) -> str:
    """The size of the table that ``LinearMap.table``, or else ``LinearMap.matrix``, lays out: ``m × n``."""
    if len(out) + len(in_) == 2 and len(out) != 1:
        rows, columns = (*out, *in_) if out or layout != "numerator" else reversed(in_)
        return f"{columns} × {rows}" if out and layout == "denominator" else f"{rows} × {columns}"
    rows, columns = ("·".join(_factors(axes)) or "1" for axes in (out, in_))
    transposed = layout == "denominator" or (layout == "mixed" and not out)
    return f"{columns} × {rows}" if transposed else f"{rows} × {columns}"


def _factors(axes: Sequence[str]) -> list[str]:
    return [f"({axis})" if len(axes) > 1 and {*"+−"} & {*axis} else axis for axis in axes]


def _expressions(points: Sequence[dict[str, int]]) -> dict[tuple[int, ...], str]:
    """From what an axis measures at each point to what it is called, the simplest name last and so the one kept.

    Sizes that never vary are no evidence of a sum or a product; of several axes with one size, the first is named.
    """
    every = list(points[0])
    names = [a for a in every if len({p[a] for p in points}) > 1]
    pairs = list(itertools.combinations_with_replacement(names, 2))
    found = {tuple(p[a] * p[b] for p in points): f"{a}·{b}" for a, b in pairs}
    found |= {tuple(p[a] + p[b] for p in points): f"{a}+{b}" for a, b in pairs}
    found |= {tuple(p[a] - p[b] + 1 for p in points): f"{a}−{b}+1" for a, b in itertools.permutations(names, 2)}
    for step in (-2, 2, -1, 1):
        found |= {tuple(p[a] + step for p in points): f"{a}{step:+d}".replace("-", "−") for a in names}
    return found | {tuple(p[a] for p in points): a for a in reversed(every)}
