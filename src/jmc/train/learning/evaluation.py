"""What a trained model says about its data, and whether its gradient is right: what `report.html` shows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jmc.train.learning.loop import GRADIENTS
from jmc.train.learning.metrics import Totals, totals
from jmc.train.learning.model import Params, objective, predictor
from jmc.train.learning.problem import ROWS_AT_ONCE, Problem

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
    examples: int  # of the split; N is less where they are a sample of it
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

    def targets(self, y: np.ndarray) -> np.ndarray:
        """Targets of the data set as the objective takes them, on the host."""
        encoded = self._problem.encode(y)
        return encoded if encoded.dtype == np.int32 else encoded.astype(self._dtype)

    def arrays(self, X: np.ndarray, y: np.ndarray) -> tuple[jax.Array, jax.Array]:
        """Features and targets of the data set as the objective takes them, on the device."""
        return jnp.asarray(X, self._problem.compute_dtype), jnp.asarray(self.targets(y))

    def __call__(self, params: Params, arrays: tuple[jax.Array, jax.Array], y: np.ndarray) -> dict[str, float]:
        """``loss`` (the objective) and the task's metrics; ``y`` are the targets of ``arrays`` in the data set."""
        if len(y) <= ROWS_AT_ONCE:
            return self._together(params, [(arrays, y)])
        cuts = [slice(at, at + ROWS_AT_ONCE) for at in range(0, len(y), ROWS_AT_ONCE)]
        return self._together(params, ((tuple(array[cut] for array in arrays), y[cut]) for cut in cuts))

    def over(self, params: Params, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """The same over examples that are too many to hold, ``(X, y)`` of the data set at a time."""
        return self._together(params, ((self.arrays(X, y), y) for X, y in regrouped(parts, ROWS_AT_ONCE)))

    def _together(self, params: Params, pieces: Iterable[tuple[tuple[jax.Array, ...], np.ndarray]]) -> dict[str, float]:
        """The objective is a mean over examples, plus penalties that are the same for any of them: so it is the mean
        over pieces, each weighted with its number of examples.
        """
        problem, loss, found = self._problem, 0.0, Totals(0)
        for arrays, y in pieces:
            piece, prediction = self._both(params, *arrays)
            truth = y if problem.data.task == "classification" else problem.decide(y)
            more = totals(problem.data.task, truth, problem.decide(np.asarray(prediction, np.float64)))
            found += more
            loss += (float(piece) - loss) * (more.count / found.count)
        return {"loss": loss, **found.metrics()}

    def predict(self, params: Params, X: np.ndarray) -> np.ndarray:
        """Predictions in the data's own terms from features as the user gave them."""
        data = self._problem.data
        pieces = []
        for at in range(0, max(len(X), 1), ROWS_AT_ONCE):
            scaled = (X[at : at + ROWS_AT_ONCE] - data.feature_mean) / data.feature_scale
            found = self._predict(params, jnp.asarray(scaled, self._problem.compute_dtype))
            pieces.append(self._problem.decide(np.asarray(found, np.float64)))
        return np.concatenate(pieces)


def regrouped(parts: Iterable[tuple[np.ndarray, np.ndarray]], rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same rows in the same order, so many at a time, and last those that are left."""
    held: list[tuple[np.ndarray, np.ndarray]] = []
    count = 0
    for X, y in parts:
        held.append((X, y))
        count += len(y)
        if count >= rows:
            X, y = (np.concatenate(arrays) for arrays in zip(*held, strict=True))
            whole = count - count % rows
            yield from ((X[at : at + rows], y[at : at + rows]) for at in range(0, whole, rows))
            held, count = [(X[whole:], y[whole:])], count - whole
    if count:
        X, y = (np.concatenate(arrays) for arrays in zip(*held, strict=True))
        yield X, y


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
        examples=data.n_validation if split == "validation" else data.n_training,
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
