"""Optimizers against their update rules, written out in NumPy, and against optax called directly."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import configure

from jmc.train.learning.optimizer import build, schedule

STEPS, PEAK = 6, 0.3
UNIT = optax.constant_schedule(1.0)
NUMBERS = {"momentum": 0.8, "beta1": 0.7, "beta2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1}
KINDS = {
    "sgd": lambda rate: optax.sgd(rate),
    "momentum": lambda rate: optax.sgd(rate, 0.8),
    "nesterov": lambda rate: optax.sgd(rate, 0.8, nesterov=True),
    "adam": lambda rate: optax.adam(rate, 0.7, 0.95, 1e-3),
    "adamw": lambda rate: optax.adamw(rate, 0.7, 0.95, 1e-3, weight_decay=0.1),
}
rng = np.random.default_rng(0)
START = {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=2)}
GRADIENTS = [{name: rng.normal(size=a.shape) for name, a in START.items()} for _ in range(STEPS)]


def optimizer_config(kind="sgd", **keys):
    return configure(optimizer={"kind": kind, "learning_rate": PEAK} | NUMBERS | keys).optimizer


def rate_at(step, kind, warmup, steps=STEPS):
    if step < warmup:
        return PEAK * step / warmup
    share = min((step - warmup) / (steps - warmup), 1)
    return PEAK if kind == "constant" else PEAK * (1 + math.cos(math.pi * share)) / 2


def by_hand(kind, rates, clip):
    params = {name: array.copy() for name, array in START.items()}
    m, v = ({name: np.zeros_like(a) for name, a in START.items()} for _ in range(2))
    for t, (rate, gradients) in enumerate(zip(rates, GRADIENTS, strict=True), 1):
        norm = math.sqrt(sum((g**2).sum() for g in gradients.values()))
        for name, g in gradients.items():
            g = g * min(1, clip / norm) if clip else g
            if kind == "sgd":
                move = g
            elif kind in ("momentum", "nesterov"):
                m[name] = g + 0.8 * m[name]
                move = m[name] if kind == "momentum" else g + 0.8 * m[name]
            else:
                m[name] = 0.7 * m[name] + 0.3 * g
                v[name] = 0.95 * v[name] + 0.05 * g**2
                move = m[name] / (1 - 0.7**t) / (np.sqrt(v[name] / (1 - 0.95**t)) + 1e-3)
                move = move + 0.1 * params[name] if kind == "adamw" else move
            params[name] = params[name] - rate * move
    return params


def taken(optimizer, rate=UNIT):
    """The parameters after all steps, in float32, each move scaled by its step's rate."""
    params = {name: jnp.asarray(array, "float32") for name, array in START.items()}
    state = optimizer.init(params)
    for step, gradients in enumerate(GRADIENTS):
        gradients = {name: jnp.asarray(array, "float32") for name, array in gradients.items()}
        updates, state = optimizer.update(gradients, state, params)
        updates = {name: jnp.asarray(rate(step), "float32") * update for name, update in updates.items()}
        params = optax.apply_updates(params, updates)
    return {name: np.asarray(array) for name, array in params.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_with_every_schedule_warm_up_and_clipping(kind):
    for decay, warmup, clip in itertools.product(("constant", "cosine"), (0, 2), (None, 1.0)):
        config = optimizer_config(kind, schedule=decay, warmup_steps=warmup, clip_norm=clip)
        params = taken(build(config), schedule(config, STEPS))
        expected = by_hand(kind, [rate_at(step, decay, warmup) for step in range(STEPS)], clip)
        for name, array in params.items():
            np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-5, err_msg=f"{decay} {warmup} {clip}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_as_optax_called_directly(kind):
    config = optimizer_config(kind, schedule="cosine", warmup_steps=2, clip_norm=1.0)
    rate = optax.join_schedules(
        [optax.linear_schedule(0.0, PEAK, 2), optax.cosine_decay_schedule(PEAK, STEPS - 2)], [2]
    )
    with jax.numpy_dtype_promotion("standard"):
        direct = taken(optax.chain(optax.clip_by_global_norm(1.0), KINDS[kind](rate)))
    for name, array in taken(build(config), schedule(config, STEPS)).items():
        np.testing.assert_allclose(array, direct[name], rtol=1e-6)  # the rate multiplies last


@pytest.mark.parametrize("decay", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0, 4])
def test_schedule(decay, warmup):
    rate = schedule(optimizer_config(schedule=decay, warmup_steps=warmup), 20)
    for step in (0, 1, 3, 4, 5, 12, 19, 20, 30):
        expected = rate_at(step, decay, warmup, steps=20)
        np.testing.assert_allclose(float(np.asarray(rate(step))), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_the_dtype_of_the_parameters_stays(dtype):
    optimizer = build(optimizer_config("adamw", schedule="cosine", warmup_steps=1, clip_norm=1.0))
    with jax.enable_x64(dtype == "float64"):
        params = {name: jnp.asarray(array, dtype) for name, array in START.items()}
        first = optimizer.init(params)
        updates, state = jax.jit(optimizer.update)(params, first, params)
    assert {str(update.dtype) for update in updates.values()} == {dtype}
    assert jax.tree.map(lambda a: a.dtype, state) == jax.tree.map(lambda a: a.dtype, first)
