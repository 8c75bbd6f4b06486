"""What the keys of a config demand of each other.

A conflict names the keys it is about, is called with their values, and answers what is wrong with the first of them,
in words that follow "`table.key` = value:", or None. A value of None or [] means that the key is not set.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jmc.train.config.toml_source import shown

Check = Callable[..., str | None]


@dataclass(frozen=True)
class Conflict:
    """A check of the first of the keys against the others."""

    keys: tuple[str, ...]
    check: Check


CONFLICTS: list[Conflict] = []

# The number of classes of the built-in sets; the target of diabetes is a measured quantity.
_CLASSES = {"breast_cancer": 2, "digits": 10, "iris": 3, "wine": 3}
IN_BLOCKS = (".npy", ".parquet")  # what can be read in parts
_TWO_CLASS = ("binary_cross_entropy", "hinge")
_CLASS_LOSSES = (*_TWO_CLASS, "softmax_cross_entropy")
_NEVER_NEGATIVE = ("relu", "sigmoid", "softplus", "softmax")


def _conflict(*keys: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CONFLICTS.append(Conflict(keys, check))
        return check

    return register


@_conflict("data.name", "data.path")
def _some_data(name: str | None, path: str | None) -> str | None:
    return None if name or path else "set it to a built-in data set, or `data.path` to a file of your own"


@_conflict("data.path", "data.name")
def _one_data_set(path: str | None, name: str | None) -> str | None:
    return f"set only one of `data.path` and `data.name`, but `data.name` = {shown(name)}" if path and name else None


@_conflict("data.path")
def _known_format(path: str | None) -> str | None:
    known = path is None or path.lower().endswith((".npz", ".csv", *IN_BLOCKS))
    return None if known else "must end in .npz, .csv, .npy or .parquet"


@_conflict("data.target", "data.name")
def _own_target(target: str | None, name: str | None) -> str | None:
    return f"goes with `data.path` only; {name} has its own target" if target and name else None


@_conflict("data.target", "data.path", "data.target_path")
def _needed_target(target: str | None, path: str | None, target_path: str | None) -> str | None:
    kind = next((kind for kind in (".csv", *IN_BLOCKS) if path and path.lower().endswith(kind)), None)
    if kind is None or target or (kind == ".npy" and target_path):
        return None
    other = ", or `data.target_path` to a file of targets" if kind == ".npy" else ""
    return f"a {kind} file needs the name of the column to predict{other}"


@_conflict("data.target_path", "data.path", "data.target")
def _targets_of_npy(target_path: str | None, path: str | None, target: str | None) -> str | None:
    if not target_path:
        return None
    if not path or not path.lower().endswith(".npy"):
        return "goes with a `data.path` that ends in .npy only"
    if target:
        return f"set only one of `data.target_path` and `data.target`, but `data.target` = {shown(target)}"
    return None if target_path.lower().endswith(".npy") else "must end in .npy"


@_conflict("data.stream", "data.path")
def _streamed_format(stream: bool | None, path: str | None) -> str | None:
    wrong = stream and not (path and path.lower().endswith(IN_BLOCKS))
    return "only a .npy or .parquet file can be streamed" if wrong else None


@_conflict("train.batch_size", "data.path", "data.stream")
def _batches_of_a_stream(batch_size: object, path: str | None, stream: bool | None) -> str | None:
    whole = batch_size == "full" and is_streamed(path, stream)
    return "must be a number of examples where the data are streamed, not loaded (`data.stream`)" if whole else None


@_conflict("data.features", "data.target")
def _distinct_features(features: Sequence[str] | None, target: str | None) -> str | None:
    twice = next((name for name in features or [] if (features or []).count(name) > 1), None)
    if twice is not None:
        return f"must be distinct, but {shown(twice)} is there twice"
    return f"must not hold `data.target` = {shown(target)}" if features and target in features else None


@_conflict("data.task", "data.name")
def _possible_task(task: str | None, name: str | None) -> str | None:
    wrong = task == "classification" and name == "diabetes"
    return 'must be "regression" for diabetes, whose target is a measured quantity' if wrong else None


def _is_regression(task: str | None, name: str | None) -> bool:
    return task == "regression" or (task is None and name == "diabetes")


@_conflict("data.standardize_target", "data.task", "data.name")
def _numeric_target(standardize: bool, task: str | None, name: str | None) -> str | None:
    classes = task == "classification" or (task is None and name in _CLASSES)
    return "the target of a classification is not standardised; leave it out" if standardize and classes else None


@_conflict("loss.kind", "data.task", "data.name")
def _loss_of_classes(loss: str, task: str | None, name: str | None) -> str | None:
    if loss not in _CLASS_LOSSES or not _is_regression(task, name):
        return None
    why = '`data.task` = "regression"' if task else f"the target of {name} is a measured quantity"
    return f"needs classes to predict, but {why}; use mean_squared_error, mean_absolute_error or huber"


@_conflict("loss.kind", "data.name")
def _loss_of_two_classes(loss: str, name: str | None) -> str | None:
    classes = _CLASSES.get(name or "", 2)
    many = loss in _TWO_CLASS and classes != 2
    return f"needs exactly two classes, but {name} has {classes}; use softmax_cross_entropy" if many else None


@_conflict("loss.kind", "model.kind")
def _an_output_per_class(loss: str, kind: str) -> str | None:
    wrong = loss == "softmax_cross_entropy" and kind == "neuron"
    return "needs one output per class, but a neuron has one in all; use a layer or a network" if wrong else None


def _unfit_output(activation: object, loss: str) -> str | None:
    if loss == "softmax_cross_entropy" and activation == "softmax":
        return 'softmax_cross_entropy includes the softmax already; use "identity"'
    if loss == "binary_cross_entropy" and activation == "sigmoid":
        return 'binary_cross_entropy includes the sigmoid already; use "identity"'
    if loss in _TWO_CLASS and activation in _NEVER_NEGATIVE:
        return f'{loss} reads the class from the sign of the output, never negative here; use "identity"'
    return None


@_conflict("model.activation", "model.kind", "loss.kind")
def _unit_feeds_loss(activation: object, kind: str, loss: str) -> str | None:
    return None if kind == "network" else _unfit_output(activation, loss)


@_conflict("model.output", "model.kind", "loss.kind")
def _network_feeds_loss(output: str, kind: str, loss: str) -> str | None:
    return _unfit_output(output, loss) if kind == "network" else None


@_conflict("model.widths", "model.kind")
def _hidden_widths(widths: Sequence[int], kind: str) -> str | None:
    return (
        None
        if widths or kind != "network"
        else "a network needs its hidden widths, for example [64]; without any it is a layer"
    )


@_conflict("model.activation", "model.kind", "model.widths")
def _activation_per_width(activation: object, kind: str, widths: Sequence[int]) -> str | None:
    if not isinstance(activation, list):
        return None
    if kind != "network":
        return f"must be one name, since only a network has hidden layers, but `model.kind` = {shown(kind)}"
    if len(activation) == len(widths):
        return None
    return f"must have one name per hidden width, of which there are {len(widths)}, but got {len(activation)}"


@_conflict("train.steps", "train.epochs")
def _some_length(steps: int | None, epochs: int | None) -> str | None:
    return None if steps or epochs else "set it, or `train.epochs`, to a positive integer"


@_conflict("train.epochs", "train.steps")
def _one_length(epochs: int | None, steps: int | None) -> str | None:
    return (
        f"set only one of `train.epochs` and `train.steps`, but `train.steps` = {steps}" if epochs and steps else None
    )


@_conflict("optimizer.warmup_steps", "train.steps")
def _warm_up_ends(warmup: int, steps: int | None) -> str | None:
    return f"must be less than `train.steps` = {steps}" if steps is not None and warmup >= steps else None


@_conflict("train.watch", "train.patience")
def _watched_for_patience(watch: str, patience: int | None) -> str | None:
    idle = patience is None and watch != "validation_loss"
    return "is watched for early stopping only, so set `train.patience` too" if idle else None


@_conflict("train.min_delta", "train.patience")
def _min_delta_of_patience(min_delta: float, patience: int | None) -> str | None:
    return "counts for early stopping only, so set `train.patience` too" if patience is None and min_delta else None


@_conflict("train.watch", "train.patience", "data.validation_fraction")
def _something_to_watch(watch: str, patience: int | None, fraction: float) -> str | None:
    blind = patience is not None and watch != "loss" and fraction == 0
    return 'needs a validation part, but `data.validation_fraction` = 0; watch "loss"' if blind else None


@_conflict("train.compute_dtype", "train.dtype")
def _computing_is_no_finer(compute: str | None, dtype: str) -> str | None:
    finer = dtype == "bfloat16" and compute == "float32"
    return f"must not be finer than `train.dtype` = {shown(dtype)}, which the parameters are kept in" if finer else None


@_conflict("train.microbatches", "train.batch_size")
def _equal_parts(microbatches: int, batch_size: object) -> str | None:
    return indivisible(microbatches, batch_size, "`train.batch_size`") if isinstance(batch_size, int) else None


def is_streamed(path: str | None, stream: bool | None) -> bool:
    """Whether a config's `data.path` and `data.stream` ask for examples that are read while they are trained on."""
    return path is not None and path.lower().endswith(IN_BLOCKS) and stream is not False


def indivisible(parts: int, size: int, what: str) -> str | None:
    """What is wrong with cutting ``size`` examples into that many equal parts, or None."""
    if size % parts == 0:
        return None
    below = next(n for n in range(min(parts, size), 0, -1) if size % n == 0)
    above = next((n for n in range(parts, min(2 * parts, size) + 1) if size % n == 0), None)
    near = f"{below} and {above} do" if above else f"{below} does"
    return f"must divide {what} = {size}, as {near}"
