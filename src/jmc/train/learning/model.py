"""From a problem to JAX: initial parameters, predictions, and the objective that training minimises."""

from collections.abc import Callable, Sequence
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jmc.catalogue import activation, classification, rectifier, softmax
from jmc.catalogue import loss as regression
from jmc.catalogue.affine import affine
from jmc.catalogue.network import layer, network
from jmc.catalogue.neuron import neuron
from jmc.catalogue.penalty import l1, l2
from jmc.train.learning.problem import Problem

Params = dict[str, jax.Array]
Predict = Callable[[Params, jax.Array], jax.Array]
Objective = Callable[[Params, jax.Array, jax.Array], jax.Array]


def initial(problem: Problem) -> Params:
    """Parameters to start from: normal weights of variance 2/d (relu) or 1/d, biases 0, in ``train.dtype``.

    A seed means one starting point: it is drawn on the host, in float32 whatever the dtype.
    """
    rng = np.random.default_rng(problem.config.train.seed)
    params = {}
    for name, shape in problem.shapes.items():
        values = np.zeros(shape, np.float32)
        if name.lower().startswith("w"):
            gain = 2.0 if _rectified(problem, name) else 1.0
            values = rng.standard_normal(shape, np.float32) * np.float32((gain / shape[-1]) ** 0.5)
        params[name] = jnp.asarray(values, problem.config.train.dtype)
    return params


def _rectified(problem: Problem, name: str) -> bool:
    """Whether the units that the weight ``name`` feeds are ReLUs."""
    model = problem.config.model
    if model.kind != "network":
        return model.activation == "relu"
    index = int(name[1:]) - 1
    if index == len(problem.widths) - 2:
        return model.output == "relu"
    return (model.activation if isinstance(model.activation, str) else model.activation[index]) == "relu"


def predictor(problem: Problem) -> Predict:
    """The function ``(params, X: (N, d)) -> (N, K)``, or ``(N,)`` where the problem has one number per example.

    It computes in ``train.compute_dtype``, whatever the parameters are in, and returns ``train.dtype``.
    """
    compute, predict = problem.compute_dtype, _predictor(problem)
    if compute == problem.config.train.dtype:
        return predict

    def mixed(params: Params, X: jax.Array) -> jax.Array:
        rounded = {name: array.astype(compute) for name, array in params.items()}
        return predict(rounded, X.astype(compute)).astype(problem.config.train.dtype)

    return mixed


def _predictor(problem: Problem) -> Predict:
    model = problem.config.model
    if model.kind == "neuron":
        if model.activation == "relu":
            return lambda params, X: neuron(params["w"], params["b"], X)
        unit = _activation(str(model.activation))
        return lambda params, X: unit(affine(params["w"], params["b"], X))
    if model.kind == "layer":
        function = _activation(str(model.activation))

        def units(params: Params, X: jax.Array) -> jax.Array:
            return layer(params["W"], params["b"], X, function)

    else:
        depth = len(problem.widths) - 1
        names = [model.activation] * (depth - 1) if isinstance(model.activation, str) else model.activation
        hidden, output = [_activation(name) for name in names], _activation(model.output)

        def units(params: Params, X: jax.Array) -> jax.Array:
            return network([(params[f"W{i}"], params[f"b{i}"]) for i in range(1, depth + 1)], X, hidden, output)

    return units if problem.outputs else lambda params, X: units(params, X)[:, 0]


def _activation(name: str) -> Callable[[jax.Array], jax.Array]:
    return _among((activation, rectifier, softmax), name)


def _among(families: Sequence[ModuleType], name: str) -> Callable[..., jax.Array]:
    return next(getattr(family, name) for family in families if hasattr(family, name))


def objective(problem: Problem) -> Objective:
    """C(params, X: (N, d), y) = loss + λ₁ Σ|W| + λ₂ ΣW², the penalties on weights, not on biases."""
    predict, config = predictor(problem), problem.config.loss
    weights = [name for name in problem.shapes if name.lower().startswith("w")]

    def loss(prediction: jax.Array, y: jax.Array) -> jax.Array:
        if config.kind == "softmax_cross_entropy":
            return classification.softmax_cross_entropy_with_labels(prediction, y)
        if config.kind == "huber":
            return regression.huber(prediction, y, config.delta)  # pyright: ignore[reportArgumentType] - a scalar
        return _among((regression, classification), config.kind)(prediction, y)

    def cost(params: Params, X: Float[Array, "N d"], y: jax.Array) -> Float[Array, ""]:
        total = loss(predict(params, X), y)
        for strength, penalty in ((config.l1, l1), (config.l2, l2)):
            if strength:
                for name in weights:
                    total = total + strength * penalty(params[name])
        return total

    return cost
