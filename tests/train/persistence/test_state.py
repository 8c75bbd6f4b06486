import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import configure, dataset

from jmc.train.learning.loop import Batches, Progress
from jmc.train.learning.model import initial
from jmc.train.learning.optimizer import build
from jmc.train.learning.problem import bind
from jmc.train.learning.stopping import Best
from jmc.train.persistence import checkpoint, state
from jmc.train.persistence.state import Kept

OPTIMIZERS = [
    {"kind": "sgd"},
    {"kind": "momentum"},
    {"kind": "nesterov", "clip_norm": 1.0},
    {"kind": "adam"},
    {"kind": "adamw", "clip_norm": 1.0},
]
NETWORK = {"kind": "network", "widths": [5], "activation": "tanh"}


def problem_of(optimizer, dtype="float32", model=NETWORK):
    data = dataset(d=3, feature_mean=np.arange(3.0), target_scale=2.5)
    return bind(
        configure(model=model, optimizer={"learning_rate": 0.1} | optimizer, train={"steps": 9, "dtype": dtype}), data
    )


def moved(problem, steps=3):
    """Where training stands after a few steps with any gradient."""
    optimizer, params = build(problem.config.optimizer), initial(problem)
    optimizer_state = optimizer.init(params)
    for _ in range(steps):
        gradient = jax.tree.map(lambda array: jnp.cos(array) / 3, params)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state, params)
        params = optax.apply_updates(params, updates)
    return Progress(steps, params, optimizer_state, 0.1 + 0.2, 3, 1 / 3)


def skeleton(params):
    return {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in params.items()}


def same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.mark.parametrize("kept", [False, True], ids=["", "best"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: "-".join(map(str, optimizer.values())))
def test_there_and_back_through_a_file(tmp_path, optimizer, dtype, kept):
    problem = problem_of(optimizer, dtype)
    with jax.enable_x64(dtype == "float64"):
        now = moved(problem)
        best = Kept(Best(2, 0.1 + 0.7, 1), initial(problem)) if kept else None
        batches = Batches(jax.random.key(7), 12, 4)
        arrays = state.to_arrays(now, best, batches, problem.data)
        template = state.template(skeleton(now.params), build(problem.config.optimizer), kept, batches, problem.data)
        assert {name: (np.shape(a), np.asarray(a).dtype) for name, a in arrays.items()} == template
        checkpoint.save(tmp_path, 3, arrays, {}, keep=1)
        found = checkpoint.read(checkpoint.verify(tmp_path, 3), template)
        again, kept_again = state.from_arrays(3, found, skeleton(now.params), build(problem.config.optimizer), kept)
        same((again.params, again.optimizer), (now.params, now.optimizer))
        assert (again.step, again.loss_sum, again.losses, again.seconds) == (3, 0.1 + 0.2, 3, 1 / 3)
        assert (kept_again is None) == (best is None)
        if best and kept_again:
            assert kept_again.best == best.best
            same(kept_again.params, best.params)


def test_names_are_readable():
    problem = problem_of({"kind": "momentum"}, model={"kind": "neuron"})
    now = moved(problem)
    arrays = state.to_arrays(now, None, Batches(jax.random.key(7), 12, 4), problem.data)
    assert [*arrays] == [
        "parameters/b",
        "parameters/w",
        "optimizer/0/trace/b",
        "optimizer/0/trace/w",
        *(f"progress/{name}" for name in ("loss_sum", "losses", "seconds")),
        *(f"normalisation/{name}" for name in ("feature_mean", "feature_scale", "target_mean", "target_scale")),
        "draws/key",
    ]
    np.testing.assert_array_equal(arrays["normalisation/feature_mean"], np.arange(3.0))
    assert arrays["normalisation/target_scale"] == 2.5
    np.testing.assert_array_equal(arrays["draws/key"], jax.random.key_data(jax.random.key(7)))


def test_no_size_is_too_large_to_be_described():
    problem = problem_of({"kind": "adam"}, model={"kind": "network", "widths": [10**6, 10**6]})
    params = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in problem.shapes.items()}
    batches = Batches(jax.random.key(0), 12, 4)
    template = state.template(params, build(problem.config.optimizer), True, batches, problem.data)
    assert template["optimizer/0/nu/W2"] == template["best_parameters/W2"] == ((10**6, 10**6), np.dtype("f4"))
