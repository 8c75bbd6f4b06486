"""One pass over a table too large to load: what its target is, its scales, and samples of its two parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.dataset import CLASS_LIMIT, Dataset, decide
from jmc.train.data.moments import Moments, combined, moments
from jmc.train.data.stream import Stream, is_held_out, uniform
from jmc.train.data.tables import DataError, Task

if TYPE_CHECKING:
    from jaxtyping import Float64, Shaped

    from jmc.train.config.schema import DataConfig
    from jmc.train.data.blocks import Blocks

MOST_CLASSES = 2**16
SAMPLE_ROWS = 2**15
SAMPLE_BYTES = 2**24
"""A sample of a part has about so many rows, and features of about so many bytes in float64, or fewer."""


@dataclass
class _Values:
    """The distinct values of a target so far and their numbers of training rows; None once they cannot be classes."""

    task: Task | None
    name: str
    counts: dict[object, int] | None = field(default_factory=dict)

    def add(self, y: Shaped[np.ndarray, " n"], training: np.ndarray) -> None:
        if self.counts is None:
            return
        values, indices = np.unique(y, return_inverse=True)
        is_number = values.dtype.kind == "f"
        if is_number and (
            self.task == "regression" or (self.task is None and bool(np.any(values != np.floor(values))))
        ):
            self.counts = None
            return
        trained = np.bincount(indices, training, len(values)).astype(int)
        for value, count in zip(values.tolist(), trained.tolist(), strict=True):
            self.counts[value] = self.counts.get(value, 0) + count
        if self.task is None and len(self.counts) > CLASS_LIMIT and is_number:
            self.counts = None
        elif len(self.counts) > MOST_CLASSES:
            raise DataError(f"the target `{self.name}` must take at most {MOST_CLASSES:,} values, but got more")


def survey(blocks: Blocks, config: DataConfig) -> Dataset:
    """The data set of a table that is streamed, after one pass over all of it.

    - **Split.** A row is held out or not by a hash of its number and `config.seed`; each part's share is
      `validation_fraction` in the mean, not exactly, and classes are not balanced.
    - **Samples.** Those of the data set are likewise chosen by that hash, and whole parts where these are small.

    Raises DataError where the table does not suit the config, and OSError where it cannot be read.
    """
    seed, fraction = config.seed, config.validation_fraction
    width = len(blocks.feature_names)
    wanted = max(1, min(SAMPLE_ROWS, max(SAMPLE_BYTES // (8 * width), 256)))
    low, high = (min(1.0, wanted / max(share * blocks.rows, 1)) for share in (fraction, 1 - fraction))
    values = _Values(config.task, blocks.target_name)
    digest, counts = hashlib.sha256(), np.zeros((len(blocks), 2), np.int64)
    train, least, largest = moments(np.empty((0, width + 1))), np.inf, -np.inf
    samples: tuple[list[tuple[np.ndarray, np.ndarray]], ...] = ([], [])
    for block in range(len(blocks)):
        X, y = blocks.read(block)
        _update(digest, X, y)
        X, y = blocks.check(block, X, y)
        rows = np.arange(blocks.starts[block], blocks.starts[block + 1])
        held_out = is_held_out(rows, seed, fraction)
        counts[block] = np.sum(~held_out), np.sum(held_out)
        values.add(y, ~held_out)
        numbers = np.column_stack([X, np.zeros(len(y)) if y.dtype.kind in "OU" else y])
        least, largest = np.minimum(least, numbers.min(axis=0)), np.maximum(largest, numbers.max(axis=0))
        train = combined(train, moments(numbers[~held_out]))
        u = uniform(rows, seed)
        for sample, chosen in zip(
            samples, (~held_out & (u < fraction + (1 - fraction) * high), held_out & (u < fraction * low)), strict=True
        ):
            sample.append((X[chosen], y[chosen]))

    distinct = values.counts
    task, class_names = (
        ("regression", ())
        if distinct is None
        else decide(_sorted(distinct), blocks.rows, config.task, blocks.target_name)
    )
    if config.standardize_target and task == "classification":
        what = f"the classes of `{blocks.target_name}`"
        raise DataError(f"`data.standardize_target` must be false for {what}, but got true")
    labels = _sorted(distinct) if class_names and distinct is not None else None
    if not train.count:
        raise DataError(f"`data.validation_fraction` must leave a training row, but got {fraction} of {blocks.rows}")
    emptied = [
        name
        for name, value in zip(class_names, labels if labels is not None else (), strict=True)
        if not (distinct or {})[value]
    ]
    if emptied:
        raise DataError(
            f"`data.validation_fraction` must leave a training row of class {emptied[0]!r}, but got {fraction}"
        )
    asked = np.append(np.full(width, config.standardize), config.standardize_target)
    mean, scale, extremes = _scales(
        train, np.stack([least, largest]), asked, (*blocks.feature_names, blocks.target_name)
    )
    if labels is not None:
        extremes[-1] = len(labels) - 1
    stream = Stream(
        blocks, seed, fraction, counts, labels, mean[:-1], scale[:-1], float(mean[-1]), float(scale[-1]),
        digest.hexdigest(), extremes,
    )  # fmt: skip
    parts = [_sample(stream, sample) for sample in samples]
    return Dataset(
        name=blocks.path.stem,
        task=task,
        feature_names=blocks.feature_names,
        target_name=blocks.target_name,
        class_names=class_names,
        X_train=parts[0][0],
        y_train=parts[0][1],
        X_valid=parts[1][0],
        y_valid=parts[1][1],
        feature_mean=stream.feature_mean,
        feature_scale=stream.feature_scale,
        target_mean=stream.target_mean,
        target_scale=stream.target_scale,
        stream=stream,
    )


def _sorted(counts: dict[object, int]) -> np.ndarray:
    """The values in order: numbers, or text in an object array."""
    ordered = sorted(counts, key=lambda value: value)  # pyright: ignore[reportArgumentType, reportCallIssue] - all numbers, or all text
    return np.array(ordered, dtype=object) if isinstance(ordered[0], str) else np.array(ordered)


def _update(digest: hashlib._Hash, X: Float64[np.ndarray, "n d"], y: np.ndarray) -> None:
    digest.update(np.ascontiguousarray(X).data)
    digest.update("\0".join(y).encode() if y.dtype.kind in "OU" else np.ascontiguousarray(y).data)


def _scales(
    train: Moments, ends: Float64[np.ndarray, "2 d"], asked: np.ndarray, names: tuple[str, ...]
) -> tuple[Float64[np.ndarray, " d"], Float64[np.ndarray, " d"], Float64[np.ndarray, " d"]]:
    """The mean and the unit of each column, 0 and 1 where it is not to be standardised, and its largest magnitude.

    ``ends`` are the least and the largest value of each column.
    """
    deviation = train.deviation
    mean = np.where(asked, train.mean, 0.0)
    scale = np.where(asked & (deviation != 0), deviation, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        extremes = np.max(np.abs((ends - mean) / scale), axis=0)
    too_large = ~(np.isfinite(scale) & np.isfinite(extremes))
    if too_large.any():
        column = int(np.argmax(too_large))
        largest = np.max(np.abs(ends[:, column]))
        raise DataError(f"`{names[column]}` must hold smaller numbers to be standardised, but got {largest:g}")
    return mean, scale, extremes


def _sample(stream: Stream, rows: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    X, y = (np.concatenate(arrays) for arrays in zip(*rows, strict=True))
    return stream.scaled(X), stream.targets(y)
