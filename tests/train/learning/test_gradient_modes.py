"""Closed form and autodiff along one trajectory of every config: two right gradients, at the same parameters."""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmc.train.config.loading import load as load_config
from jmc.train.data.loading import load as load_data
from jmc.train.learning import optimizer
from jmc.train.learning.loop import GRADIENTS, Batches, Progress, train
from jmc.train.learning.model import initial, objective
from jmc.train.learning.problem import bind

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))
LOOK_EVERY = 100


@cache
def problem_of(path):
    config = load_config(path)
    return bind(config, load_data(config.data, Path()))


def arrays(problem, dtype):
    y = problem.encode(problem.data.y_train)
    return jnp.asarray(problem.data.X_train, dtype), jnp.asarray(y, None if y.dtype == np.int32 else dtype)


@cache
def trajectory(path, gradient="closed_form"):
    """The parameters at the start and after every 100th step of training in float32."""
    problem = problem_of(path)
    snapshots, examples = [host(initial(problem))], arrays(problem, "float32")
    params, moves = initial(problem), optimizer.build(problem.config.optimizer)
    train(
        objective(problem),
        moves,
        optimizer.schedule(problem.config.optimizer, problem.steps),
        gradient,
        Batches(jax.random.key(problem.config.train.seed), problem.examples, problem.batch_size),
        Progress(0, params, moves.init(params)),
        lambda *_: examples,
        steps=problem.steps,
        length=LOOK_EVERY,
        looks=[LOOK_EVERY],
        training_loss=lambda _: 0.0,
        on_look=lambda look: bool(snapshots.append(host(look.params))),
    )
    return snapshots


def host(params):
    return {name: np.array(array) for name, array in params.items()}


def flat(gradients):
    return np.concatenate([np.ravel(np.asarray(g, np.float64)) for _, g in sorted(gradients.items())])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_gradients_agree_along_a_trajectory(path, dtype, tolerance):
    problem, snapshots = problem_of(path), trajectory(path)
    assert len(snapshots) > problem.steps // LOOK_EVERY
    cost = objective(problem)
    with jax.enable_x64(dtype == "float64"):
        X, y = arrays(problem, dtype)
        both = jax.jit(lambda params, X, y: [GRADIENTS[mode](cost)(params, X, y)[1] for mode in GRADIENTS])
        for at, params in enumerate(snapshots):
            closed, auto = map(flat, both({name: jnp.asarray(a, dtype) for name, a in params.items()}, X, y))
            error = np.linalg.norm(closed - auto) / np.linalg.norm(auto)
            assert error <= tolerance, f"after {at * LOOK_EVERY} steps"


@pytest.mark.parametrize("name", ["neuron", "logistic"])
def test_either_gradient_trains_to_the_same_loss(name):
    [path] = [path for path in CONFIGS if path.stem == name]
    problem = problem_of(path)
    cost = jax.jit(objective(problem))
    closed, auto = (float(cost(trajectory(path, mode)[-1], *arrays(problem, "float32"))) for mode in GRADIENTS)
    assert closed == pytest.approx(auto, rel=1e-6)
    assert closed < float(cost(trajectory(path)[0], *arrays(problem, "float32"))) / 2
