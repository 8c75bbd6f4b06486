"""Domains: how an argument is drawn that is not a plain array of normal numbers.

A kind is a word in a rule's signature (``"A: n n spd, y: k distribution"``); it draws with NumPy, so that nothing is
compiled. Matrices are well conditioned, and what must be distinct is well separated.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Shape = tuple[int, ...]
Sizes = Mapping[str, Any]
Draw = Callable[[np.random.Generator, Shape, Sizes], np.ndarray]

KINDS: dict[str, Draw] = {}


def kind(draw: Draw) -> Draw:
    """Register the function under its name, with spaces for underscores taken away."""
    KINDS[draw.__name__.rstrip("_")] = draw
    return draw


def draw(kind: "str | Draw | None", rng: np.random.Generator, shape: Shape, sizes: Sizes) -> np.ndarray:
    """An array of this kind; ``"below_k"`` are integers below the size of ``k``."""
    if callable(kind):
        return np.asarray(kind(rng, shape, sizes))
    if kind is None:
        return rng.normal(size=shape)
    if kind.startswith("below_"):
        return rng.integers(sizes[kind.removeprefix("below_")], size=shape, dtype=np.int32)
    return np.asarray(KINDS[kind](rng, shape, sizes))


@kind
def positive(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Between 0.4 and 2."""
    return rng.uniform(0.4, 2, shape)


@kind
def unit(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Inside the interval from 0 to 1."""
    return rng.uniform(0.1, 0.9, shape)


@kind
def nonzero(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Of either sign, and away from 0."""
    return signs(rng, shape, _) * rng.uniform(0.4, 2, shape)


@kind
def zero(_: np.random.Generator, shape: Shape, __: Sizes) -> np.ndarray:
    """0, where a derivative is taken at the origin alone."""
    return np.zeros(shape)


@kind
def wide(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Of both signs, small and large: on every piece of an activation."""
    count = int(np.prod(shape, dtype=int))
    size = np.linspace(0.3, 5, count) + rng.uniform(-0.2, 0.2, count)
    return rng.permutation(size * rng.choice([-1, 1]) * (-1.0) ** np.arange(count)).reshape(shape)


@kind
def signs(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """−1 or 1."""
    return rng.choice([-1.0, 1.0], shape)


@kind
def mask(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """0 or 1, both if there is room."""
    flat = (np.arange(np.prod(shape, dtype=int)) % 2).astype(float)
    return rng.permutation(flat).reshape(shape)


@kind
def mild(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Normal, a quarter as large: what a sum of products of it does not saturate (there AD loses digits)."""
    return rng.normal(size=shape) / 4


@kind
def distinct(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """No two entries closer than about a third."""
    count = int(np.prod(shape, dtype=int))
    return rng.permutation(0.5 * (np.arange(count) - (count - 1) / 2) + rng.uniform(-0.08, 0.08, count)).reshape(shape)


@kind
def distribution(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Positive, and summing to 1 over the last axis."""
    weights = rng.uniform(0.4, 2, shape)
    return weights / weights.sum(axis=-1, keepdims=True)


@kind
def one_hot(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """A single 1 along the last axis."""
    return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]


@kind
def augmented(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """x̂ = [xᵀ, 1]ᵀ: the last entry along the last axis is 1."""
    values = rng.normal(size=shape)
    values[..., -1:] = 1
    return values


def orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Columns of unit length at right angles (rows, if there are fewer)."""
    q, _ = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    return q if rows >= columns else q.T


@kind
def orthogonal(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """QᵀQ = I."""
    return orthonormal(rng, *shape)


@kind
def full_rank(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Any matrix whose singular values are distinct and lie between 0.6 and 2."""
    values = np.linspace(0.6, 2, min(shape)) + rng.uniform(-0.05, 0.05, min(shape))
    return orthonormal(rng, shape[0], min(shape)) * rng.permutation(values) @ orthonormal(rng, min(shape), shape[1])


@kind
def invertible(rng: np.random.Generator, shape: Shape, sizes: Sizes) -> np.ndarray:
    """Square, of full rank, with a positive determinant."""
    found = full_rank(rng, shape, sizes)
    if shape[0]:
        found[0] *= np.sign(np.linalg.det(found))
    return found


@kind
def symmetric(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """A = Aᵀ, with distinct eigenvalues of both signs."""
    q = orthonormal(rng, *shape)
    return _symmetrised(q * distinct(rng, shape[:1], _) @ q.T)


@kind
def spd(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Symmetric, with distinct positive eigenvalues."""
    q = orthonormal(rng, *shape)
    return _symmetrised(q * np.linspace(0.6, 2.4, shape[0]) @ q.T)


@kind
def real_eigenvalues(rng: np.random.Generator, shape: Shape, sizes: Sizes) -> np.ndarray:
    """Diagonalisable, not symmetric, with distinct positive eigenvalues."""
    basis = full_rank(rng, shape, sizes)
    return basis * np.linspace(0.6, 2.4, shape[0]) @ np.linalg.inv(basis)


@kind
def diagonal(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Off the diagonal zero, on it away from zero."""
    return np.diag(nonzero(rng, shape[:1], _))


@kind
def lower(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Lower triangular, with a positive diagonal."""
    return np.tril(rng.normal(size=shape), -1) + np.diag(rng.uniform(0.6, 2, shape[0]))


@kind
def toeplitz(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Constant along each diagonal."""
    n = shape[0]
    values = rng.normal(size=max(2 * n - 1, 0))
    return values[np.subtract.outer(np.arange(n), np.arange(n)) + n - 1] if n else np.zeros(shape)


def _symmetrised(a: np.ndarray) -> np.ndarray:
    return (a + a.T) / 2
