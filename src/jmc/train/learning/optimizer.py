"""The optimizer of a config, from optax."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import optax

from jmc.train.config.schema import OptimizerConfig


def schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """The learning rate of a step, or of several: constant or a half cosine to 0, after a linear warm-up from 0."""
    peak, warmup = config.learning_rate, config.warmup_steps
    main = (
        optax.cosine_decay_schedule(peak, max(steps - warmup, 1))
        if config.schedule == "cosine"
        else optax.constant_schedule(peak)
    )
    if warmup:
        main = optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), main], [warmup])
    return _promoting(main)


def build(config: OptimizerConfig) -> optax.GradientTransformation:
    """Clip by the global norm where asked, then move as ``optimizer.kind`` says, at learning rate 1.

    The rate is left to the loop: all kinds are proportional to it, and the rates of a whole chunk cost one operation.
    """
    match config.kind:
        case "sgd":
            moves = optax.sgd(1.0)
        case "momentum" | "nesterov":
            moves = optax.sgd(1.0, momentum=config.momentum, nesterov=config.kind == "nesterov")
        case "adam":
            moves = optax.adam(1.0, config.beta1, config.beta2, config.epsilon)
        case "adamw":
            moves = optax.adamw(1.0, config.beta1, config.beta2, config.epsilon, weight_decay=config.weight_decay)
    if config.clip_norm is not None:
        moves = optax.chain(optax.clip_by_global_norm(config.clip_norm), moves)
    return optax.GradientTransformation(moves.init, _promoting(moves.update))


def _promoting(function: Callable[..., Any]) -> Callable[..., Any]:
    """optax multiplies its integer step count with floats, which a user's strict promotion forbids."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*args, **kwargs)

    return call
