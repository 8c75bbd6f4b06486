from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import configure, dataset

from jmc.train.learning import evaluation, loop
from jmc.train.learning.evaluation import Evaluator, evaluate
from jmc.train.learning.model import initial
from jmc.train.learning.problem import bind

UNITS = {"feature_mean": np.array([5.0, -1.0, 0.0]), "feature_scale": np.array([2.0, 0.5, 1.0])}
TARGET = {"target_mean": 150.0, "target_scale": 70.0}


@pytest.fixture(scope="module")
def regression():
    """A neuron of known weights, on features and a target that were standardised."""
    problem = bind(configure(model={"kind": "neuron", "activation": "identity"}), dataset(**UNITS, **TARGET))
    params = {"w": jnp.asarray([1.0, 0.5, -1.0], "float32"), "b": jnp.asarray(0.25, "float32")}
    return problem, params, Evaluator(problem)


@pytest.fixture(scope="module")
def classification():
    config = configure(
        model={"kind": "layer", "activation": "identity"},
        loss={"kind": "softmax_cross_entropy", "l2": 0.1},
        train={"steps": 1, "dtype": "bfloat16"},
    )
    problem = bind(config, dataset(N=30, classes=3, M=0))
    return problem, initial(problem), Evaluator(problem)


def by_hand(X):
    return X @ [1.0, 0.5, -1.0] + 0.25


class TestEvaluator:
    def test_loss_in_training_units_and_metrics_in_those_of_the_data(self, regression):
        problem, params, evaluator = regression
        data = problem.data
        found = evaluator(params, evaluator.arrays(data.X_train, data.y_train), data.y_train)
        residual = data.y_train - by_hand(data.X_train)
        assert found == pytest.approx(
            {
                "loss": np.mean(residual**2),
                "r2": 1 - np.sum(residual**2) / np.sum((data.y_train - data.y_train.mean()) ** 2),
                "rmse": 70 * np.sqrt(np.mean(residual**2)),
                "mae": 70 * np.mean(np.abs(residual)),
            },
            rel=1e-5,
        )

    def test_accuracy_of_the_largest_logit(self, classification):
        problem, params, evaluator = classification
        X, y = problem.data.X_train, problem.data.y_train
        found = evaluator(params, evaluator.arrays(X, y), y)
        # The logits by hand in float64, of the numbers that bfloat16 holds.
        W, b = (np.asarray(params[name], np.float64) for name in ("W", "b"))
        logits = X.astype("bfloat16").astype(float) @ W.T + b
        first, second = np.sort(logits)[:, -1], np.sort(logits)[:, -2]
        close_calls = np.sum(first - second < 0.05)
        assert found["accuracy"] == pytest.approx(np.mean(np.argmax(logits, axis=1) == y), abs=close_calls / len(y))
        loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]) + 0.1 * np.sum(W**2)
        assert found["loss"] == pytest.approx(loss, rel=0.02)

    def test_arrays_have_the_dtype_of_training(self, classification):
        problem, _, evaluator = classification
        X, y = evaluator.arrays(problem.data.X_train, problem.data.y_train)
        assert (X.dtype, y.dtype) == (jnp.bfloat16, jnp.int32)

    def test_predict_takes_features_as_the_user_gave_them(self, regression):
        _, params, evaluator = regression
        raw = np.array([[5.0, -1.0, 0.0], [7.0, -1.0, 0.0], [5.0, 0.0, 1.0]])
        np.testing.assert_allclose(evaluator.predict(params, raw), 150 + 70 * np.array([0.25, 1.25, 0.25]), rtol=1e-6)


class TestEvaluate:
    def test_the_validation_part_in_its_own_units(self, regression):
        problem, params, evaluator = regression
        data, found = problem.data, evaluate(*regression)
        assert (found.task, found.split) == ("regression", "validation")
        np.testing.assert_allclose(found.X, data.X_valid * UNITS["feature_scale"] + UNITS["feature_mean"])
        np.testing.assert_allclose(found.y, 150 + 70 * data.y_valid)
        np.testing.assert_allclose(found.prediction, 150 + 70 * by_hand(data.X_valid), rtol=1e-5)
        np.testing.assert_array_equal(found.predict(found.X), evaluator.predict(params, found.X))

    def test_the_training_part_where_there_is_no_other(self, classification):
        problem, _, _ = classification
        found = evaluate(*classification)
        assert (found.task, found.split) == ("classification", "training")
        assert found.class_names == ("class 0", "class 1", "class 2")
        np.testing.assert_array_equal(found.y, problem.data.y_train)
        assert found.prediction.dtype == np.int64


class TestGradientChecks:
    def test_agreement(self, regression):
        w, b = evaluate(*regression).gradient_checks
        assert (w.parameter, w.shape, b.parameter, b.shape) == ("w", (3,), "b", ())
        data = regression[0].data
        gradient = 2 * (by_hand(data.X_train) - data.y_train) @ data.X_train / 12
        assert w.largest_gradient == pytest.approx(np.max(np.abs(gradient)), rel=1e-5)
        assert max(w.normwise, b.normwise) < 1e-6

    def test_a_wrong_closed_form_shows(self, regression, monkeypatch):
        problem, params, evaluator = regression

        def twice(f):
            right = jax.value_and_grad(f)
            return lambda *args: (0.0, jax.tree.map(lambda g: 2 * g, right(*args)[1]))

        monkeypatch.setitem(loop.GRADIENTS, "closed_form", twice)
        for check in evaluate(problem, params, evaluator).gradient_checks:
            assert check.normwise == pytest.approx(1.0)
            assert check.largest_difference == pytest.approx(check.largest_gradient / 2)

    def test_gradients_that_vanish_agree(self, regression):
        problem, _, _ = regression
        config = configure(model={"kind": "neuron", "activation": "relu"})
        dead = replace(problem, config=config)
        params = {"w": jnp.zeros(3, "float32"), "b": jnp.asarray(-1.0, "float32")}
        for check in evaluate(dead, params, Evaluator(dead)).gradient_checks:
            assert (check.largest_gradient, check.largest_difference, check.normwise) == (0.0, 0.0, 0.0)


class TestOver:
    """The metrics of examples that come in pieces are those of all of them."""

    @pytest.mark.parametrize("sizes", [[12], [5, 7], [0, 1, 2, 9], [3, 3, 3, 3]])
    @pytest.mark.parametrize("rows", [1, 4, 5, 12, 100])
    def test_any_pieces(self, regression, monkeypatch, sizes, rows):
        problem, params, evaluator = regression
        monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", rows)
        X, y = problem.data.X_train, problem.data.y_train
        cuts = np.cumsum(sizes)[:-1]
        found = evaluator.over(params, zip(np.split(X, cuts), np.split(y, cuts), strict=True))
        sliced = evaluator(params, evaluator.arrays(X, y), y)
        predicted = evaluator.predict(params, X)
        monkeypatch.undo()
        assert found == pytest.approx(evaluator(params, evaluator.arrays(X, y), y), rel=1e-5)
        assert sliced == pytest.approx(found, rel=1e-6)
        np.testing.assert_allclose(predicted, evaluator.predict(params, X), rtol=1e-6)
        assert evaluator.predict(params, X[:0]).shape == (0,)

    def test_classes_and_penalties(self, classification, monkeypatch):
        problem, params, evaluator = classification
        monkeypatch.setattr(evaluation, "ROWS_AT_ONCE", 7)
        X, y = problem.data.X_train, problem.data.y_train
        found = evaluator.over(params, [(X[:20], y[:20]), (X[20:], y[20:])])
        assert found["accuracy"] == evaluator(params, evaluator.arrays(X, y), y)["accuracy"]
        assert found["loss"] == pytest.approx(
            evaluator(params, evaluator.arrays(X, y), y)["loss"], rel=0.02
        )  # bfloat16

    @pytest.mark.parametrize("rows", [1, 3, 10, 11, 50])
    def test_rows_are_regrouped_in_their_order(self, rows):
        numbers = np.arange(11)
        parts = [(numbers[a:b, None], numbers[a:b]) for a, b in ((0, 4), (4, 4), (4, 11))]
        found = list(evaluation.regrouped(iter(parts), rows))
        assert [len(y) for _, y in found[:-1]] == [rows] * (len(found) - 1)
        assert 0 < len(found[-1][1]) <= rows
        np.testing.assert_array_equal(np.concatenate([y for _, y in found]), numbers)
        np.testing.assert_array_equal(np.concatenate([X for X, _ in found])[:, 0], numbers)
