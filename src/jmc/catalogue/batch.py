"""Batches: einsums over examples, and the derivatives of a mean from those of one entry or of one example.

The mean is that of ℓ over all N entries, or over the N examples if ℓ takes a whole axis of classes; the mean over
nothing is nan, with a gradient of size 0.
"""

import math
from collections.abc import Callable

import jax

from jmc.catalogue.record import Formula
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap

Partial = Callable[..., jax.Array]


def share(x: jax.Array, class_axes: int = 0) -> float:
    """1/N: a number before it is an array, since in float16 N itself may be infinite."""
    return 1 / max(math.prod(x.shape[: x.ndim - class_axes]), 1)


def mean(partial: Partial, class_axes: int = 0) -> Formula:
    """The vjp of the mean from ∂ℓ."""
    return lambda u, _, *args: u * share(args[0], class_axes) * partial(*args)


def diagonal(curvature: Partial) -> Formula:
    """The Hessian of the mean from the ∂²ℓ/∂a² of one entry."""
    return lambda *args: build.diagonal(share(args[0]) * curvature(*args))


def flat(x: jax.Array, *_: jax.Array) -> LinearMap:
    """The Hessian of what is linear in pieces: zero."""
    return build.zeros(x.shape, x.shape, x.dtype)


def of_examples(spec: str, x: jax.Array, *factors: jax.Array, **sizes: int) -> LinearMap:
    """The einsum with as many letters for {n} as ``x`` has axes of examples, which are all but the last."""
    n = "NOPQRST"[: x.ndim - 1]
    return einsum(spec.format(n=n), *factors, sizes=dict(zip(n, x.shape, strict=False)) | sizes)
