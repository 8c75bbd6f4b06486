"""Jacobians written down: a linear map from its einsum, in the index notation of the formula.

``einsum("ij,kl->il,jk", A, B)`` is ∂(A X B)_il/∂X_jk = A_ij B_kl: a group of labels for each factor, then, right of the
arrow, the axes of the output and those of the input. A label on both sides that is in no factor is a δ; one that is on
one axis alone makes that axis all ones; one that is on no axis is summed. Labels in parentheses are one axis, in
row-major order: ``einsum("kl->(ik)(jl),ij", Y)`` is ∂(X ⊗ Y)/∂X.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmc.linear.linear_map import LinearMap
from jmc.linear.term import Axis, Factor, Label, Term, plain, row
from jmc.linear.term import dense as dense_term
from jmc.linear.term import identity as identity_term


def einsum(spec: str, *arrays: Any, sizes: Mapping[str, int] | None = None, dtype: Any = None) -> LinearMap:
    """The map whose matrix is this einsum.

    Args:
        spec: ``"ij,kl->il,jk"``: labels of the factors, of the output's axes, of the input's. ``...`` stands for the
            same axes wherever it is written, ``(ij)`` right of the arrow for one axis with position i·(size of j) + j.
        arrays: the factors.
        sizes: of labels that are in no factor.
        dtype: of the map; that of the factors, or JAX's default one.

    Raises ValueError where factors and labels do not fit, or a label has no size or two.
    """
    factors, arrow, axes = spec.replace(" ", "").partition("->")
    groups = factors.split(",") if factors else []
    sides = axes.split(",")
    if not arrow or len(sides) != 2:
        raise ValueError(f"`spec` must be like 'ij,kl->il,jk', output and input right of the arrow, but got {spec!r}")
    if len(groups) != len(arrays):
        raise ValueError(
            f"`arrays` must have one for each of the {len(groups)} factors in {spec!r}, but got {len(arrays)}"
        )
    found = [jnp.asarray(array) for array in arrays]
    batch = max(
        (array.ndim - len(g.replace("...", "")) for array, g in zip(found, groups, strict=True) if "..." in g),
        default=0,
    )
    letters = [_letters(group, batch) for group in groups]
    labels = {name: Label(size) for name, size in (sizes or {}).items()}
    for array, names in zip(found, letters, strict=True):
        if array.ndim != len(names):
            raise ValueError(f"`arrays` must fit {spec!r}, but got shape {array.shape} for {''.join(names)!r}")
        for name, size in zip(names, array.shape, strict=True):
            if labels.setdefault(name, Label(size)).size != size:
                raise ValueError(f"`{name}` in {spec!r} must have one size, but got {labels[name].size} and {size}")
    try:
        out, in_ = ([_axis([labels[name] for name in group]) for group in _groups(side, batch)] for side in sides)
    except KeyError as missing:
        raise ValueError(f"`sizes` must say how large {missing} in {spec!r} is, since it is in no factor") from None
    term = Term(
        1,
        tuple(Factor(array, tuple(labels[n] for n in names)) for array, names in zip(found, letters, strict=True)),
        tuple(out),
        tuple(in_),
    )
    return _map([term], [axis.size for axis in out], [axis.size for axis in in_], found, dtype)


def identity(shape: Sequence[int], dtype: Any = None) -> LinearMap:
    """The identity on arrays of this shape."""
    return _map([identity_term(shape)], shape, shape, [], dtype)


def zeros(out_shape: Sequence[int], in_shape: Sequence[int], dtype: Any = None) -> LinearMap:
    """The map to zero."""
    return _map([], out_shape, in_shape, [], dtype)


def diagonal(v: Any) -> LinearMap:
    """diag(v), of an array of any shape."""
    return einsum("...->...,...", v)


def dense(array: Any, out_rank: int) -> LinearMap:
    """The map with these entries, of shape out + in, of which the first ``out_rank`` axes are the output's."""
    array = jnp.asarray(array)
    return _map([dense_term(array, out_rank)], array.shape[:out_rank], array.shape[out_rank:], [array], None)


def gradient(array: Any) -> LinearMap:
    """The row with these entries: the derivative of a scalar."""
    array = jnp.asarray(array)
    return _map([row(array)], (), array.shape, [array], None)


def _letters(group: str, batch: int) -> list[str]:
    before, dots, after = group.partition("...")
    return [*before, *(f".{k}" for k in range(batch) if dots), *after]


def _groups(side: str, batch: int) -> list[list[str]]:
    """The labels of each axis."""
    found: list[list[str]] = []
    for part in re.findall(r"\(.*?\)|\.\.\.|.", side):
        letters = _letters(part.strip("()"), batch)
        found += [letters] if part.startswith("(") else [[letter] for letter in letters]
    return found


def _axis(labels: Sequence[Label]) -> Axis:
    """The axis whose position is the mixed-radix number of the labels, the first the most significant."""
    if len(labels) == 1:
        return plain(labels[0])
    sizes = [label.size for label in labels]
    return Axis(math.prod(sizes), tuple((label, math.prod(sizes[k + 1 :])) for k, label in enumerate(labels)))


def _map(
    terms: Sequence[Term], out: Sequence[int], in_: Sequence[int], arrays: Sequence[jax.Array], dtype: Any
) -> LinearMap:
    if dtype is None:
        dtype = jnp.result_type(*arrays) if arrays else jnp.asarray(0.0).dtype
    return LinearMap(terms, out, in_, dtype)
