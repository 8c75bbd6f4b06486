"""The training loop: one compiled scan per chunk of steps; the host sees only where chunks end.

A step whose loss is not finite freezes the state for the rest of its chunk; `train` then replays the chunk up to
the step before, whose loss was finite, so that nothing needs to be kept per step for it.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from jmc.differentiate.gradient import value_and_grad
from jmc.train.model import Objective, Params

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
    examples/2³²), or all of them in order where ``size`` is None.
    """

    key: jax.Array
    examples: int
    size: int | None

    def indices(self, steps: Int[Array, " L"]) -> Int[Array, "L B"] | None:
        size = self.size
        if size is None:
            return None

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
) -> Chunk:
    """``(state, start, stop, X, y) -> (state after at most length steps, the loss before each)``, to be jitted.

    ``optimizer`` moves at rate 1, and ``rate`` scales its moves. Steps from ``stop`` on change nothing, nor does any
    after a loss that is not finite.
    """
    value_and_gradient = GRADIENTS[gradient](objective)

    def chunk(state: State, start: Any, stop: Any, X: jax.Array, y: jax.Array) -> tuple[State, jax.Array, Norms]:
        def step(carry: tuple[State, Any], at: tuple[jax.Array, jax.Array, jax.Array | None]) -> Any:
            (state, norms), (i, rate_i, rows) = carry, at
            batch = (X, y) if rows is None else (X[rows], y[rows])
            loss, gradients = value_and_gradient(state.params, *batch)
            updates, moved = optimizer.update(gradients, state.optimizer, state.params)
            updates = jax.tree.map(lambda update: rate_i.astype(update.dtype) * update, updates)
            finite = state.alive & jnp.isfinite(loss)
            go = finite & (i < stop)
            new = State(optax.apply_updates(state.params, updates), moved, finite)  # pyright: ignore[reportArgumentType] - a dict again
            new = jax.tree.map(lambda new, old: jnp.where(go, new, old), new, state._replace(alive=finite))
            # A branch, so that all other steps pay nothing for it.
            norms = jax.lax.cond(i == stop - 1, lambda: jax.tree.map(norm, gradients), lambda: norms)
            return (new, norms), loss

        steps = start + jnp.arange(length, dtype=jnp.int32)
        rates = jnp.broadcast_to(rate(steps), steps.shape)
        none = jax.tree.map(lambda array: jnp.zeros_like(norm(array)), state.params)
        (state, gradient), losses = jax.lax.scan(step, (state, none), (steps, rates, batches.indices(steps)))
        return state, losses, Norms(gradient, jax.tree.map(norm, state.params))

    return chunk


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


class Look(NamedTuple):
    """What the host sees where a stretch of steps ends: the state after ``step`` steps, the mean of the stretch's batch
    losses, the norms of its last step, and the seconds spent in steps so far.
    """

    step: int
    state: State
    loss: float
    norms: Norms
    seconds: float


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    rate: optax.Schedule,
    gradient: str,
    batches: Batches,
    params: Params,
    examples: Callable[[int, int], tuple[jax.Array, jax.Array]],
    *,
    steps: int,
    length: int,
    every: int | None = None,
    stops: Sequence[int] = (),
    training_loss: Callable[[Params], float],
    on_look: Callable[[Look], bool],
) -> Outcome:
    """Take ``steps`` steps in chunks of at most ``length``, with a look after each stretch of ``every`` (``length``).

    ``examples(start, stop)`` gives the arrays that ``batches`` index in the chunk of these steps, always of the same
    shapes. A stretch also ends at the multiples of each of ``stops``, and in a chunk that diverges at its last good
    step. Training ends early where ``on_look`` returns true; ``training_loss`` then says whether the last step was a
    good one.
    """
    state = jax.tree.map(jnp.copy, State(params, optimizer.init(params), jnp.asarray(True)))
    every, periods = every or length, [*stops]

    def next_stop(done: int, looked: int) -> tuple[int, int]:
        """Where the chunk that begins after ``done`` steps ends, and where the stretch that it is part of does."""
        look = min(steps, looked + every, *((done // period + 1) * period for period in periods))
        return min(look, done + length), look

    done, looked, run_seconds = 0, 0, 0.0
    stop, look = next_stop(done, looked)
    arrays = examples(done, stop)
    began = time.perf_counter()
    jitted = jax.jit(make_chunk(objective, optimizer, rate, gradient, batches, length), donate_argnums=0)
    at = jnp.int32(0)
    chunk = jitted.lower(state, at, at, *arrays).compile()
    compile_seconds = time.perf_counter() - began

    # A loss that is not finite may show at the first step of a chunk: the step before it is in the previous one.
    starts: deque[tuple[int, State, tuple[jax.Array, jax.Array]]] = deque(maxlen=2)
    stretch: list[np.ndarray] = []

    def replay(good: int) -> tuple[State, Norms]:
        """The state after ``good`` steps, of one of the last two chunks."""
        start, kept, seen = next(kept for kept in reversed(starts) if kept[0] <= good)
        state, _, norms = chunk(kept, jnp.int32(start), jnp.int32(good), *seen)
        return state, norms

    stopped = False
    while done < steps and not stopped:
        starts.append((done, jax.tree.map(jnp.copy, state), arrays))
        began = time.perf_counter()
        state, losses, norms = chunk(state, jnp.int32(done), jnp.int32(stop), *arrays)
        losses = np.asarray(losses, np.float64)[: stop - done]
        run_seconds += time.perf_counter() - began
        broken = np.flatnonzero(~np.isfinite(losses))
        if broken.size:
            stretch.append(losses[: broken[0]])
            diverged_at = done + int(broken[0])
            good = max(diverged_at - 1, 0)
            state, norms = replay(good)
            if good > looked:
                on_look(Look(good, state, float(np.concatenate(stretch).mean()), norms, run_seconds))
            return Outcome(state.params, good, diverged_at, compile_seconds, run_seconds)
        stretch.append(losses)
        done = stop
        if done == look:
            stopped = on_look(Look(done, state, float(np.concatenate(stretch).mean()), norms, run_seconds))
            looked, stretch = done, []
        stop, look = next_stop(done, looked)
        if done < steps and not stopped:
            began = time.perf_counter()
            arrays = examples(done, stop)
            run_seconds += time.perf_counter() - began
    if np.isfinite(training_loss(state.params)):
        return Outcome(state.params, done, None, compile_seconds, run_seconds)
    return Outcome(replay(done - 1)[0].params, done - 1, done, compile_seconds, run_seconds)
