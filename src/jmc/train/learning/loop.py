"""The training loop: one compiled loop per chunk of steps; the host sees only where chunks end.

A step whose loss is not finite changes nothing and ends its chunk; `train` then replays the chunk up to the step
before, whose loss was finite, so that nothing needs to be kept per step for it. Where chunks end changes no bit,
neither of the parameters nor of what is seen of them: losses are added to their sum in order.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jmc.differentiate.gradient import value_and_grad
from jmc.train.learning.accumulation import accumulated
from jmc.train.learning.model import Objective, Params

_CHUNK_SECONDS = 0.5  # at most, once the pace is known: so long may a signal have to wait

GRADIENTS: dict[str, Callable[..., Any]] = {"closed_form": value_and_grad, "autodiff": jax.value_and_grad}


class State(NamedTuple):
    """What a step changes. ``alive`` turns false at a loss that is not finite, and all stays as it was."""

    params: Params
    optimizer: optax.OptState
    alive: Bool[Array, ""]


@dataclass(frozen=True)
class Batches:
    """Which examples step i sees: a function of the key and i alone, with no iterator to keep.

    ``size`` examples drawn with replacement (each of the ``examples`` with equal probability, to within
    examples/2³²), or all of them in order where ``size`` is None. With ``in_order`` a chunk's arrays are its batches,
    one after the other.
    """

    key: jax.Array
    examples: int
    size: int | None
    in_order: bool = False

    def indices(self, steps: Int[Array, " L"]) -> Int[Array, "L B"] | None:
        size = self.size
        if size is None:
            return None
        if self.in_order:
            return (steps - steps[0])[:, None] * size + jnp.arange(size, dtype=jnp.int32)[None]

        def draw(step: jax.Array) -> jax.Array:
            bits = jax.random.bits(jax.random.fold_in(self.key, step), (size,), "uint32")  # whatever the dtype
            return (bits % jnp.uint32(self.examples)).astype(jnp.int32)

        return jax.vmap(draw)(steps)


class Norms(NamedTuple):
    """Euclidean norms by parameter: of the gradient at the last step that counted, before any clipping, and of the
    parameters after it.
    """

    gradient: dict[str, Float[Array, ""]]
    parameter: dict[str, Float[Array, ""]]


def norm(array: jax.Array) -> Float[Array, ""]:
    """‖array‖₂ in float32 at least, without overflow in the squares: max |a| · ‖a / max |a|‖."""
    array = array.astype(jnp.float64 if array.dtype == jnp.float64 else jnp.float32)
    largest = jnp.max(jnp.abs(array), initial=0.0)
    return largest * jnp.sqrt(jnp.sum(jnp.square(array / jnp.where(largest > 0, largest, 1.0))))


Chunk = Callable[[State, Any, Any, jax.Array, jax.Array], tuple[State, Float[Array, " L"], Norms]]


def make_chunk(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    rate: optax.Schedule,
    gradient: str,
    batches: Batches,
    length: int,
    microbatches: int = 1,
) -> Chunk:
    """``(state, start, stop, X, y) -> (state after the steps start … stop − 1, the loss before each, norms)``, to be
    jitted.

    ``optimizer`` moves at rate 1, and ``rate`` scales its moves. At most ``length`` steps are taken, and none after a
    loss that is not finite; a loss that was not computed is nan. No compiler knows how many steps will be taken, so
    that each is the same program in a chunk of any length, to the last bit. The gradient of a batch is accumulated
    over ``microbatches`` equal parts of it.
    """
    value_and_gradient = accumulated(GRADIENTS[gradient](objective), microbatches)

    def chunk(state: State, start: Any, stop: Any, X: jax.Array, y: jax.Array) -> tuple[State, jax.Array, Norms]:
        def step(carry: tuple[jax.Array, State, jax.Array, Any]) -> Any:
            i, state, losses, norms = carry
            rate_i, rows = jax.tree.map(lambda array: jax.lax.dynamic_index_in_dim(array, i - start, 0, False), drawn)
            batch = (X, y) if rows is None else (X[rows], y[rows])
            loss, gradients = value_and_gradient(state.params, *batch)
            updates, moved = optimizer.update(gradients, state.optimizer, state.params)
            updates = jax.tree.map(lambda update: rate_i.astype(update.dtype) * update, updates)
            finite = jnp.isfinite(loss)
            new = State(optax.apply_updates(state.params, updates), moved, finite)  # pyright: ignore[reportArgumentType] - a dict again
            state = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state._replace(alive=finite))
            losses = jax.lax.dynamic_update_index_in_dim(losses, loss.astype(losses.dtype), i - start, 0)
            # A branch, so that all other steps pay nothing for it.
            norms = jax.lax.cond(i == stop - 1, lambda: jax.tree.map(norm, gradients), lambda: norms)
            return i + 1, state, losses, norms

        def goes_on(carry: tuple[jax.Array, State, jax.Array, Any]) -> jax.Array:
            return carry[1].alive & (carry[0] < stop)

        stop = jnp.minimum(stop, start + length)
        room = max(length, 2)  # of an array of one the step would read a constant, and be compiled otherwise
        steps = start + jnp.arange(room, dtype=jnp.int32)
        drawn = jnp.broadcast_to(rate(steps), steps.shape), batches.indices(steps)
        losses = jnp.full(room, jnp.nan, jnp.zeros(()).dtype)
        none = jax.tree.map(lambda array: jnp.zeros_like(norm(array)), state.params)
        _, state, losses, gradient = jax.lax.while_loop(goes_on, step, (start, state, losses, none))
        return state, losses, Norms(gradient, jax.tree.map(norm, state.params))

    return chunk


@dataclass(frozen=True)
class Progress:
    """Where training stands between two steps. Nothing in it is changed by the steps that follow.

    Attributes:
        step: the number of steps done.
        loss_sum: the sum of the batch losses since the last look, added one by one in float64.
        losses: how many these are.
        seconds: spent in steps so far.
    """

    step: int
    params: Params
    optimizer: optax.OptState
    loss_sum: float = 0.0
    losses: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """How training ended: ``params`` after ``steps`` updates; ``diverged_at`` the first step with a loss that is not
    finite (``params`` are then those of the step before), or None.
    """

    params: Params
    steps: int
    diverged_at: int | None
    compile_seconds: float
    run_seconds: float


class StartDivergedError(ArithmeticError):
    """The loss is not finite at the very step that training went on from: the step before it is not at hand."""


class Look(NamedTuple):
    """What the host sees where a stretch of steps ends: the parameters after ``step`` steps, the mean of the stretch's
    batch losses, the norms of its last step, and the seconds spent in steps so far.
    """

    step: int
    params: Params
    loss: float
    norms: Norms
    seconds: float


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    rate: optax.Schedule,
    gradient: str,
    batches: Batches,
    start: Progress,
    examples: Callable[[int, int], tuple[jax.Array, jax.Array]],
    *,
    steps: int,
    length: int,
    looks: Sequence[int],
    microbatches: int = 1,
    stops: Sequence[int] = (),
    training_loss: Callable[[Params], float],
    on_look: Callable[[Look], bool],
    on_chunk: Callable[[Progress], None] = lambda _: None,
) -> Outcome:
    """Go on from ``start`` to ``steps`` steps, with a look at the end and at every multiple of each of ``looks``.

    Steps are taken in chunks of at most ``length``, which also end at the multiples of each of ``stops``, and before
    they take longer than half a second; after each, and its look, ``on_chunk`` gets where training stands.
    ``examples(start, stop)`` gives the arrays that ``batches`` index in the chunk of these steps, always of the same
    shapes. Where a chunk diverges, the last look is at its last good step. Training ends early where ``on_look``
    returns true. ``training_loss`` says at the end whether the last step was a good one.

    Raises StartDivergedError, and whatever the callbacks raise.
    """
    now, state = start, _running(start)
    chunk: Any = None
    compile_seconds, longest, stopped = 0.0, 1, False
    # A loss that is not finite may show at the first step of a chunk: the step before it is in the previous one.
    starts: deque[tuple[Progress, tuple[jax.Array, jax.Array]]] = deque(maxlen=2)

    def diverged(at: int, looked: int) -> Outcome:
        good = max(at - 1, 0)
        kept, arrays = next((found for found in reversed(starts) if found[0].step <= good), (None, None))
        if kept is None or arrays is None:
            raise StartDivergedError(f"the loss is not finite at step {at}, which training went on from")
        state, _, norms = chunk(_running(kept), jnp.int32(kept.step), jnp.int32(good), *arrays)
        if good > looked:
            on_look(Look(good, state.params, now.loss_sum / now.losses, norms, now.seconds))
        return Outcome(state.params, good, at, compile_seconds, now.seconds)

    while now.step < steps and not stopped:
        look = min(steps, *((now.step // period + 1) * period for period in looks))
        stop = min(look, now.step + longest, *((now.step // period + 1) * period for period in stops))
        began = time.perf_counter()
        arrays = examples(now.step, stop)
        waited = time.perf_counter() - began
        if chunk is None:
            made = make_chunk(objective, optimizer, rate, gradient, batches, length, microbatches)
            jitted = jax.jit(made, donate_argnums=0)
            at = jnp.int32(0)
            began = time.perf_counter()
            chunk = jitted.lower(state, at, at, *arrays).compile()
            compile_seconds = time.perf_counter() - began
        starts.append((now, arrays))
        began = time.perf_counter()
        state, losses, norms = chunk(state, jnp.int32(now.step), jnp.int32(stop), *arrays)
        losses = np.asarray(losses, np.float64)[: stop - now.step]
        taken = waited + time.perf_counter() - began
        good = losses[: np.argmin(np.append(np.isfinite(losses), False))]
        looked = now.step - now.losses
        now = replace(
            now,
            loss_sum=float(np.cumsum([now.loss_sum, *good])[-1]),  # in order: np.sum adds in pairs
            losses=now.losses + good.size,
            seconds=now.seconds + taken,
        )
        if good.size < losses.size:
            return diverged(now.step + good.size, looked)
        now = replace(now, step=stop, params=_copied(state.params), optimizer=_copied(state.optimizer))
        if stop == look:
            stopped = on_look(Look(stop, now.params, now.loss_sum / now.losses, norms, now.seconds))
            now = replace(now, loss_sum=0.0, losses=0)
        on_chunk(now)
        longest = max(1, min(length, 16 * longest, int(losses.size * _CHUNK_SECONDS / taken)))
    if np.isfinite(training_loss(now.params)):
        return Outcome(now.params, now.step, None, compile_seconds, now.seconds)
    return diverged(now.step, now.step)


def _running(progress: Progress) -> State:
    """A state for steps to use up."""
    return State(_copied(progress.params), _copied(progress.optimizer), jnp.asarray(True))


def _copied(tree: Any) -> Any:
    return jax.tree.map(jnp.copy, tree)
