"""Gated activations: one array lets another one through."""

import jax
from jaxtyping import Array, Float

from jmc.catalogue.activation import silu_curvature, silu_slope
from jmc.catalogue.batch import of_examples
from jmc.catalogue.rule import rule
from jmc.catalogue.stable import logistic, logistic_density
from jmc.linear import build
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap


@rule(
    jacobian={
        "a": lambda a, b: build.diagonal(logistic(b)),
        "b": lambda a, b: build.diagonal(a * logistic_density(b)),
    },
    vjp={
        "a": lambda u, _, a, b: u * logistic(b),
        "b": lambda u, _, a, b: u * a * logistic_density(b),
    },
    second=lambda a, b: build.zeros(a.shape * 2, a.shape, a.dtype),
    source="Dauphin et al., arXiv 1612.08083: ∂/∂a = diag(σ(b)), ∂/∂b = diag(a ⊙ σ(b)σ(−b))",
    ids="L-act-glu",
    analytic=True,
)
def glu(a: Float[Array, "*s"], b: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """a ⊙ σ(b), the gated linear unit; ∂/∂a = diag(σ(b)), ∂/∂b = diag(a ⊙ σ(b)σ(−b)).

    ``a`` and ``b`` have one shape and dtype; else ValueError or TypeError. ``jax.nn.glu`` takes them as the two
    halves of one array.
    """
    return a * logistic(b)


def _silu(g: jax.Array) -> jax.Array:
    return g * logistic(g)


def _swiglu_wrt_x(x: jax.Array, W_g: jax.Array, W_u: jax.Array, W_d: jax.Array) -> LinearMap:
    g, h = x @ W_g.T, x @ W_u.T
    through_gate = einsum("km,...m,md->...k,...d", W_d, h * silu_slope(g), W_g)
    return through_gate + einsum("km,...m,md->...k,...d", W_d, _silu(g), W_u)


def _swiglu_hessian(x: jax.Array, W_g: jax.Array, W_u: jax.Array, W_d: jax.Array) -> LinearMap:
    """Σ_m W_d [h silu″(g) W_g W_g + silu′(g)(W_g W_u + W_u W_g)], for each example."""
    g, h = x @ W_g.T, x @ W_u.T
    spec = "km,{n}m,md,me->{n}k{n}d,{n}e"
    return (
        of_examples(spec, x, W_d, h * silu_curvature(g), W_g, W_g)
        + of_examples(spec, x, W_d, silu_slope(g), W_g, W_u)
        + of_examples(spec, x, W_d, silu_slope(g), W_u, W_g)
    )


@rule(
    jacobian={
        "x": _swiglu_wrt_x,
        "W_g": lambda x, W_g, W_u, W_d: einsum("km,...m,...d->...k,md", W_d, (x @ W_u.T) * silu_slope(x @ W_g.T), x),
        "W_u": lambda x, W_g, W_u, W_d: einsum("km,...m,...d->...k,md", W_d, _silu(x @ W_g.T), x),
        "W_d": lambda x, W_g, W_u, W_d: einsum(
            "...m->...k,km", _silu(x @ W_g.T) * (x @ W_u.T), sizes={"k": W_d.shape[0]}
        ),
    },
    second=_swiglu_hessian,
    source="Shazeer, arXiv 2002.05202: ∂/∂x = W_d [diag(W_u x ⊙ silu′(W_g x)) W_g + diag(silu(W_g x)) W_u]",
    ids={"x": "L-act-swiglu"},
    analytic=True,
)
def swiglu(
    x: Float[Array, "*n d"], W_g: Float[Array, "m d"], W_u: Float[Array, "m d"], W_d: Float[Array, "k m"]
) -> Float[Array, "*n k"]:
    """W_d (silu(W_g x) ⊙ W_u x), the gated layer of transformers, on one example or a batch.

    Args:
        x: (d,) for one example, any leading axes *n.
        W_g: weights of the gate, (m, d).
        W_u: weights of what it lets through, (m, d).
        W_d: weights of the output, (k, m).

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return (_silu(x @ W_g.T) * (x @ W_u.T)) @ W_d.T
