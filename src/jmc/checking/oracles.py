"""Independent float64 estimates of a Jacobian, which closed-form derivatives are checked against.

No oracle is right everywhere: automatic differentiation loses all digits in some tails, differences lose
digits everywhere, and each has its own answer at a kink. Only their agreement with a closed form is evidence.

Everywhere below `f` takes arrays and returns one real array; both may have any shape, () and size 0 included.
Arguments that are not differentiated may hold integers. All of them are traced, the floating ones in float64.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64
from numpy.typing import ArrayLike

Side = Literal["central", "left", "right"]

# (weight of the step ahead, weight of the step behind, spacing of the powers of the step in the error)
_SIDES: dict[Side, tuple[int, int, int]] = {"central": (1, 1, 2), "right": (1, 0, 1), "left": (0, 1, 1)}

_IMAGINARY_STEP = 2.0**-100  # a power of two, so that dividing by it is exact

_STEP_RATIO = 1.9  # not a whole number: the steps cannot all be periods of `f`
_STEPS = 28  # down to 1.9⁻²⁷ = 3e-8 of the first step
_ORDERS = 8
_CAUTION = 4  # by which the bare estimate has fallen short: one-sided, where a tail like erf's begins

QUICK: dict[str, Any] = {"xla_backend_optimization_level": 0}
"""For programs that are compiled to be run a few times."""
if jax.__version_info__ <= (0, 10, 2):  # a third of the time; later ones take it from the environment, see `campaign`
    QUICK["xla_cpu_use_fusion_emitters"] = False


@dataclass(frozen=True, eq=False)
class Estimate:
    """What one oracle says a Jacobian is.

    `jacobian` is a float64 NumPy array of shape `out_shape + in_shape`; `error` has the same shape and holds
    the oracle's own estimate of the absolute error of every entry, or is None where the oracle has none.
    """

    name: str
    jacobian: Float64[np.ndarray, "..."]
    error: Float64[np.ndarray, "..."] | None = None


@contextmanager
def double_precision() -> Iterator[None]:
    """Float64 with JAX's standard dtype promotion inside the `with` block; no global setting is touched."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def as_float64(args: Sequence[ArrayLike]) -> list[np.ndarray]:
    """NumPy arrays: float64 where the argument is floating, of its own dtype where it is not."""
    arrays = [np.asarray(arg) for arg in args]
    return [a.astype(np.float64) if jnp.issubdtype(a.dtype, jnp.floating) else a for a in arrays]


def differentiated(args: Sequence[np.ndarray], argnum: int) -> int:
    """`argnum` counted from the front.

    Raises ValueError if there is no such argument, TypeError if it is not float64.
    """
    if not -len(args) <= argnum < len(args):
        raise ValueError(f"`argnum` must name one of the {len(args)} arguments, but got {argnum}")
    dtype = args[argnum].dtype
    if dtype != np.float64:
        raise TypeError(f"`args[{argnum}]` must be real floating to be differentiated, but got {dtype}")
    return argnum % len(args)


def forward_ad(f: Callable[..., Array], args: Sequence[ArrayLike], argnum: int = 0) -> Estimate:
    """The Jacobian of `f(*args)` with respect to `args[argnum]` by `jax.jacfwd`.

    It shares JAX's conventions at kinks (½ for `jnp.maximum` at a tie, 1 for `abs` at 0, nan for `norm` at
    0), and the derivative formulas of single primitives, some of which cancel completely in a tail: there
    an entry can be 100 % wrong.

    Raises ValueError for an `argnum` out of range, TypeError if that argument or the value of `f` is not a
    real floating array; so do all oracles.
    """
    return _automatic("forward AD", jax.jacfwd, f, args, argnum)


def reverse_ad(f: Callable[..., Array], args: Sequence[ArrayLike], argnum: int = 0) -> Estimate:
    """The same by `jax.jacrev`, with the same reservations about tails and kinks as `forward_ad`.

    It is independent of `forward_ad` only where a function has a vjp of its own, and in its rounding.
    """
    return _automatic("reverse AD", jax.jacrev, f, args, argnum)


def complex_step(f: Callable[..., Array], args: Sequence[ArrayLike], argnum: int = 0) -> Estimate:
    """The Jacobian by one imaginary step per entry, `Im f(x + ih) / h` with h = 2⁻¹⁰⁰ ≈ 8e-31.

    There is no difference, hence no cancellation: the result is as accurate as `f` is on complex numbers.
    It is right only if `f` is analytic at the argument, which the caller claims by calling this; `abs`, a
    norm or a conjugate make it silently wrong. Out of its reach are derivatives below 1e-278 (they
    underflow) and arguments within 1e-22 of a singularity.

    Raises ValueError if `f` refuses complex input or returns a real array for it.
    """
    return _automatic("complex step", complex_jacobian, f, args, argnum)


def complex_jacobian(f: Callable[..., Array], argnum: int = 0) -> Callable[..., Array]:
    """The Jacobian of ``f`` by imaginary steps, a transformation as ``jax.jacfwd`` is one; see `complex_step`."""

    def jacobian(*args: Array) -> Array:
        x = args[argnum]

        def stepped(entry: Array) -> Array:
            moved = x.ravel().astype(complex).at[entry].add(1j * _IMAGINARY_STEP)
            return f(*args[:argnum], moved.reshape(x.shape), *args[argnum + 1 :])

        try:
            columns = jax.lax.map(stepped, jnp.arange(x.size))
        except (TypeError, ValueError, NotImplementedError, np.exceptions.ComplexWarning) as refusal:
            reason = str(refusal).split("\n", 1)[0]
            raise ValueError(f"`f` must accept complex input for a complex step, but got: {reason}") from refusal
        if not jnp.iscomplexobj(columns):
            raise ValueError(f"`f` must return a complex array for complex input, but got {columns.dtype}")
        return jnp.moveaxis(jnp.imag(columns) / _IMAGINARY_STEP, 0, -1).reshape(columns.shape[1:] + x.shape)

    return jacobian


def ridders(
    f: Callable[..., Array],
    args: Sequence[ArrayLike],
    argnum: int = 0,
    *,
    side: Side = "central",
    step: ArrayLike = 0.25,
) -> Estimate:
    """The Jacobian by differences, extrapolated to step 0 by Ridders' method, with an error for every entry.

    The first step at an entry x is `step * max(|x|, 1)`, where `step` broadcasts to the argument's shape;
    27 smaller ones follow. Each entry of the result takes the step and the order of extrapolation that have
    the smallest estimated error: how far extrapolation still moves the value, plus the rounding of `f`.
    Steps that leave the domain of `f` (where it is not finite) are passed over. An entry for which no step
    is left is nan with an infinite error. The error is an estimate, not a proof: it trusts `f` to be
    backward stable or else visibly noisy, and to have no structure finer than the smallest step, 3e-8 of
    the first.

    Central differences give the mean of the two slopes at a kink, with a small error; `side="left"` and
    `"right"` use only one side of the argument, for kinks and the edges of a domain, and are less accurate.

    Raises ValueError for an unknown `side` or a `step` that is not positive and finite.
    """
    if side not in _SIDES:
        raise ValueError(f"`side` must be one of {', '.join(map(repr, _SIDES))}, but got {side!r}")
    if not np.all(np.isfinite(step) & (np.asarray(step) > 0)):
        raise ValueError(f"`step` must be positive and finite, but got {step}")
    name = "Ridders differences" if side == "central" else f"Ridders differences, {side}"
    with double_precision(), np.errstate(all="ignore"):  # overflow and nan mean: outside the domain
        args, argnum, shape = _prepare(f, args, argnum)
        if 0 in shape:
            return Estimate(name, np.zeros(shape), np.zeros(shape))
        jacobian, error = differences(lambda points: _evaluate(f, args, argnum, points), args[argnum], side, step)
    return Estimate(name, jacobian.reshape(shape), error.reshape(shape))


def differences(
    evaluate: Callable[[np.ndarray], np.ndarray], x: np.ndarray, side: Side = "central", step: ArrayLike = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """The same of any evaluation, and the errors: tables of (outputs, entries of x).

    ``evaluate`` takes, for each entry, the values that replace it, (entries, steps), and gives (entries, steps,
    outputs).
    """
    ahead, behind, spacing = _SIDES[side]
    first = np.broadcast_to(np.asarray(step, np.float64), x.shape) * np.maximum(np.abs(x), 1)
    steps = first.reshape(-1, 1) * _STEP_RATIO ** -np.arange(_STEPS)
    upper, lower = x.reshape(-1, 1) + ahead * steps, x.reshape(-1, 1) - behind * steps
    values = evaluate(np.concatenate([upper, lower], axis=1)).astype(np.float64)
    above, below = np.split(np.moveaxis(values, 0, -1), 2)
    width = (upper - lower).T[:, None, :]
    slopes = (above - below) / width
    # What a slope is off by if `f` is off by an ulp, at an argument that is off by an ulp too.
    size = np.abs(above) + np.abs(below) + np.abs(x.ravel() * slopes)
    rounding = 2 * np.finfo(np.float64).eps * size / width
    return _extrapolate(slopes, rounding, _STEP_RATIO**spacing)


def all_oracles(
    f: Callable[..., Array], args: Sequence[ArrayLike], argnum: int = 0, *, analytic: bool
) -> list[Estimate]:
    """Every oracle's estimate; the complex step only where the caller claims that `f` is analytic."""
    oracles = [forward_ad, reverse_ad, ridders] + [complex_step] * analytic
    return [oracle(f, args, argnum) for oracle in oracles]


def _automatic(name: str, jacobian: Callable, f: Callable, args: Sequence[ArrayLike], argnum: int) -> Estimate:
    with double_precision():
        args, argnum, shape = _prepare(f, args, argnum)
        dense = np.zeros(shape) if 0 in shape else _compiled(jacobian, f, argnum)(*args)
        return Estimate(name, np.asarray(dense, np.float64))


@functools.lru_cache(16)
def _compiled(transform: Callable, f: Callable, argnum: int) -> Callable:
    """``transform(f, argnum)``, compiled once for several points with the same shapes."""
    return jax.jit(transform(f, argnum), compiler_options=QUICK)


def _prepare(f: Callable, args: Sequence[ArrayLike], argnum: int) -> tuple[list[np.ndarray], int, tuple[int, ...]]:
    """The arguments in float64, `argnum` counted from the front, and the shape of the Jacobian."""
    arrays = as_float64(args)
    argnum = differentiated(arrays, argnum)
    out: Any = jax.eval_shape(f, *arrays)
    if not (isinstance(out, jax.ShapeDtypeStruct) and jnp.issubdtype(out.dtype, jnp.floating)):
        raise TypeError(f"`f` must return one real floating array, but got {out}")
    return arrays, argnum, out.shape + arrays[argnum].shape


def _evaluate(f: Callable, args: list[np.ndarray], argnum: int, values: np.ndarray) -> np.ndarray:
    """`f` with entry i of `args[argnum]` replaced by `values[i, p]`: shape (i, p, size of the output)."""
    return np.asarray(_compiled(_sweep, f, argnum)(args, values))


def _sweep(f: Callable, argnum: int) -> Callable:
    def replaced(args: list[Array], entry: Array, value: Array) -> Array:
        x = args[argnum]
        moved = x.ravel().at[entry].set(value).reshape(x.shape)
        return jnp.ravel(f(*args[:argnum], moved, *args[argnum + 1 :]))

    def sweep(args: list[Array], values: Array) -> Array:
        # one entry after the other: no slower, and a convolution of thousands of points at once never ends
        row = jax.vmap(replaced, in_axes=(None, None, 0))
        return jax.lax.map(lambda at: row(args, *at), (jnp.arange(len(values)), values))

    return sweep


def _extrapolate(slopes: np.ndarray, rounding: np.ndarray, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """The best entries of Ridders' tableau over the leading axis (the steps), and their errors.

    `ratio` is the factor by which the leading error of a slope shrinks from one step to the next.
    """
    best, error = np.full(slopes.shape[1:], np.nan), np.full(slopes.shape[1:], np.inf)
    for order in range(1, _ORDERS + 1):
        gain = ratio**order
        change = np.diff(slopes, axis=0)
        slopes = slopes[1:] + change / (gain - 1)
        rounding = (gain * rounding[1:] + rounding[:-1]) / (gain - 1)
        # Among noise two neighbours agree by chance sooner or later, so three changes in a row must be small.
        changes = np.lib.stride_tricks.sliding_window_view(np.abs(change), 3, axis=0)
        doubt = _CAUTION * (changes.max(axis=-1) + rounding[:-2])
        doubt = np.where(np.isfinite(doubt), doubt, np.inf)
        row = np.argmin(doubt, axis=0)[None]
        least = np.take_along_axis(doubt, row, 0)[0]
        best = np.where(least < error, np.take_along_axis(slopes, row, 0)[0], best)
        error = np.minimum(least, error)
    return best, error
