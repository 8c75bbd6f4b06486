"""What a config and its data ask for, before anything is computed: targets, shapes, sizes and costs. No JAX."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from jmc.train.config.conflicts import indivisible
from jmc.train.config.schema import Config, Watch
from jmc.train.data.dataset import Dataset
from jmc.train.data.stream import WINDOW_BYTES
from jmc.train.data.tables import DataError
from jmc.train.learning.metrics import METRICS

Encoding = Literal["value", "labels", "zero_one", "signs", "one_hot"]

MAX_STEPS = 10**9
ROWS_AT_ONCE = 2**14
"""Examples that are evaluated together, or fewer: of one size, so that it is compiled once."""
CHUNK_BYTES = 2**23
"""What the features of the batches of a chunk take at most, where they are streamed and more than one."""
_ITEM_BYTES = {"float32": 4, "float64": 8, "bfloat16": 2}
_LARGEST = {
    "float32": float(np.finfo(np.float32).max),
    "float64": float(np.finfo(np.float64).max),
    "bfloat16": 255 * 2.0**120,
}
_SLOTS = {
    "sgd": 0,
    "momentum": 1,
    "nesterov": 1,
    "adam": 2,
    "adamw": 2,
}  # arrays per parameter the optimizer keeps
_TWO_CLASS: Mapping[str, Encoding] = {"binary_cross_entropy": "zero_one", "hinge": "signs"}


@dataclass(frozen=True)
class Problem:
    """A config bound to its data set.

    Attributes:
        encoding: how the loss sees the target: a ``value``, class ``labels`` 0 … K−1, ``zero_one``, ``signs`` ±1,
            or ``one_hot`` rows.
        outputs: how many numbers the model returns per example, None for one number without an axis.
        widths: (d, m_1, …, m_L), inputs and units per layer.
    """

    config: Config
    data: Dataset
    encoding: Encoding
    outputs: int | None
    widths: tuple[int, ...]

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Each parameter's name and shape: w, b · W, b · W1, b1, W2, b2, …"""
        d, *units = self.widths
        if self.config.model.kind == "neuron":
            return {"w": (d,), "b": ()}
        if self.config.model.kind == "layer":
            return {"W": (units[0], d), "b": (units[0],)}
        found: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(zip(self.widths, units, strict=False), 1):
            found |= {f"W{i}": (outputs, inputs), f"b{i}": (outputs,)}
        return found

    @property
    def parameters(self) -> int:
        return sum(int(np.prod(shape, dtype=object)) for shape in self.shapes.values())

    @property
    def examples(self) -> int:
        return self.data.n_training

    @property
    def batch_size(self) -> int | None:
        """Examples per step, None for all of them in order."""
        size = self.config.train.batch_size
        return None if size == "full" else size

    @property
    def compute_dtype(self) -> str:
        """What the model computes in; parameters, optimizer state and the loss are in ``train.dtype``."""
        return self.config.train.compute_dtype or self.config.train.dtype

    @property
    def steps(self) -> int:
        """Steps of the whole run; an epoch is as many as it takes to draw N examples."""
        train = self.config.train
        if train.steps is not None:
            return train.steps
        per_epoch = -(-self.examples // (self.batch_size or self.examples))
        return per_epoch * (train.epochs or 0)

    @property
    def row_steps(self) -> int:
        """Steps between two rows of metrics, or less where there is one for an evaluation: ``train.log_every``, else
        about a hundredth of the run.
        """
        every = self.config.train.log_every
        if every is None:
            every = min(-(-self.steps // 100), max(1, 2**22 // (self.batch_size or 1)))
        return min(every, self.steps)

    @property
    def chunk(self) -> int:
        """Steps between two returns to the host, at most: for a row of metrics, or to save."""
        periods = self.config.checkpoint.every_steps, self.config.train.evaluate_every
        longest = self.steps
        if self.data.stream is not None:  # the chunk's batches are gathered on the host
            longest = max(1, CHUNK_BYTES // (_ITEM_BYTES[self.compute_dtype] * (self.batch_size or 1) * self.widths[0]))
        return min(self.row_steps, longest, *(period or self.steps for period in periods))

    @cached_property
    def columns(self) -> list[str]:
        """Every key that a row of metrics may have, in order."""
        validation = [f"validation_{name}" for name in METRICS[self.data.task]] if len(self.data.y_valid) else []
        norms = [f"{kind}_norm/{name}" for kind in ("gradient", "parameter") for name in self.shapes]
        return ["step", "loss", *validation, "learning_rate", "seconds", "steps_per_second", *norms]

    @property
    def flops_per_step(self) -> int:
        """Of the products with W alone: z = X Wᵀ, ∂C/∂W = uᵀ X and, beyond the first layer, ∂C/∂X = u W."""
        products = [inputs * units for inputs, units in zip(self.widths, self.widths[1:], strict=False)]
        return 2 * (self.batch_size or self.examples) * (3 * sum(products) - products[0])

    @property
    def bytes(self) -> int:
        """An estimate of what training holds at once: parameters, gradients, optimizer state, two copies to
        return to and one being saved, the data, a batch's activations and a chunk's losses and draws.
        """
        item, compute = _ITEM_BYTES[self.config.train.dtype], _ITEM_BYTES[self.compute_dtype]
        state = self.parameters * (1 + _SLOTS[self.config.optimizer.kind])
        features, held = self.data.X_train.size + self.data.X_valid.size, len(self.data.y_train)
        if self.data.stream is not None:  # three windows, and four chunks
            largest = max(int(self.data.stream.counts.sum(axis=1).max()) * self.widths[0], WINDOW_BYTES // compute)
            features += 3 * largest + 4 * self.chunk * (self.batch_size or 0) * self.widths[0]
        part = -(-(self.batch_size or self.examples) // self.config.train.microbatches)
        activations = 2 * max(part, min(held, ROWS_AT_ONCE)) * sum(self.widths)
        draws = 4 * self.chunk * (self.batch_size or 0)
        values = 4 * state + self.parameters + held * (self.outputs or 1) + self.chunk
        return item * values + compute * (features + activations) + draws

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Targets of the data set as the loss reads them: float64 values, or int32 labels."""
        match self.encoding:
            case "labels":
                return y.astype(np.int32)
            case "signs":
                return 2.0 * y - 1.0
            case "one_hot":
                return (y[:, None] == np.arange(self.data.n_classes)).astype(np.float64)
            case _:
                return y.astype(np.float64)

    def decide(self, prediction: np.ndarray) -> np.ndarray:
        """What the model's output says in the data's own terms: a value in its unit, or the index of a class."""
        if self.data.task == "regression":
            return prediction * self.data.target_scale + self.data.target_mean
        if prediction.ndim == 2:
            return np.argmax(prediction, axis=1)
        logits = self.config.loss.kind in _TWO_CLASS
        return (prediction > (0.0 if logits else 0.5)).astype(np.int64)

    def summary(self) -> dict[str, Any]:
        """What `--dry-run` prints."""
        return {
            "data": self.data.name,
            "task": self.data.task,
            "training_examples": self.examples,
            "validation_examples": self.data.n_validation,
            "streamed": self.data.stream is not None,
            "features": self.data.n_features,
            "classes": self.data.n_classes,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "parameters": self.parameters,
            "steps": self.steps,
            "batch_size": self.batch_size or self.examples,
            "chunk_steps": self.chunk,
            "flops_per_step": self.flops_per_step,
            "memory_bytes": self.bytes,
        }


def bind(config: Config, data: Dataset) -> Problem:
    """The problem that ``config`` poses on ``data``. Raises DataError where the two do not go together."""
    loss, kind = config.loss.kind, config.model.kind
    classes = data.n_classes
    if data.task == "regression":
        if loss in _TWO_CLASS or loss == "softmax_cross_entropy":
            raise DataError(
                f"`loss.kind` must be mean_squared_error, mean_absolute_error or huber for a target of values, "
                f"`{data.target_name}`, but got {loss}"
            )
        if config.model.output == "softmax" and kind == "network":
            raise DataError('`model.output` must not be "softmax" for one value, whose softmax is always 1')
        encoding, outputs = "value", None
    elif loss == "softmax_cross_entropy":
        encoding, outputs = "labels", classes
    elif loss in _TWO_CLASS:
        encoding, outputs = _TWO_CLASS[loss], None
    elif kind == "neuron":
        encoding, outputs = "zero_one", None
    else:
        encoding, outputs = "one_hot", classes
    if encoding in ("zero_one", "signs") and classes != 2:
        what = f"`loss.kind` = {loss}" if loss in _TWO_CLASS else "a neuron"
        raise DataError(f"{what} must have two classes to tell apart, but got {classes}, of `{data.target_name}`")
    hidden = config.model.widths if kind == "network" else []
    problem = Problem(config, data, encoding, outputs, (data.n_features, *hidden, outputs or 1))
    if data.stream is not None and problem.batch_size is None:
        raise DataError('`train.batch_size` must be a number of examples for data that are streamed, but got "full"')
    _check_steps(problem)
    _check_parts(problem)
    _check_watch(problem)
    _check_range(problem)
    return problem


def _check_steps(problem: Problem) -> None:
    warmup = problem.config.optimizer.warmup_steps
    if problem.steps > MAX_STEPS:
        raise DataError(f"`train.epochs` must give at most {MAX_STEPS:,} steps, but got {problem.steps:,}")
    if warmup >= problem.steps:
        raise DataError(
            f"`optimizer.warmup_steps` must be less than the {problem.steps:,} steps that `train.epochs` gives, "
            f"but got {warmup:,}"
        )


def _check_parts(problem: Problem) -> None:
    parts = problem.config.train.microbatches
    if problem.batch_size is None and (what := indivisible(parts, problem.examples, "the number of training examples")):
        raise DataError(f"`train.microbatches` {what}, but got {parts}")


def _check_watch(problem: Problem) -> None:
    """Raises DataError where early stopping watches a metric that the rows will not have."""
    watch, data = problem.config.train.watch, problem.data
    if problem.config.train.patience is None or watch in problem.columns:
        return
    if not len(data.y_valid):
        why = f"of {problem.examples:,} examples none is held out"
    else:
        why = f"`{data.target_name}` is the target of a {data.task}"
    seen = ", ".join(column for column in problem.columns if column in get_args(Watch))
    raise DataError(f"`train.watch` must be among {seen}, since {why}, but got {watch}")


def _check_range(problem: Problem) -> None:
    """Raises DataError for a column with a number that is finite in the data but not in ``train.dtype``."""
    data, dtypes = problem.data, dict.fromkeys(problem.data.feature_names, problem.compute_dtype)
    dtypes[data.target_name] = problem.config.train.dtype
    for name, largest in data.extremes().items():
        dtype = dtypes[name]
        if largest > _LARGEST[dtype]:
            raise DataError(
                f"`{name}` must hold numbers of at most {_LARGEST[dtype]:.3g} to be read as {dtype}, "
                f"but got {largest:.3g}; scale it, or set `train.dtype` to float64"
            )
