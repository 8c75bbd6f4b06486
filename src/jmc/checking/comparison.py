"""Whether a closed-form derivative agrees with a reference, normwise and entry by entry."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Array, Float64
from numpy.typing import ArrayLike

from jmc.checking.oracles import Estimate, as_float64, differentiated, double_precision

_EPS = np.finfo(np.float64).eps
_TINY = np.finfo(np.float64).tiny  # below it XLA flushes to zero


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`; `str()` is one readable line.

    `normwise` is max |value − reference| / max |reference| (not divided where the reference is zero),
    `normwise_bound` what it may be, and `condition` the factor κ by which the sensitivity to the arguments
    has widened that bound. `worst` is the index of the entry with the largest error in units of its own
    bound (None at size 0); `value`, `reference`, `error` and `bound` are those of this entry.
    """

    ok: bool
    normwise: float
    normwise_bound: float
    condition: float
    worst: tuple[int, ...] | None
    value: float
    reference: float
    error: float
    bound: float

    def __str__(self) -> str:
        verdict = "agrees" if self.ok else "disagrees"
        if self.worst is None:
            return f"{verdict}: no entries"
        relation = "≤" if self.normwise <= self.normwise_bound else ">"
        within = "≤" if self.error <= self.bound else ">"
        return (
            f"{verdict}: normwise {self.normwise:.2g} {relation} {self.normwise_bound:.2g}; largest error at "
            f"{list(self.worst)}: {self.value:.17g} against {self.reference:.17g}, "
            f"off by {self.error:.2g} {within} {self.bound:.2g}"
        )


def compare(
    value: ArrayLike,
    reference: Estimate | ArrayLike,
    spread: ArrayLike | None = None,
    *,
    normwise: float = 1e-13,
    entrywise: float = 1e-9,
    equal_nan: bool = False,
) -> Comparison:
    """Decide whether `value` agrees with `reference`; real arrays of one shape and any dtype, as float64.

    Both must hold, in the maximum norm and for each entry i:

        ‖value − reference‖ ≤ normwise · (‖reference‖ + ‖spread‖/ε) + ‖error‖
        |value − reference|ᵢ ≤ entrywise · |reference|ᵢ + normwise · spreadᵢ/ε + errorᵢ

    with ε = 2⁻⁵², `spread` from `conditioning` (None: every entry counts as well-conditioned) and the error
    that an `Estimate` states about itself. spread/ε is how fast an entry moves per relative change of the
    arguments: an entry may be off as much as arguments off by `normwise` would make it. A sum that cancels
    moves much and is forgiven; a tail moves little, so an entry that is zero or noise there is caught
    however small it is. `entrywise` is wider than `normwise` since a reference may lose digits of a small
    entry in an intermediate result (1 − tanh² does) that its arguments do not show; against an exact
    reference it can be as narrow.

    An infinity agrees only with the same infinity; nan only with nan, and only if `equal_nan`. Differences
    that underflow agree. At a kink the spread is a jump that excuses anything: pass None there. Raises
    ValueError if shapes differ, TypeError for an array that is not real.
    """
    estimate = reference if isinstance(reference, Estimate) else Estimate("reference", np.asarray(reference))
    value = _real("value", value)
    expected = _shaped_like(value, "reference", estimate.jacobian)
    spread = _shaped_like(value, "spread", spread)
    stated = np.where(np.isfinite(expected), _shaped_like(value, "reference.error", estimate.error), 0.0)
    if value.size == 0:
        return Comparison(True, 0.0, normwise, 1.0, None, 0.0, 0.0, 0.0, 0.0)

    same = (value == expected) | (equal_nan & np.isnan(value) & np.isnan(expected))
    size = np.where(np.isfinite(expected), np.abs(expected), 0.0)
    norm = float(size.max())
    floor = _TINY * max(1.0, norm)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(same, 0.0, np.abs(value - expected))
        error = np.where(np.isnan(error), np.inf, error)
        moved = spread / _EPS
        bound = entrywise * size + normwise * moved + stated + floor
        norm_bound = normwise * (norm + moved.max()) + stated.max() + floor
        agrees = np.isfinite(error) & (error <= bound)
        worst = np.unravel_index(np.argmax(np.where(agrees, error / bound, np.inf)), value.shape)
    scale = norm or 1.0
    return Comparison(
        ok=bool(agrees.all() and error.max() <= norm_bound),
        normwise=float(error.max()) / scale,
        normwise_bound=float(norm_bound) / scale,
        condition=1 + float(moved.max()) / scale,
        worst=tuple(int(i) for i in worst),
        value=float(value[worst]),
        reference=float(expected[worst]),
        error=float(error[worst]),
        bound=float(bound[worst]),
    )


def conditioning(
    derivative: Callable[..., Array | np.ndarray],
    args: Sequence[ArrayLike],
    argnum: int | None = None,
    *,
    patterns: int = 8,
    seed: int = 0,
    jit: bool = True,
) -> Float64[np.ndarray, "..."]:
    """How far each entry of `derivative(*args)` moves when the arguments move by their own rounding.

    Every entry of `args[argnum]` (None: of every floating argument) moves by ε = 2⁻⁵² of itself, one or two
    units in the last place, up or down as the seed decides; the largest change over `patterns` such moves
    is returned, in float64 and the derivative's shape. Zeros stay where they are, and a change that is not
    finite counts as none. A `derivative` that is jitted already is called as it is, and any without `jit`.

    Raises ValueError or TypeError for an `argnum` that names no floating argument.
    """
    signs = np.random.default_rng(seed)
    with double_precision(), np.errstate(over="ignore", invalid="ignore"):
        arrays = as_float64(args)
        only = None if argnum is None else differentiated(arrays, argnum)
        moving = [a.dtype == np.float64 and only in (None, i) for i, a in enumerate(arrays)]
        run = jax.jit(derivative) if jit and not isinstance(derivative, jax.stages.Wrapped) else derivative
        unmoved = np.asarray(run(*arrays), np.float64)
        spread = np.zeros(unmoved.shape)
        for _ in range(patterns):
            moved = [
                a * (1 + _EPS * signs.choice((-1.0, 1.0), a.shape)) if moves else a
                for a, moves in zip(arrays, moving, strict=True)
            ]
            change = np.abs(np.asarray(run(*moved), np.float64) - unmoved)
            spread = np.maximum(spread, np.where(np.isfinite(change), change, 0.0))
    return spread


def _real(name: str, array: ArrayLike) -> np.ndarray:
    array = np.asarray(array)
    if np.iscomplexobj(array):
        raise TypeError(f"`{name}` must be real, but got {array.dtype}")
    return array.astype(np.float64)


def _shaped_like(value: np.ndarray, name: str, array: ArrayLike | None) -> np.ndarray:
    array = np.zeros(value.shape) if array is None else _real(name, array)
    if array.shape != value.shape:
        raise ValueError(f"`{name}` must have the shape of `value`, {value.shape}, but got {array.shape}")
    return array
