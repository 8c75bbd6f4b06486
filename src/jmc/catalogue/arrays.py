"""Arrays: what only chooses, joins, repeats or contracts entries. No derivative here depends on the argument."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jmc.catalogue.rule import elementwise, entry, rule
from jmc.linear import build
from jmc.linear.build import einsum

# choosing


def _rows(ids: jax.Array, table: jax.Array) -> jax.Array:
    """The ids as int32; those outside the table lie right behind it."""
    ids = ids.astype("int32")  # a narrower type could not count the rows
    return jnp.where((ids >= 0) & (ids < table.shape[0]), ids, table.shape[0])


@rule(
    jacobian={"table": lambda table, ids: build.selection(ids, table.shape)},
    vjp={"table": lambda g, y, table, ids: jnp.zeros_like(table).at[_rows(ids, table)].add(g, mode="drop")},
    ids="L-embedding",
    source="Y = one_hot(ids) E: Ē = one_hot(ids)ᵀ G, in which repeated ids accumulate",
    analytic=True,
    domain={"ids": "below_V"},
)
def embedding(table: Float[Array, "V d"], ids: Int[Array, "*n"]) -> Float[Array, "*n d"]:
    """y_i = E[ids_i], rows of a table; ∂y/∂E selects, and a row's gradient is the sum over all places that read it.

    ``table`` E: (V, d); ``ids``: integers of any shape, 0 ≤ id < V. An id outside reads nan and adds to no gradient.
    """
    return jnp.take(table, _rows(ids, table), axis=0, mode="fill", fill_value=jnp.nan)


entry(
    "gather",
    "L-gather",
    "x: n, i: m below_n",
    lambda x, i: x[i],
    lambda x, i: build.selection(i, x.shape),
)

entry(
    "choice by a condition",
    "L-where",
    "c: n mask, x: n, y: n",
    lambda c, x, y: jnp.where(c > 0, x, y),
    {"x": lambda c, x, y: build.diagonal(c), "y": lambda c, x, y: build.diagonal(1 - c)},
    conditions="c is not differentiated",
)


def _kept(rate: float) -> float:
    """1/(1 − rate)."""
    if not 0 <= rate < 1:
        raise ValueError(f"`rate` of dropout must be in [0, 1), but got {rate}")
    return 1 / (1 - rate)


@rule(
    jacobian={"x": lambda x, keep, *, rate: build.diagonal(keep.astype(x.dtype) * _kept(rate))},
    vjp={"x": lambda g, y, x, keep, *, rate: jnp.where(keep, g * _kept(rate), 0)},
    ids="L-dropout",
    source="Srivastava et al. (2014), scaled at training: ∂y/∂x = diag(keep)/(1 − rate)",
    conditions="the mask is held fixed",
    analytic=True,
    options={"rate": 0.3},
)
def dropout(x: Float[Array, "*s"], keep: Bool[Array, "*s"], *, rate: float) -> Float[Array, "*s"]:
    """y = x/(1 − rate) where ``keep`` is True, else 0; ∂y/∂x = diag(keep)/(1 − rate).

    Args:
        x: of any shape.
        keep: drawn by the caller, ``jax.random.bernoulli(key, 1 - rate, x.shape)``.
        rate: the probability that an entry is dropped, a constant in [0, 1).

    Raises:
        TypeError, ValueError: ``keep`` is not boolean or not of the shape of ``x``, or the rate is none.
    """
    return jnp.where(keep, x * _kept(rate), 0)


@elementwise(
    derivative=lambda x, low, high: ((x > low) & (x < high) | jnp.isnan(x)).astype(x.dtype),
    parameters={
        "low": lambda x, low, high: ((x <= low) & (low < high)).astype(x.dtype),
        "high": lambda x, low, high: ((x >= high) | (low >= high)).astype(x.dtype),
    },
    ids={"x": "L-clip"},
    source="∂y/∂x = diag(1[low < x < high])",
    kinks="x = low and x = high, where it counts as clipped: ∂y/∂x = 0, ∂y/∂low = 1 and ∂y/∂high = 1",
    domain={
        "x": "distinct",
        "low": lambda rng, shape, _: -rng.uniform(0.7, 0.8, shape),
        "high": lambda rng, shape, _: rng.uniform(0.7, 0.8, shape),
    },
)
def clip(x: Float[Array, "*s"], low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, "*s"]:
    """min(max(x, low), high), ∂y/∂x = 1[low < x < high]: 0 at the bounds, whose own derivatives are then 1.

    ``x`` of any shape, ``low`` and ``high`` numbers or scalars of its dtype. Errors: ValueError, TypeError.
    """
    raised = jnp.where(x <= low, jnp.broadcast_to(low, x.shape), x)
    return jnp.where(raised >= high, jnp.broadcast_to(high, x.shape), raised)


# joining and repeating

entry(
    "concatenation",
    {"x": "L-concat"},
    "x: n, y: m",
    lambda x, y: jnp.concatenate([x, y]),
    {
        "x": lambda x, y: einsum(f"->(i+0:{x.size + y.size}),i", sizes={"i": x.size}),
        "y": lambda x, y: einsum(f"->(i+{x.size}:{x.size + y.size}),i", sizes={"i": y.size}),
    },
)

entry(
    "bias of every row",
    {"b": "L-broadcast"},
    "X: n d, b: d",
    lambda X, b: X + jnp.broadcast_to(b, X.shape),
    {
        "X": lambda X, b: build.identity(X.shape),
        "b": lambda X, b: einsum("->nd,d", sizes=dict(zip("nd", X.shape, strict=True))),
    },
)

# contracting: the label of an operand changes places with that of the output

entry(
    "einsum of two arrays",
    {"A": "L-einsum"},
    "A: i j, B: j k",
    lambda A, B: jnp.einsum("ij,jk->ik", A, B),
    {
        "A": lambda A, B: einsum("jk->ik,ij", B, sizes={"i": A.shape[0]}),
        "B": lambda A, B: einsum("ij->ik,jk", A, sizes={"k": B.shape[1]}),
    },
)

entry(
    "einsum of three arrays",
    "",
    "A: b i j, B: b j k, c: k",
    lambda A, B, c: jnp.einsum("bij,bjk,k->bi", A, B, c),
    {
        "A": lambda A, B, c: einsum("bjk,k->bi,bij", B, c, sizes={"i": A.shape[1]}),
        "B": lambda A, B, c: einsum("bij,k->bi,bjk", A, c),
        "c": lambda A, B, c: einsum("bij,bjk->bi,k", A, B),
    },
    source="an einsum is linear in each operand: ∂/∂operand is the einsum of the others",
    small={"b": 2, "i": 3, "j": 4, "k": 5},
)
