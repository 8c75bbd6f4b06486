"""The affine function z = w·x + b, for one unit or many, one example or a batch; and the bilinear form."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jmc.catalogue.rule import entry, rule
from jmc.linear.build import einsum, identity
from jmc.linear.linear_map import LinearMap


# With u of shape (*n, *m), w of shape (*m, d) and x of shape (*n, d), each cotangent is one contraction, and the
# same line serves the unit (no m), the layer (m), the single example (no n) and the batch (n).
def _wrt_w(u: jax.Array, z: jax.Array, w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    batch = tuple(range(x.ndim - 1))
    return jnp.tensordot(u, x, (batch, batch))


def _wrt_x(u: jax.Array, z: jax.Array, w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    units = w.ndim - 1
    return jnp.tensordot(u, w, (tuple(range(u.ndim - units, u.ndim)), tuple(range(units))))


def _wrt_b(u: jax.Array, z: jax.Array, w: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.sum(u, axis=tuple(range(x.ndim - 1)))


def _map(spec: str, w: jax.Array, x: jax.Array, *factors: jax.Array) -> LinearMap:
    """The einsum with as many letters for {n} and {m} as there are axes of examples and of units."""
    n, m = "NOPQRST"[: x.ndim - 1], "mopqrst"[: w.ndim - 1]
    sizes = dict(zip(n + m, (*x.shape[:-1], *w.shape[:-1]), strict=True))
    return einsum(spec.format(n=n, m=m), *factors, sizes=sizes)


@rule(
    jacobian={
        "w": lambda w, b, x: _map("{n}d->{n}{m},{m}d", w, x, x),
        "b": lambda w, b, x: _map("->{n}{m},{m}", w, x),
        "x": lambda w, b, x: _map("{m}d->{n}{m},{n}d", w, x, w),
    },
    vjp={"w": _wrt_w, "b": _wrt_b, "x": _wrt_x},
    source="The Matrix Calculus You Need For Deep Learning, §5: ∂z/∂w = xᵀ, ∂z/∂b = 1",
    ids={"w": "P-5.4", "b": "P-5.5", "w b x": "L-dense-batch"},
    analytic=True,
)
def affine(w: Float[Array, "*m d"], b: Float[Array, "*m"], x: Float[Array, "*n d"]) -> Float[Array, "..."]:
    """z = x wᵀ + b: ``w·x + b`` for a unit (w: (d,), b: ()), ``X Wᵀ + b`` for a layer on a batch.

    Args:
        w: weights, (d,) for one unit, (m, d) for a layer of m.
        b: bias, () or (m,).
        x: (d,) for one example, (N, d) for a batch, any leading axes *n.

    Returns:
        z of shape (*n, *m), in the common dtype of the arguments. ∂z/∂w = xᵀ, ∂z/∂x = wᵀ, ∂z/∂b = 1 for every
        unit and example.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    z = jnp.tensordot(x, w, (x.ndim - 1, w.ndim - 1))
    return z + jnp.broadcast_to(b, z.shape)


entry(
    "augmented affine function, ŵ·x̂",
    {"w": "P-6.2.6"},
    "w: d, x: d augmented",
    lambda w, x: w @ x,
    {"w": lambda w, x: x, "x": lambda w, x: w},
    conditions="ŵ = [wᵀ, b]ᵀ and x̂ = [xᵀ, 1]ᵀ, so that ŵ·x̂ = w·x + b",
    erratum="x̂ = [xᵀ, 1] is printed without the transpose around it, and no gradient with respect to ŵ",
)

entry(
    "linear layer, Wx + b",
    {"x": "L-linear-x", "W": "L-linear-W", "b": "L-linear-b"},
    "x: n, W: k n, b: k",
    lambda x, W, b: W @ x + b,
    {
        "x": lambda x, W, b: einsum("kn->k,n", W),
        "W": lambda x, W, b: einsum("n->k,kn", x, sizes={"k": b.size}),
        "b": lambda x, W, b: identity(b.shape),
    },
)

entry(
    "bilinear layer, xᵀWy",
    "L-bilinear",
    "x: m, W: m n, y: n",
    lambda x, W, y: x @ W @ y,
    {"x": lambda x, W, y: W @ y, "W": lambda x, W, y: einsum("m,n->,mn", x, y), "y": lambda x, W, y: x @ W},
)
