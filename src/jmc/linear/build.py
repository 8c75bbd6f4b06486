"""Jacobians written down: a linear map from its einsum, in the index notation of the formula.

``einsum("ij,kl->il,jk", A, B)`` is ∂(A X B)_il/∂X_jk = A_ij B_kl: a group of labels for each factor, then, right of the
arrow, the axes of the output and those of the input. A label on both sides that is in no factor is a δ; one that is on
one axis alone makes that axis all ones; one that is on no axis is summed.

An axis in parentheses has positions made of several labels. ``(ik)`` is one axis in row-major order:
``einsum("kl->(ik)(jl),ij", Y)`` is ∂(X ⊗ Y)/∂X. ``(2i+k-1:9)`` is an affine form on an axis of 9 (a slice, a window);
what falls outside the axis is dropped.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmc.linear.linear_map import LinearMap
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, fresh, plain, plains, row
from jmc.linear.term import dense as dense_term
from jmc.linear.term import identity as identity_term


def einsum(spec: str, *arrays: Any, sizes: Mapping[str, Any] | None = None, dtype: Any = None) -> LinearMap:
    """The map whose matrix is this einsum.

    Args:
        spec: ``"ij,kl->il,jk"``: labels of the factors, of the output's axes, of the input's. ``...`` stands for the
            same axes wherever it is written, ``(ij)`` right of the arrow for one axis with position i·(size of j) + j.
        arrays: the factors.
        sizes: of labels that are in no factor; a tuple for ``...``, if no factor has those axes.
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
    given = dict(sizes or {})
    shared = given.pop("...", ())
    batch = max(
        (array.ndim - len(g.replace("...", "")) for array, g in zip(found, groups, strict=True) if "..." in g),
        default=len(shared),
    )
    letters = [_letters(group, batch) for group in groups]
    labels = {name: Label(size) for name, size in ({f".{k}": n for k, n in enumerate(shared)} | given).items()}
    for array, names in zip(found, letters, strict=True):
        if array.ndim != len(names):
            raise ValueError(f"`arrays` must fit {spec!r}, but got shape {array.shape} for {''.join(names)!r}")
        for name, size in zip(names, array.shape, strict=True):
            if labels.setdefault(name, Label(size)).size != size:
                raise ValueError(f"`{name}` in {spec!r} must have one size, but got {labels[name].size} and {size}")
    try:
        out, in_ = (_axes(side, batch, labels) for side in sides)
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


def selection(index: Any, shape: Sequence[int]) -> LinearMap:
    """x ↦ x[index] of an x of this shape, the index integers of any shape; positions outside x read 0."""
    index = jnp.asarray(index, "int32")
    size, *rest = shape
    read, kept = fresh(index.shape), plains(fresh(rest))
    position = jnp.where((index >= 0) & (index < size), index, NOWHERE)
    term = Term(1, (), (*plains(read), *kept), (Axis(size, tuple((m, 0) for m in read), 0, position), *kept))
    return _map([term], (*index.shape, *rest), shape, [], None)


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


def _axes(side: str, batch: int, labels: Mapping[str, Label]) -> list[Axis]:
    found: list[Axis] = []
    for part in re.findall(r"\(.*?\)|\.\.\.|.", side):
        if re.search(r"[-+:\d]", part):
            found.append(_affine(part[1:-1], labels))
            continue
        own = [labels[name] for name in _letters(part.strip("()"), batch)]
        found += [_number(own)] if part.startswith("(") else map(plain, own)
    return found


def _number(labels: Sequence[Label]) -> Axis:
    """The axis whose position is the mixed-radix number of the labels, the first the most significant."""
    sizes = [label.size for label in labels]
    return Axis(math.prod(sizes), tuple((label, math.prod(sizes[k + 1 :])) for k, label in enumerate(labels)))


def _affine(text: str, labels: Mapping[str, Label]) -> Axis:
    """The axis of ``2i+k-1:9``; without a size it ends at the last position."""
    form, _, size = text.partition(":")
    offset, strides = 0, []
    for sign, number, name in re.findall(r"([+-]?)(\d*)([A-Za-z]?)", form):
        weight = int(sign + (number or "1"))
        if name:
            strides.append((labels[name], weight))
        elif number:
            offset += weight
    reach = offset + 1 + sum(weight * (label.size - 1) for label, weight in strides)
    return Axis(int(size) if size else reach, tuple(strides), offset)


def _map(
    terms: Sequence[Term], out: Sequence[int], in_: Sequence[int], arrays: Sequence[jax.Array], dtype: Any
) -> LinearMap:
    if dtype is None:
        dtype = jnp.result_type(*arrays) if arrays else jnp.asarray(0.0).dtype
    return LinearMap(terms, out, in_, dtype)
