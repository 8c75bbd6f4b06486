"""What a trained model says about its data, and whether its gradient is right: what `report.html` shows."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jmc.train.loop import GRADIENTS
from jmc.train.metrics import metrics
from jmc.train.model import Params, objective, predictor
from jmc.train.problem import Problem

# Enough examples for a table of differences; all of them would cost as much as a long step.
_CHECKED_EXAMPLES = 4096


@dataclass(frozen=True)
class GradientCheck:
    """The closed form against automatic differentiation, for one parameter at its trained value."""

    parameter: str
    shape: tuple[int, ...]
    largest_gradient: float  # max |closed form|
    largest_difference: float  # max |closed form − autodiff|
    normwise: float  # ‖closed form − autodiff‖ / ‖autodiff‖, 0 where both vanish


@dataclass(frozen=True)
class Evaluation:
    """Predictions beside targets; a target is a number, or the index of a class.

    ``X`` holds features as the user gave them (not standardised), and ``predict`` takes such features.
    """

    task: str  # "regression" or "classification"
    split: str  # "validation", or "training" where there is no validation part
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...]
    target_name: str
    X: Float[np.ndarray, "N d"]
    y: Shaped[np.ndarray, " N"]
    prediction: Shaped[np.ndarray, " N"]
    predict: Callable[[np.ndarray], np.ndarray]
    gradient_checks: tuple[GradientCheck, ...]


class Evaluator:
    """The problem's objective and metrics for any part of its data, from one jitted function."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._dtype = problem.config.train.dtype
        cost, predict = objective(problem), predictor(problem)
        self._both = jax.jit(lambda params, X, y: (cost(params, X, y), predict(params, X)))
        self._predict = jax.jit(predict)

    def arrays(self, X: np.ndarray, y: np.ndarray) -> tuple[jax.Array, jax.Array]:
        """Features and targets of the data set as the objective takes them, on the device."""
        encoded = self._problem.encode(y)
        target = jnp.asarray(encoded) if encoded.dtype == np.int32 else jnp.asarray(encoded, self._dtype)
        return jnp.asarray(X, self._problem.compute_dtype), target

    def __call__(self, params: Params, arrays: tuple[jax.Array, jax.Array], y: np.ndarray) -> dict[str, float]:
        """``loss`` (the objective) and the task's metrics; ``y`` are the targets of ``arrays`` in the data set."""
        loss, prediction = self._both(params, *arrays)
        problem = self._problem
        decided = problem.decide(np.asarray(prediction, np.float64))
        truth = y if problem.data.task == "classification" else problem.decide(y)
        return {"loss": float(loss), **metrics(problem.data.task, truth, decided)}

    def predict(self, params: Params, X: np.ndarray) -> np.ndarray:
        """Predictions in the data's own terms from features as the user gave them."""
        data = self._problem.data
        scaled = jnp.asarray((X - data.feature_mean) / data.feature_scale, self._problem.compute_dtype)
        return self._problem.decide(np.asarray(self._predict(params, scaled), np.float64))


def evaluate(problem: Problem, params: Params, evaluator: Evaluator) -> Evaluation:
    """Predictions on the validation part (the training part where there is none), and the gradient checks."""
    data = problem.data
    split = "validation" if len(data.y_valid) else "training"
    X, y = (data.X_valid, data.y_valid) if split == "validation" else (data.X_train, data.y_train)
    features = X * data.feature_scale + data.feature_mean
    return Evaluation(
        task=data.task,
        split=split,
        feature_names=data.feature_names,
        class_names=data.class_names,
        target_name=data.target_name,
        X=features,
        y=y if data.task == "classification" else problem.decide(y),
        prediction=evaluator.predict(params, features),
        predict=lambda X: evaluator.predict(params, X),
        gradient_checks=gradient_checks(problem, params, evaluator),
    )


def gradient_checks(problem: Problem, params: Params, evaluator: Evaluator) -> tuple[GradientCheck, ...]:
    """The two gradients of the objective at ``params``, side by side, on (the first of) the training examples."""
    data = problem.data
    arrays = evaluator.arrays(data.X_train[:_CHECKED_EXAMPLES], data.y_train[:_CHECKED_EXAMPLES])
    cost = objective(problem)
    closed, auto = (
        jax.tree.map(lambda g: np.asarray(g, np.float64), jax.jit(GRADIENTS[mode](cost))(params, *arrays)[1])
        for mode in ("closed_form", "autodiff")
    )
    return tuple(_compare(name, closed[name], auto[name]) for name in problem.shapes)


def _compare(name: str, closed: np.ndarray, auto: np.ndarray) -> GradientCheck:
    difference, scale = float(np.linalg.norm(closed - auto)), float(np.linalg.norm(auto))
    return GradientCheck(
        parameter=name,
        shape=closed.shape,
        largest_gradient=float(np.max(np.abs(closed), initial=0.0)),
        largest_difference=float(np.max(np.abs(closed - auto), initial=0.0)),
        normwise=difference / scale if scale else difference,
    )
