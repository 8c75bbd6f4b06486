"""Convolution and pooling: windows slide over the axes of positions; channels first, any number of such axes.

A window i reads the positions s i + t k − p for k = 0 … size − 1, with stride s, dilation t and padding p. So every
Jacobian with respect to the input is a band, the same for each example: entries at (i, s i + t k − p).
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jmc.catalogue.rule import entry, rule
from jmc.linear.build import einsum
from jmc.linear.linear_map import LinearMap

Each = int | tuple[int, ...]
I, K = "ijlmrs", "uvwxyz"  # noqa: E741 - labels of windows, and of places in them


def _each(name: str, option: Each, rank: int) -> tuple[int, ...]:
    """An option for each axis of positions."""
    values = (option,) * rank if isinstance(option, int) else tuple(option)
    if len(values) != rank:
        raise ValueError(
            f"`{name}` must be a number, or one for each of the {rank} axes of positions, but got {option}"
        )
    return values


def _read(shape: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> str:
    """The axes of positions in an einsum: where place k of window i lies."""
    parts = zip(stride, I, dilation, K, padding, shape, strict=False)
    return "".join(f"({s}{i}+{t}{k}-{p}:{n})" for s, i, t, k, p, n in parts)


def _windows(
    x: jax.Array, size: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> jax.Array:
    """(…, *s) as (…, i, u, j, v, …): for each window along an axis, what it reads; 0 outside."""
    first = x.ndim - len(size)
    x = jnp.pad(x, [(0, 0)] * first + [(p, p) for p in padding])
    for d, (k, s, t) in enumerate(zip(size, stride, dilation, strict=True)):
        axis = first + 2 * d
        count = _count(x.shape[axis], k, s, 0, t)
        x = jnp.take(x, s * np.arange(count)[:, None] + t * np.arange(k)[None, :], axis, mode="clip")
    return x


def _count(n: int, k: int, s: int, p: int, t: int) -> int:
    """How many windows there are."""
    return max((n + 2 * p - t * (k - 1) - 1) // s + 1, 0)


# convolution


def _convolved(x: jax.Array, kernel: jax.Array, stride: Each, padding: Each, dilation: Each) -> jax.Array:
    if x.ndim != kernel.ndim:
        raise ValueError(f"`kernel` must have as many axes as `x`, {x.ndim}, but got shape {kernel.shape}")
    s, p, t = _options(x.ndim - 2, stride, padding, dilation)
    return lax.conv_general_dilated(x, kernel, s, [(n, n) for n in p], rhs_dilation=t)


def _options(rank: int, stride: Each, padding: Each, dilation: Each) -> tuple[tuple[int, ...], ...]:
    return _each("stride", stride, rank), _each("padding", padding, rank), _each("dilation", dilation, rank)


def _by_input(x: jax.Array, kernel: jax.Array, stride: Each, padding: Each, dilation: Each) -> LinearMap:
    """∂y_noi/∂x_nc(si+tu−p) = K_ocu."""
    shape, size = x.shape[2:], kernel.shape[2:]
    s, p, t = _options(len(shape), stride, padding, dilation)
    i, u = I[: len(shape)], K[: len(shape)]
    counts = dict(zip(i, map(_count, shape, size, s, p, t), strict=True))
    return einsum(f"oc{u}->no{i},nc{_read(shape, s, p, t)}", kernel, sizes={"n": x.shape[0]} | counts)


def _by_kernel(x: jax.Array, kernel: jax.Array, stride: Each, padding: Each, dilation: Each) -> LinearMap:
    """∂y_noi/∂K_ocu = x_nc(si+tu−p)."""
    rank = x.ndim - 2
    windows = _windows(x, kernel.shape[2:], *_options(rank, stride, padding, dilation))
    both = "".join(i + u for i, u in zip(I[:rank], K[:rank], strict=True))
    return einsum(f"nc{both}->no{I[:rank]},oc{K[:rank]}", windows, sizes={"o": kernel.shape[0]})


def _pulled_to_input(
    g: jax.Array, x: jax.Array, kernel: jax.Array, stride: Each, padding: Each, dilation: Each
) -> jax.Array:
    """The full convolution of g, spread by the stride, with the kernel: flipped, its channels exchanged."""
    s, p, t = _options(x.ndim - 2, stride, padding, dilation)
    reach = [b * (k - 1) for b, k in zip(t, kernel.shape[2:], strict=True)]
    low = [r - q for r, q in zip(reach, p, strict=True)]
    high = [
        n + r - max((m - 1) * a + 1, 0) - q
        for n, r, m, a, q in zip(x.shape[2:], reach, g.shape[2:], s, low, strict=True)
    ]
    flipped = jnp.flip(jnp.swapaxes(kernel, 0, 1), range(2, kernel.ndim))
    ones = (1,) * len(s)
    return lax.conv_general_dilated(g, flipped, ones, list(zip(low, high, strict=True)), s, t)


def _pulled_to_kernel(
    g: jax.Array, x: jax.Array, kernel: jax.Array, stride: Each, padding: Each, dilation: Each
) -> jax.Array:
    """The convolution of x with g, examples and channels exchanged, at the positions of the kernel."""
    if 0 in g.shape:  # no window, and a convolution must have one
        return jnp.zeros_like(kernel)
    s, p, t = _options(x.ndim - 2, stride, padding, dilation)
    pads = [
        (q, b * (k - 1) + max((m - 1) * a + 1, 0) - n - q)
        for n, m, k, a, q, b in zip(x.shape[2:], g.shape[2:], kernel.shape[2:], s, p, t, strict=True)
    ]
    found = lax.conv_general_dilated(jnp.swapaxes(x, 0, 1), jnp.swapaxes(g, 0, 1), t, pads, rhs_dilation=s)
    return jnp.swapaxes(found, 0, 1)


@rule(
    jacobian={
        "x": lambda x, kernel, *, stride, padding, dilation: _by_input(x, kernel, stride, padding, dilation),
        "kernel": lambda x, kernel, *, stride, padding, dilation: _by_kernel(x, kernel, stride, padding, dilation),
    },
    vjp={
        "x": lambda g, y, x, kernel, *, stride, padding, dilation: _pulled_to_input(
            g, x, kernel, stride, padding, dilation
        ),
        "kernel": lambda g, y, x, kernel, *, stride, padding, dilation: _pulled_to_kernel(
            g, x, kernel, stride, padding, dilation
        ),
    },
    source="Dumoulin & Visin, arXiv 1603.07285, §4: the transpose of a convolution is one",
    analytic=True,
    decreasing=("*w", "*k"),
    small={"N": 2, "c": 3, "o": 5, "*w": 9, "*k": 2},
    options={"stride": 2, "padding": 1, "dilation": 3},
)
def convolution(
    x: Float[Array, "N c *w"],
    kernel: Float[Array, "o c *k"],
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
) -> Float[Array, "N o *m"]:
    """y_noi = Σ_cu K_ocu x_nc(si+tu−p), the cross-correlation of deep learning; x is 0 outside.

    ∂y/∂x is banded, Kᵀ in each of its windows; ∂y/∂K holds what the windows read, the same for each channel o.

    Args:
        x: (N, c, *w), channels first, any number of axes of positions.
        kernel: K, (o, c, *k), one axis of places for each.
        stride: s, the distance of windows, a number or one for each axis.
        padding: p, the zeros on either side.
        dilation: t, the distance of places in a window.

    Raises:
        TypeError, ValueError: dtypes differ, or shapes do not fit; the message names the argument.
    """
    return _convolved(x, kernel, stride, padding, dilation)


entry(
    "convolution in one dimension",
    "L-conv1d",
    "x: n, k: m",
    lambda x, k: jnp.stack([k @ x[i : i + k.size] for i in range(x.size - k.size + 1)]),
    {
        "x": lambda x, k: einsum(f"j->i,(i+j:{x.size})", k, sizes={"i": x.size - k.size + 1}),
        "k": lambda x, k: einsum("ij->i,j", x[np.add.outer(np.arange(x.size - k.size + 1), np.arange(k.size))]),
    },
    source="Dumoulin & Visin, arXiv 1603.07285, §4",
    decreasing=("n", "m"),
)

entry(
    "convolution in two dimensions",
    "L-conv2d",
    "X: n c h w, K: o c i j",
    lambda X, K: jnp.einsum("nchiwj,ocij->nohw", _windows(X, K.shape[2:], (1, 1), (0, 0), (1, 1)), K),
    {"X": lambda X, K: _by_input(X, K, 1, 0, 1), "K": lambda X, K: _by_kernel(X, K, 1, 0, 1)},
    source="Dumoulin & Visin, arXiv 1603.07285, §4",
    small={"n": 2, "c": 3, "h": 4, "w": 5, "o": 3, "i": 2, "j": 3},
)


# pooling


def _pooling(x: jax.Array, window: Each, stride: Each | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The size of a window and the stride along each axis of positions."""
    rank = x.ndim - 2
    size = _each("window", window, rank)
    return size, size if stride is None else _each("stride", stride, rank)


def _reduced(x: jax.Array, start: float, combine: object, size: Sequence[int], stride: Sequence[int]) -> jax.Array:
    # the start is a constant, by which JAX knows the reduction and its derivative
    return lax.reduce_window(x, np.array(start, x.dtype), combine, (1, 1, *size), (1, 1, *stride), "VALID")  # pyright: ignore[reportArgumentType] - `combine` is an object to its type


def _averages(x: jax.Array, window: Each, stride: Each | None) -> LinearMap:
    """∂y_nci/∂x_nc(si+u) = 1/p."""
    size, steps = _pooling(x, window, stride)
    shape, none = x.shape[2:], (0,) * len(size)
    i, u = I[: len(size)], K[: len(size)]
    counts = map(_count, shape, size, steps, none, (1,) * len(size))
    sizes = dict(zip(f"nc{i}{u}", (*x.shape[:2], *counts, *size), strict=True))
    return einsum(f"->nc{i},nc{_read(shape, steps, none, (1,) * len(size))}", sizes=sizes) / max(math.prod(size), 1)


def _shared_out(g: jax.Array, x: jax.Array, window: Each, stride: Each | None) -> jax.Array:
    """Each input gets g/p of every window that reads it: the sums of windows over g, spread by the stride."""
    size, steps = _pooling(x, window, stride)
    pads = [
        (k - 1, n - max((m - 1) * s + 1, 0), s - 1)
        for k, n, m, s in zip(size, x.shape[2:], g.shape[2:], steps, strict=True)
    ]
    spread = lax.pad(g / math.prod(size), np.array(0, g.dtype), [(0, 0, 0), (0, 0, 0), *pads])
    return _reduced(spread, 0, lax.add, size, (1,) * len(size))


@rule(
    jacobian={"x": lambda x, *, window, stride: _averages(x, window, stride)},
    vjp={"x": lambda g, y, x, *, window, stride: _shared_out(g, x, window, stride)},
    ids="L-avgpool",
    source="∂y_i/∂x_(si+u) = 1/p for the p places u of a window",
    analytic=True,
    small={"N": 2, "c": 3, "*w": 9},
    options={"window": 3, "stride": 2},
)
def avg_pool(
    x: Float[Array, "N c *w"], *, window: int | tuple[int, ...], stride: int | tuple[int, ...] | None = None
) -> Float[Array, "N c *m"]:
    """The mean over windows, y_nci = (1/p) Σ_u x_nc(si+u); each input gets g/p from every window that reads it.

    Args:
        x: (N, c, *w), channels first.
        window: its size, a number or one for each axis of positions; p is the product.
        stride: s, the distance of windows; the window's size if None.
    """
    size, steps = _pooling(x, window, stride)
    return _reduced(x, 0, lax.add, size, steps) / math.prod(size)


def _routed(x: jax.Array, window: Each, stride: Each | None) -> LinearMap:
    """1 at the first of the largest inputs of each window."""
    size, steps = _pooling(x, window, stride)
    rank, none, one = len(size), (0,) * len(size), (1,) * len(size)
    i, u = I[:rank], K[:rank]
    windows = _windows(x, size, steps, none, one)
    windows = windows.transpose(0, 1, *range(2, 2 + 2 * rank, 2), *range(3, 3 + 2 * rank, 2))
    flat = windows.reshape(*windows.shape[: 2 + rank], math.prod(size))
    first = jax.nn.one_hot(jnp.argmax(flat, -1), flat.shape[-1], dtype=x.dtype).reshape(windows.shape)
    return einsum(f"nc{i}{u}->nc{i},nc{_read(x.shape[2:], steps, none, one)}", first)


@rule(
    jacobian={"x": lambda x, *, window, stride: _routed(x, window, stride)},
    ids="L-maxpool",
    source="∂y_i/∂x_j = 1[j is the first place of the window's largest value]",
    kinks="where the largest value of a window is at several places: the first of them, in row-major order, has it all",
    domain={"x": "distinct"},
    small={"N": 2, "c": 3, "*w": 9},
    options={"window": 3, "stride": 2},
)
def max_pool(
    x: Float[Array, "N c *w"], *, window: int | tuple[int, ...], stride: int | tuple[int, ...] | None = None
) -> Float[Array, "N c *m"]:
    """The largest value in each window; the derivative goes to the first place that has it.

    Args:
        x: (N, c, *w), channels first.
        window: its size, a number or one for each axis of positions.
        stride: the distance of windows; the window's size if None.
    """
    size, steps = _pooling(x, window, stride)
    return _reduced(x, -np.inf, lax.max, size, steps)
