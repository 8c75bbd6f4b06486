import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import configure, dataset

from jmc.train.learning.accumulation import accumulated
from jmc.train.learning.evaluation import Evaluator
from jmc.train.learning.loop import GRADIENTS
from jmc.train.learning.model import initial, objective
from jmc.train.learning.problem import bind

LOSSES = {
    "mean_squared_error": 0,
    "mean_absolute_error": 0,
    "huber": 0,
    "binary_cross_entropy": 2,
    "hinge": 2,
    "softmax_cross_entropy": 3,
}


def case(loss="mean_squared_error", classes=0, N=30, **train):
    config = configure(
        model={"kind": "network", "widths": [7], "activation": "tanh"},
        loss={"kind": loss, "l1": 0.01, "l2": 0.02},
        train={"steps": 1} | train,
    )
    problem = bind(config, dataset(N=N, d=5, classes=classes))
    arrays = Evaluator(problem).arrays(problem.data.X_train, problem.data.y_train)
    return objective(problem), initial(problem), arrays


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize(("loss", "classes"), LOSSES.items())
def test_as_the_whole_batch_up_to_rounding(x64, loss, classes, gradient):
    cost, params, arrays = case(loss, classes, dtype="float64")
    whole = jax.jit(GRADIENTS[gradient](cost))(params, *arrays)
    for parts in (2, 3, 30):
        found = jax.jit(accumulated(GRADIENTS[gradient](cost), parts))(params, *arrays)
        jax.tree.map(lambda f, w: np.testing.assert_allclose(f, w, rtol=1e-12, atol=1e-15), found, whole)


def test_one_part_is_the_function_itself():
    function = jax.value_and_grad(lambda params, X, y: jnp.sum(X))
    assert accumulated(function, 1) is function


@pytest.mark.parametrize(("dtype", "compute"), [("float32", "bfloat16"), ("bfloat16", None), ("float32", None)])
def test_every_leaf_keeps_its_dtype(dtype, compute):
    cost, params, arrays = case(dtype=dtype, compute_dtype=compute)
    loss, gradient = accumulated(GRADIENTS["closed_form"](cost), 5)(params, *arrays)
    assert {str(leaf.dtype) for leaf in (loss, *gradient.values())} == {dtype}


def test_sums_of_many_parts_do_not_lose_what_bfloat16_would():
    """1024 equal parts: a sum kept in bfloat16 stops growing at 256 times its terms."""
    ones = jnp.ones((1024, 1), "bfloat16")
    mean = accumulated(jax.value_and_grad(lambda w, X, y: jnp.mean(X @ w)), 1024)
    value, gradient = mean(jnp.ones(1, "bfloat16"), ones, ones[:, 0])
    assert (value, gradient[0]) == (1.0, 1.0)


def test_activations_are_those_of_one_part():
    cost, params, _ = case()
    X, y = jnp.zeros((4096, 5)), jnp.zeros(4096)
    sizes = []
    for parts in (1, 64):
        compiled = jax.jit(accumulated(GRADIENTS["closed_form"](cost), parts)).lower(params, X, y).compile()
        sizes.append(compiled.memory_analysis().temp_size_in_bytes)
    assert sizes[1] < sizes[0] / 8
