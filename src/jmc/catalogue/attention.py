"""Attention: queries read the values of keys, O = P V with P = softmax(Q Kᵀ/√d); several heads.

With ḡ for cotangents: V̄ = Pᵀ Ō, P̄ = Ō Vᵀ, S̄ = P ∘ (P̄ − rowsum(P̄ ∘ P)), Q̄ = S̄ K/√d, K̄ = S̄ᵀ Q/√d. A masked entry has
P = 0, which ends its gradient; a query without any key has P = 0 and so O = 0.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jmc.catalogue.domain import Shape, Sizes
from jmc.catalogue.rule import entry, rule
from jmc.catalogue.softmax import covariance, probabilities, softmax_vjp
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap

VASWANI = "Vaswani et al., arXiv 1706.03762, eq. 1"
Mask = jax.Array | None


def _scale(q: jax.Array) -> float:
    """1/√d."""
    return 1 / math.sqrt(max(q.shape[-1], 1))


def _causal(q: jax.Array, k: jax.Array, causal: bool) -> Mask:
    """Query i reads the keys j ≤ i."""
    return jnp.tri(q.shape[-2], k.shape[-2], dtype=bool) if causal else None


def _weights(q: jax.Array, k: jax.Array, mask: Mask) -> jax.Array:
    """P, 0 where the mask is False."""
    s = _scale(q) * jnp.einsum("...id,...jd->...ij", q, k)
    if mask is None:
        return probabilities(s)
    mask = jnp.broadcast_to(mask, s.shape)
    largest = jnp.max(jnp.where(mask, s.real, -jnp.inf), axis=-1, keepdims=True, initial=-jnp.inf)
    shift = jax.lax.stop_gradient(jnp.where(largest == -jnp.inf, 0, largest)).astype(s.dtype)
    e = jnp.where(mask, jnp.exp(jnp.where(mask, s - shift, 0)), 0)
    total = jnp.sum(e, axis=-1, keepdims=True)
    return e / jnp.where(total == 0, 1, total)


def _attended(q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> jax.Array:
    return _weights(q, k, mask) @ v


def _from_largest(p: jax.Array, x: jax.Array) -> jax.Array:
    """x_j − x_a, (*n, m, l, e), a the key of the query's largest weight: so what is small keeps its digits."""
    if p.shape[-1] == 0:
        return jnp.zeros((*p.shape, x.shape[-1]), x.dtype)
    largest = jnp.take_along_axis(x, jnp.argmax(p, axis=-1)[..., None], axis=-2)
    return x[..., None, :, :] - largest[..., :, None, :]


def _weighted(p: jax.Array, v: jax.Array) -> jax.Array:
    """p_ij (v_j − o_i), (*n, m, l, e)."""
    w = _from_largest(p, v)
    return p[..., None] * (w - jnp.einsum("...ij,...ije->...ie", p, w)[..., :, None, :])


def _by_query(q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> LinearMap:
    """∂o_i/∂q_i = Σ_j p_ij (v_j − o_i) k_jᵀ/√d, a block for each query; any constant may be taken off k."""
    p = _weights(q, k, mask)
    return einsum("...ije,...ijd->...ie,...id", _weighted(p, v), _from_largest(p, k)) * _scale(q)


def _by_key(q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> LinearMap:
    """∂o_i/∂k_j = p_ij (v_j − o_i) q_iᵀ/√d."""
    return einsum("...ije,...id->...ie,...jd", _weighted(_weights(q, k, mask), v), q) * _scale(q)


def _by_value(q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> LinearMap:
    """∂o_i/∂v_j = p_ij I."""
    return einsum("...ij->...ie,...je", _weights(q, k, mask), sizes={"e": v.shape[-1]})


def _pulled_scores(g: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask) -> jax.Array:
    """S̄/√d."""
    p = _weights(q, k, mask)
    return _scale(q) * softmax_vjp(jnp.einsum("...ie,...je->...ij", g, v), p, p)


def _to_query(g: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> jax.Array:
    return _pulled_scores(g, q, k, v, mask) @ k


def _to_key(g: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> jax.Array:
    return jnp.einsum("...ij,...id->...jd", _pulled_scores(g, q, k, v, mask), q)


def _to_value(g: jax.Array, q: jax.Array, k: jax.Array, v: jax.Array, mask: Mask = None) -> jax.Array:
    return jnp.einsum("...ij,...ie->...je", _weights(q, k, mask), g)


@rule(
    jacobian={
        "q": lambda q, k, v, *, causal: _by_query(q, k, v, _causal(q, k, causal)),
        "k": lambda q, k, v, *, causal: _by_key(q, k, v, _causal(q, k, causal)),
        "v": lambda q, k, v, *, causal: _by_value(q, k, v, _causal(q, k, causal)),
    },
    vjp={
        "q": lambda g, o, q, k, v, *, causal: _to_query(g, q, k, v, _causal(q, k, causal)),
        "k": lambda g, o, q, k, v, *, causal: _to_key(g, q, k, v, _causal(q, k, causal)),
        "v": lambda g, o, q, k, v, *, causal: _to_value(g, q, k, v, _causal(q, k, causal)),
    },
    ids="L-attention",
    source=VASWANI,
    analytic=True,
    small={"*n": 2, "e": 4},
)
def attention(
    q: Float[Array, "*n m d"], k: Float[Array, "*n l d"], v: Float[Array, "*n l e"], *, causal: bool = False
) -> Float[Array, "*n m e"]:
    """O = softmax(Q Kᵀ/√d) V, exact for scores of any size.

    ∂o_i/∂q_i = Vᵀ(diag(p_i) − p_i p_iᵀ)K/√d, ∂o_i/∂k_j = p_ij (v_j − o_i) q_iᵀ/√d, ∂o_i/∂v_j = p_ij I.

    Args:
        q: m queries, (*n, m, d), any leading axes (examples, heads).
        k: l keys, (*n, l, d).
        v: their values, (*n, l, e).
        causal: whether query i reads the keys j ≤ i only.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return _attended(q, k, v, _causal(q, k, causal))


def _some_keys(rng: np.random.Generator, shape: Shape, _: Sizes) -> np.ndarray:
    """Masks that leave every query a key."""
    rows = rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1)
    return rows < rng.integers(1, shape[-1] + 1, (*shape[:-1], 1))


@rule(
    jacobian={"q": _by_query, "k": _by_key, "v": _by_value},
    vjp={
        "q": lambda g, o, q, k, v, mask: _to_query(g, q, k, v, mask),
        "k": lambda g, o, q, k, v, mask: _to_key(g, q, k, v, mask),
        "v": lambda g, o, q, k, v, mask: _to_value(g, q, k, v, mask),
    },
    source=f"{VASWANI}, with scores of −∞ where the mask is False",
    analytic=True,
    domain={"mask": _some_keys},
    small={"*n": 2, "e": 4},
)
def masked_attention(
    q: Float[Array, "*n m d"], k: Float[Array, "*n l d"], v: Float[Array, "*n l e"], mask: Bool[Array, "*n m l"]
) -> Float[Array, "*n m e"]:
    """Attention in which query i reads key j only where ``mask`` is True; the other weights P are exactly 0.

    The derivatives are those of :func:`attention`. A query that may read no key at all gives 0, with gradients of 0.
    """
    return _attended(q, k, v, mask)


entry(
    "causal attention",
    "L-attention-causal",
    "q: m d, k: l d, v: l e",
    lambda q, k, v: _attended(q, k, v, _causal(q, k, causal=True)),
    {
        "q": lambda q, k, v: _by_query(q, k, v, _causal(q, k, causal=True)),
        "k": lambda q, k, v: _by_key(q, k, v, _causal(q, k, causal=True)),
        "v": lambda q, k, v: _by_value(q, k, v, _causal(q, k, causal=True)),
    },
    source=VASWANI,
    conditions="query i reads the keys j ≤ i",
    small={"e": 2},
)

entry(
    "attention of one query",
    "L-attention-J",
    "q: d, K: n d, V: n e",
    lambda q, K, V: probabilities(K @ q / q.size**0.5) @ V,
    lambda q, K, V: (
        einsum("ne->e,n", V) @ covariance(probabilities(K @ q / q.size**0.5), 1 / q.size**0.5) @ einsum("nd->n,d", K)
    ),
    source=VASWANI,
)


# several heads: the projections h of q, k and v, attention in each, and the sum of what they say


def _heads(x: jax.Array, w: jax.Array) -> jax.Array:
    """(*n, m, d) as (*n, h, m, r): x wᵀ for each head."""
    return jnp.einsum("...id,hrd->...hir", x, w)


def _in_heads(causal: bool, *args: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, Mask]:
    """The queries, keys and values of each head, and the mask."""
    q, k, v = (_heads(x, w) for x, w in zip(args[:3], args[3:6], strict=True))
    return q, k, v, _causal(q, k, causal)


def _by_heads(which: int, of_weights: bool, causal: bool, *args: jax.Array) -> LinearMap:
    """∂y/∂(q, k, v) or ∂y/∂(their weights): through the sum of the heads, attention and the projection."""
    wo, x, w = args[6], args[which], args[3 + which]
    through = (_by_query, _by_key, _by_value)[which](*_in_heads(causal, *args))
    summed = einsum("fhe->...if,...hie", wo, sizes={"...": args[0].shape[:-2], "i": args[0].shape[-2]})
    if of_weights:
        projected = einsum("...id->...hir,hrd", x, sizes={"h": w.shape[0], "r": w.shape[1]})
    else:
        projected = einsum("hrd->...hir,...id", w, sizes={"...": x.shape[:-2], "i": x.shape[-2]})
    return summed @ through @ projected


def _to_heads(g: jax.Array, which: int, of_weights: bool, causal: bool, *args: jax.Array) -> jax.Array:
    """The cotangent of q, k or v, or of its weights."""
    u = jnp.einsum("...if,fhe->...hie", g, args[6])
    u = (_to_query, _to_key, _to_value)[which](u, *_in_heads(causal, *args))
    if of_weights:
        return jnp.einsum("...hir,...id->hrd", u, args[which])
    return jnp.einsum("...hir,hrd->...id", u, args[3 + which])


def _from_heads(causal: bool, *args: jax.Array) -> jax.Array:
    """What each head says, (*n, h, m, e)."""
    return _attended(*_in_heads(causal, *args))


_PLACES = {"q": (0, False), "k": (1, False), "v": (2, False), "wq": (0, True), "wk": (1, True), "wv": (2, True)}


@rule(
    jacobian={
        **{name: lambda *args, causal, at=at: _by_heads(*at, causal, *args) for name, at in _PLACES.items()},
        "wo": lambda *args, causal: einsum(
            "...hie->...if,fhe", _from_heads(causal, *args), sizes={"f": args[6].shape[0]}
        ),
    },
    vjp={
        **{name: lambda g, y, *args, causal, at=at: _to_heads(g, *at, causal, *args) for name, at in _PLACES.items()},
        "wo": lambda g, y, *args, causal: jnp.einsum("...if,...hie->fhe", g, _from_heads(causal, *args)),
    },
    source="Vaswani et al., arXiv 1706.03762, §3.2.2",
    analytic=True,
    domain={"wq": "mild", "wk": "mild"},
    small={"*n": 2, "m": 3, "l": 2, "d": 4, "h": 2, "r": 3, "e": 2, "f": 5},
)
def multi_head_attention(
    q: Float[Array, "*n m d"],
    k: Float[Array, "*n l d"],
    v: Float[Array, "*n l d"],
    wq: Float[Array, "h r d"],
    wk: Float[Array, "h r d"],
    wv: Float[Array, "h e d"],
    wo: Float[Array, "f h e"],
    *,
    causal: bool = False,
) -> Float[Array, "*n m f"]:
    """y_if = Σ_he wo_fhe o_hie, where o_h is the attention of q wq_hᵀ, k wk_hᵀ, v wv_hᵀ (all of x: self-attention).

    The derivatives are products of three maps: the sum of the heads, attention in each, the projections.

    Args:
        q: m inputs that ask, (*n, m, d).
        k: l inputs that are read, (*n, l, d).
        v: what is read of them, (*n, l, d).
        wq: a projection for each head, (h, r, d).
        wk: the same for the keys, (h, r, d).
        wv: the same for the values, (h, e, d).
        wo: how the heads are summed, (f, h, e).
        causal: whether input i reads the inputs j ≤ i only.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return jnp.einsum("fhe,...hie->...if", wo, _from_heads(causal, q, k, v, wq, wk, wv))
