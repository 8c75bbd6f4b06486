from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import configure, dataset

import jmc
from jmc.train.learning.evaluation import Evaluator
from jmc.train.learning.loop import GRADIENTS
from jmc.train.learning.model import initial, objective, predictor
from jmc.train.learning.problem import bind

FUNCTIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "identity": lambda z: z,
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
}


def problem(kind="neuron", classes=0, loss="mean_squared_error", dtype="float32", data=None, seed=0, **model):
    loss = loss if isinstance(loss, dict) else {"kind": loss}
    config = configure(model={"kind": kind} | model, loss=loss, train={"steps": 1, "dtype": dtype, "seed": seed})
    return bind(config, data or dataset(N=9, classes=classes))


def parameters(problem):
    """Parameters that are nowhere zero, and the same in float64 for NumPy."""
    rng = np.random.default_rng(1)
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in problem.shapes.items()}
    return {k: jnp.asarray(v) for k, v in params.items()}, {k: v.astype(float) for k, v in params.items()}


def close(actual, expected):
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


class TestInitial:
    def test_shapes_biases_and_dtype(self):
        made = problem("network", classes=3, widths=[5, 2], dtype="bfloat16")
        params = initial(made)
        assert {name: array.shape for name, array in params.items()} == made.shapes
        assert {str(array.dtype) for array in params.values()} == {"bfloat16"}
        assert not any(np.any(params[f"b{i}"]) for i in (1, 2, 3))
        assert all(np.all(params[f"W{i}"]) for i in (1, 2, 3))

    @pytest.mark.parametrize(
        ("kind", "model", "gains"),
        [
            ("neuron", {"activation": "relu"}, {"w": 2}),
            ("neuron", {"activation": "tanh"}, {"w": 1}),
            ("layer", {"activation": "relu"}, {"W": 2}),
            ("network", {"widths": [300, 200]}, {"W1": 2, "W2": 2, "W3": 1}),
            (
                "network",
                {"widths": [300, 200], "activation": ["tanh", "relu"], "output": "relu"},
                {"W1": 1, "W2": 2, "W3": 2},
            ),
        ],
    )
    def test_variance_is_the_gain_over_the_inputs(self, kind, model, gains):
        params = initial(problem(kind, data=dataset(d=4000), **model))
        for name, gain in gains.items():
            weights = np.asarray(params[name])
            spread = 5 * (2 / weights.size) ** 0.5  # five standard deviations of a sample variance
            assert np.mean(weights**2) * weights.shape[-1] == pytest.approx(gain, rel=spread)

    def test_a_seed_means_one_start_in_every_dtype(self):
        def start(**keys):
            return np.asarray(initial(problem(**keys))["w"])

        np.testing.assert_array_equal(start(), start())
        assert np.any(start() != start(seed=1))
        with jax.enable_x64(True):
            double = start(dtype="float64")
        assert double.dtype == np.float64
        np.testing.assert_array_equal(double, start())
        np.testing.assert_array_equal(start(dtype="bfloat16"), start().astype("bfloat16"))


class TestPredictor:
    @pytest.mark.parametrize("activation", ["relu", "tanh"])
    def test_neuron(self, activation):
        made = problem(activation=activation)
        (params, p), X = parameters(made), made.data.X_train
        prediction = jax.jit(predictor(made))(params, jnp.asarray(X, "float32"))
        close(prediction, FUNCTIONS[activation](X @ p["w"] + p["b"]))

    @pytest.mark.parametrize("classes", [0, 3])
    def test_layer(self, classes):
        made = problem("layer", classes=classes, activation="sigmoid")
        (params, p), X = parameters(made), made.data.X_train
        expected = FUNCTIONS["sigmoid"](X @ p["W"].T + p["b"])
        prediction = jax.jit(predictor(made))(params, jnp.asarray(X, "float32"))
        close(prediction, expected if classes else expected[:, 0])

    @pytest.mark.parametrize(
        ("classes", "hidden", "output"),
        [(0, ["tanh", "tanh"], "identity"), (3, ["tanh", "relu"], "softmax"), (2, ["relu", "relu"], "tanh")],
    )
    def test_network(self, classes, hidden, output):
        activation = hidden[0] if len(set(hidden)) == 1 else hidden
        made = problem("network", classes=classes, widths=[5, 2], activation=activation, output=output)
        (params, p), X = parameters(made), made.data.X_train
        a = X
        for i, name in enumerate([*hidden, output], 1):
            a = FUNCTIONS[name](a @ p[f"W{i}"].T + p[f"b{i}"])
        prediction = jax.jit(predictor(made))(params, jnp.asarray(X, "float32"))
        close(prediction, a if classes else a[:, 0])


def cost_and_prediction(problem):
    params, _ = parameters(problem)
    X, y = jnp.asarray(problem.data.X_train, "float32"), problem.encode(problem.data.y_train)
    target = jnp.asarray(y) if y.dtype == np.int32 else jnp.asarray(y, "float32")
    cost, predict = objective(problem), predictor(problem)
    both = jax.jit(lambda params, X, y: (cost(params, X, y), predict(params, X)))
    return *both(params, X, target), y


def _huber(a, y, delta):
    r = np.abs(a - y)
    return np.where(r <= delta, r**2 / 2, delta * (r - delta / 2))


@pytest.mark.parametrize(
    ("kind", "classes", "loss", "per_example"),
    [
        ("neuron", 0, {"kind": "mean_squared_error"}, lambda a, y: (a - y) ** 2),
        ("neuron", 0, {"kind": "mean_absolute_error"}, lambda a, y: np.abs(a - y)),
        ("neuron", 0, {"kind": "huber", "delta": 0.7}, lambda a, y: _huber(a, y, 0.7)),
        ("neuron", 2, {"kind": "binary_cross_entropy"}, lambda a, y: np.log1p(np.exp(a)) - y * a),
        ("neuron", 2, {"kind": "hinge"}, lambda a, y: np.maximum(1 - y * a, 0)),
        ("layer", 3, {"kind": "mean_squared_error"}, lambda a, y: (a - y) ** 2),
        ("layer", 3, {"kind": "softmax_cross_entropy"}, lambda a, y: -np.log(FUNCTIONS["softmax"](a))[np.arange(9), y]),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_objective_is_the_mean_loss(kind, classes, loss, per_example):
    cost, prediction, y = cost_and_prediction(problem(kind, classes, loss, activation="identity"))
    close(cost, np.mean(per_example(np.asarray(prediction, float), y)))


def test_penalties_are_on_weights_alone():
    plain = problem("network", widths=[5])
    penalised = problem("network", loss={"kind": "mean_squared_error", "l1": 0.3, "l2": 0.05}, widths=[5])
    _, p = parameters(plain)
    extra = sum(0.3 * np.abs(p[name]).sum() + 0.05 * (p[name] ** 2).sum() for name in ("W1", "W2"))
    close(cost_and_prediction(penalised)[0], float(cost_and_prediction(plain)[0]) + extra)


class TestComputeDtype:
    """The model computes in bfloat16; parameters, loss and gradients stay in float32."""

    @pytest.fixture(params=["mean_squared_error", "softmax_cross_entropy"])
    def mixed(self, request):
        classes = 3 if request.param == "softmax_cross_entropy" else 0
        config = configure(
            model={"kind": "network", "widths": [8, 4], "activation": "tanh"},
            loss={"kind": request.param, "l2": 0.01},
            train={"steps": 1, "compute_dtype": "bfloat16"},
        )
        problem = bind(config, dataset(N=64, d=5, classes=classes))
        return problem, Evaluator(problem).arrays(problem.data.X_train, problem.data.y_train)

    def test_dtypes(self, mixed):
        problem, (X, y) = mixed
        params = initial(problem)
        assert (X.dtype, y.dtype) == ("bfloat16", "float32" if problem.data.task == "regression" else "int32")
        value, gradient = jmc.value_and_grad(objective(problem))(params, X, y)
        leaves = (*params.values(), predictor(problem)(params, X), value, *gradient.values())
        assert {str(leaf.dtype) for leaf in leaves} == {"float32"}
        program = jax.jit(predictor(problem)).lower(params, X).as_text()
        products = [line for line in program.splitlines() if "dot_general" in line]
        assert len(products) == 3
        assert all(line.count("bf16>") == 3 for line in products)

    def test_either_gradient_is_that_of_the_rounded_model(self, mixed):
        problem, (X, y) = mixed
        params = initial(problem)
        found = {mode: jax.jit(GRADIENTS[mode](objective(problem)))(params, X, y)[1] for mode in GRADIENTS}
        exact = replace(problem, config=configure(**{**tables(problem), "train": {"steps": 1, "dtype": "float64"}}))
        rounded = {name: np.asarray(array.astype("bfloat16"), np.float64) for name, array in params.items()}
        with jax.enable_x64(True):
            y = y if y.dtype == jnp.int32 else jnp.asarray(np.asarray(y, np.float64))
            reference = jax.grad(objective(exact))(
                {name: jnp.asarray(array) for name, array in rounded.items()}, jnp.asarray(np.asarray(X, np.float64)), y
            )
        for gradient in found.values():
            for name, expected in reference.items():
                error = np.asarray(gradient[name], np.float64) - np.asarray(expected)
                assert np.linalg.norm(error) < 8 * 2.0**-8 * np.linalg.norm(expected), name

    def test_as_the_dtype_itself_is_no_difference(self):
        config = configure(train={"steps": 1, "compute_dtype": "float32"})
        problem = bind(config, dataset())
        X = Evaluator(problem).arrays(problem.data.X_train, problem.data.y_train)[0]
        assert "convert_element_type" not in str(jax.make_jaxpr(predictor(problem))(initial(problem), X))


def tables(problem):
    return {name: getattr(problem.config, name).model_dump() for name in ("model", "loss")}
