"""The training loop: one compiled scan per chunk of steps; the host sees only where chunks end.

A step whose loss is not finite freezes the state for the rest of its chunk; `train` then replays the chunk up to
the step before, whose loss was finite, so that nothing needs to be kept per step for it.
"""

import time
from collections import deque
from collections.abc import Callable
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


Chunk = Callable[[State, Any, Any, jax.Array, jax.Array], tuple[State, Float[Array, " L"]]]


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

    def chunk(state: State, start: Any, stop: Any, X: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        def step(state: State, at: tuple[jax.Array, jax.Array, jax.Array | None]) -> tuple[State, jax.Array]:
            i, rate_i, rows = at
            batch = (X, y) if rows is None else (X[rows], y[rows])
            loss, gradients = value_and_gradient(state.params, *batch)
            updates, moved = optimizer.update(gradients, state.optimizer, state.params)
            updates = jax.tree.map(lambda update: rate_i.astype(update.dtype) * update, updates)
            finite = state.alive & jnp.isfinite(loss)
            go = finite & (i < stop)
            new = State(optax.apply_updates(state.params, updates), moved, finite)  # pyright: ignore[reportArgumentType] - a dict again
            return jax.tree.map(lambda new, old: jnp.where(go, new, old), new, state._replace(alive=finite)), loss

        steps = start + jnp.arange(length, dtype=jnp.int32)
        rates = jnp.broadcast_to(rate(steps), steps.shape)
        return jax.lax.scan(step, state, (steps, rates, batches.indices(steps)))

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


def train(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    rate: optax.Schedule,
    gradient: str,
    batches: Batches,
    params: Params,
    X: Float[Array, "N d"],
    y: Array,
    *,
    steps: int,
    length: int,
    stops: int = 0,
    training_loss: Callable[[Params], float],
    on_chunk: Callable[[int, Params, float, float], None],
) -> Outcome:
    """Take ``steps`` steps in chunks of ``length``, or shorter ones where a multiple of ``stops`` is reached.

    After each chunk ``on_chunk(step, params, loss, seconds)`` gets the number of steps done, the parameters, the
    mean of the chunk's batch losses and the seconds spent in steps so far, in a chunk that diverges as of its last
    good step; ``training_loss`` says at the end whether the last step was a good one.
    """
    state = jax.tree.map(jnp.copy, State(params, optimizer.init(params), jnp.asarray(True)))
    began = time.perf_counter()
    jitted = jax.jit(make_chunk(objective, optimizer, rate, gradient, batches, length), donate_argnums=0)
    at = jnp.int32(0)
    chunk = jitted.lower(state, at, at, X, y).compile()
    compile_seconds = time.perf_counter() - began

    # A loss that is not finite may show at the first step of a chunk: the step before it is in the previous one.
    starts: deque[tuple[int, State]] = deque(maxlen=2)
    run_seconds, done = 0.0, 0

    def outcome(diverged_at: int | None) -> Outcome:
        if diverged_at is None:
            return Outcome(state.params, done, None, compile_seconds, run_seconds)
        good = max(diverged_at - 1, 0)
        start, kept = next((start, kept) for start, kept in reversed(starts) if start <= good)
        replayed, _ = chunk(kept, jnp.int32(start), jnp.int32(good), X, y)
        return Outcome(replayed.params, good, diverged_at, compile_seconds, run_seconds)

    while done < steps:
        starts.append((done, jax.tree.map(jnp.copy, state)))
        stop = min(steps, done + length, (done // stops + 1) * stops if stops else steps)
        began = time.perf_counter()
        state, losses = chunk(state, jnp.int32(done), jnp.int32(stop), X, y)
        losses = np.asarray(losses, np.float64)[: stop - done]
        run_seconds += time.perf_counter() - began
        broken = np.flatnonzero(~np.isfinite(losses))
        if broken.size:
            good = losses[: broken[0]]
            ended = outcome(done + good.size)
            if ended.steps > done:
                on_chunk(ended.steps, ended.params, float(good.mean()), run_seconds)
            return ended
        done += losses.size
        on_chunk(done, state.params, float(losses.mean()), run_seconds)
    return outcome(None if np.isfinite(training_loss(state.params)) else done)
