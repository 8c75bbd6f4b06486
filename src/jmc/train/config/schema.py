"""The schema of a config: its tables and keys, the values they take, and the words that say so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from jmc.train.config.toml_source import dump


@dataclass(frozen=True)
class ReadBy:
    """Marks a key that only these values of its table's `kind` read."""

    kinds: tuple[str, ...]


@dataclass(frozen=True)
class MayChange:
    """Marks a key that may change when a run is resumed: no step computes anything else for it."""


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
CountOrZero = Annotated[int, Field(ge=0, le=10**9)]
Width = Annotated[int, Field(ge=1, le=10**6)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]
DataSet = Literal["diabetes", "breast_cancer", "digits", "iris", "wine"]
Activation = Literal["relu", "tanh", "sigmoid", "softplus", "gelu", "silu", "identity"]
Output = Literal[Activation, "softmax"]
Watch = Literal["validation_loss", "validation_r2", "validation_rmse", "validation_mae", "validation_accuracy", "loss"]

_NETWORK = ReadBy(("network",))
_MOMENTUM = ReadBy(("momentum", "nesterov"))
_ADAM = ReadBy(("adam", "adamw"))
_MAY_CHANGE = MayChange()


class Table(BaseModel):
    """What every table has in common: nothing is converted, nothing unknown is let in, nothing changes."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class DataConfig(Table):
    """A data set by name or a file by path, and how it is split and scaled."""

    name: DataSet | None = None
    path: Annotated[Text | None, _MAY_CHANGE] = None  # for the same examples elsewhere
    target: Text | None = None  # None: "y" of an .npz
    target_path: Text | None = None  # of a .npy: another with the targets
    features: Annotated[list[Text], Field(min_length=1)] | None = None  # None: all columns; "X" of an .npz
    task: Literal["regression", "classification"] | None = None  # None: the data decide
    validation_fraction: Fraction = 0.2
    standardize: bool = True
    standardize_target: bool = False
    stream: bool | None = None  # read while training, not loaded; None: .npy and .parquet are
    seed: Seed = 0


class ModelConfig(Table):
    """The function that is trained; the widths of its input and output come from the data."""

    kind: Literal["neuron", "layer", "network"]
    widths: Annotated[list[Width], Field(max_length=1000), _NETWORK] = []
    activation: Activation | list[Activation] = "relu"
    output: Annotated[Output, _NETWORK] = "identity"


class LossConfig(Table):
    """What is minimised."""

    kind: Literal[
        "mean_squared_error",
        "mean_absolute_error",
        "huber",
        "binary_cross_entropy",
        "softmax_cross_entropy",
        "hinge",
    ]
    delta: Annotated[Positive, ReadBy(("huber",))] = 1.0
    l1: NonNegative = 0.0
    l2: NonNegative = 0.0


class OptimizerConfig(Table):
    """How the parameters move."""

    kind: Literal["sgd", "momentum", "nesterov", "adam", "adamw"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0, le=1e6)]
    momentum: Annotated[Fraction, _MOMENTUM] = 0.9
    beta1: Annotated[Fraction, _ADAM] = 0.9
    beta2: Annotated[Fraction, _ADAM] = 0.999
    epsilon: Annotated[Positive, _ADAM] = 1e-8
    weight_decay: Annotated[NonNegative, ReadBy(("adamw",))] = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_steps: CountOrZero = 0
    clip_norm: Positive | None = None


class TrainConfig(Table):
    """How long, in what batches and in what arithmetic."""

    steps: Annotated[Count | None, _MAY_CHANGE] = None
    epochs: Annotated[Count | None, _MAY_CHANGE] = None
    batch_size: Annotated[int, Field(ge=1, le=10**9)] | Literal["full"] = "full"
    seed: Seed = 0
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    compute_dtype: Literal["float32", "bfloat16"] | None = None  # of the model's own arithmetic; None: `dtype`
    microbatches: Count = 1  # parts of a batch whose gradients are accumulated: less memory, the same step
    gradient: Literal["closed_form", "autodiff"] = "closed_form"
    log_every: Annotated[Count | None, _MAY_CHANGE] = None  # None: about 100 rows of metrics per run
    evaluate_every: Count | None = None  # None: the validation part is evaluated for every row
    patience: Count | None = None  # early stopping after so many values of `watch` that are no better; None: never
    watch: Watch = "validation_loss"
    min_delta: NonNegative = 0.0  # by how much a value must be better to count


class CheckpointConfig(Table):
    """When the state of the run is saved, besides at its end and when it is interrupted."""

    every_steps: Annotated[CountOrZero, _MAY_CHANGE] = 0  # 0: not by steps
    every_seconds: Annotated[NonNegative, _MAY_CHANGE] = 60.0  # 0: not by time
    keep: Annotated[int, Field(ge=1, le=10**6), _MAY_CHANGE] = 3


class LogConfig(Table):
    """Where rows of metrics go besides metrics.jsonl."""

    csv: Annotated[bool, _MAY_CHANGE] = False
    tensorboard: Annotated[bool, _MAY_CHANGE] = False


@dataclass(frozen=True)
class Config:
    """A whole config. `name` is the stem of the file it came from and takes no part in comparisons."""

    data: DataConfig
    model: ModelConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    train: TrainConfig
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    log: LogConfig = field(default_factory=LogConfig)
    name: str = field(default="config", compare=False)


TABLES: Mapping[str, type[Table]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "train": TrainConfig,
    "checkpoint": CheckpointConfig,
    "log": LogConfig,
}


def readers(table: str, key: str) -> tuple[str, ...] | None:
    """The values of the table's `kind` that read the key; None where all do."""
    marks = TABLES[table].model_fields[key].metadata
    return next((mark.kinds for mark in marks if isinstance(mark, ReadBy)), None)


def is_read(table: str, key: str, kind: object) -> bool:
    """Whether the key counts when the table's `kind` is this one."""
    read_by = readers(table, key)
    return read_by is None or kind in read_by


def may_change(table: str, key: str) -> bool:
    """Whether a resumed run may have another value of the key than it had before."""
    field = TABLES[table].model_fields.get(key)
    return field is not None and any(isinstance(mark, MayChange) for mark in field.metadata)


def kinds(table: str) -> list[str]:
    """The values that the table's `kind` may have; none if it has no such key."""
    return choices(key_schemas(table).get("kind", {}))


@cache
def key_schemas(table: str) -> Mapping[str, Mapping[str, Any]]:
    """The JSON schema of each of the table's keys."""
    return TABLES[table].model_json_schema()["properties"]


def alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas a value may satisfy; "not set" is no value that TOML can write."""
    yield from (option for option in schema.get("anyOf", [schema]) if option.get("type") != "null")


def choices(schema: Mapping[str, Any]) -> list[str]:
    """The words that stand for a value of the schema, as `sgd` and `true` do."""
    words: list[str] = []
    for option in alternatives(schema):
        words += option.get("enum", [])
        words += [option["const"]] if "const" in option else []
        words += ["true", "false"] if option.get("type") == "boolean" else []
    return words


def requirement(schema: Mapping[str, Any]) -> str:
    """What a value of the schema must be, in words that follow "must be"."""
    return " or ".join(map(_requirement, alternatives(schema)))


def _requirement(schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        words = ", ".join(dump(word) for word in choices(schema))
        return f"one of {words}" if "enum" in schema else words
    match schema["type"]:
        case "integer":
            return "an integer" + _bounds(schema)
        case "number":
            return "a finite number" + _bounds(schema)
        case "boolean":
            return "true or false"
        case "string":
            return "a non-empty string" if schema.get("minLength") else "a string"
        case "array":
            size = "a non-empty list" if schema.get("minItems") else "a list"
            size += f" of at most {schema['maxItems']} values" if "maxItems" in schema else ""
            return f"{size}, each {requirement(schema['items'])}"
        case other:
            raise NotImplementedError(other)


def _bounds(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {_number(schema['minimum'])} to {_number(schema['maximum'])}"
    words = {
        "minimum": "of at least",
        "exclusiveMinimum": "greater than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    bounds = [f"{text} {_number(schema[bound])}" for bound, text in words.items() if bound in schema]
    return " " + " and ".join(bounds) if bounds else ""


def _number(bound: float) -> str:
    digits = f"{bound:.0f}"
    is_power = len(digits) > 5 and digits == "1" + "0" * (len(digits) - 1)
    return f"10**{len(digits) - 1}" if is_power else f"{bound:g}" if bound < 10**5 else digits
