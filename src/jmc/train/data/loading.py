"""From the `[data]` table of a config to arrays on the host that are ready to train on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.config.conflicts import IN_BLOCKS, is_streamed
from jmc.train.data.csv_table import read_csv
from jmc.train.data.dataset import CLASS_LIMIT, Dataset, decide
from jmc.train.data.npy_blocks import open_npy
from jmc.train.data.npz_table import read_npz
from jmc.train.data.parquet_blocks import open_parquet
from jmc.train.data.survey import survey
from jmc.train.data.tables import DataError, RawTable, Task, read_shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64, Int64, Num

    from jmc.train.config.schema import DataConfig
    from jmc.train.data.blocks import Blocks

__all__ = ["CLASS_LIMIT", "DataError", "Dataset", "load"]

READERS = {".csv": read_csv, ".npz": read_npz}


def load(config: DataConfig, base: Path) -> Dataset:
    """Reads, splits and standardises the data that `config` names; a relative path is sought in `base` first.

    - **Task.** Unless `config.task` says, text or whole numbers (booleans, too) that take 2 to 20 distinct
      values, in more rows than that, are classes; any other numbers are a regression target. Classes are
      sorted: text by its code points, numbers by value.
    - **Split.** `config.seed` seeds a permutation of the rows, whose first `validation_fraction` (rounded) is
      held out: in classification that of each class, so that either part has its share of every class.
    - **Standardisation.** Mean and standard deviation are the training part's; a constant column has scale 1.

    A `.npy` or `.parquet` file is not loaded but streamed, unless `config.stream` is false; see `survey` for its split.

    Raises DataError if the data cannot be read or do not suit the config.
    """
    table = _read(config, base)
    if isinstance(table, Dataset):
        return table
    task, y, class_names = _decide(table, config.task)
    if config.standardize_target and task == "classification":
        what = f"the classes of `{table.target_name}`"
        raise DataError(f"`data.standardize_target` must be false for {what}, but got true")
    strata = y if task == "classification" else np.zeros(len(y), np.int64)
    train, valid = _split(strata, config.validation_fraction, config.seed)
    emptied = np.setdiff1d(strata, strata[train])
    if emptied.size:
        left = f"leave a training row of class {class_names[emptied[0]]!r}" if class_names else "leave a training row"
        held_out = f"{config.validation_fraction} of {np.sum(strata == emptied[0])}"
        raise DataError(f"`data.validation_fraction` must {left}, but got {held_out}")

    X, feature_mean, feature_scale = _standardize(table.X, train, config.standardize, table.feature_names)
    Y, target_mean, target_scale = _standardize(y[:, None], train, config.standardize_target, [table.target_name])
    return Dataset(
        name=table.name,
        task=task,
        feature_names=table.feature_names,
        target_name=table.target_name,
        class_names=class_names,
        X_train=X[train],
        y_train=Y[train, 0],
        X_valid=X[valid],
        y_valid=Y[valid, 0],
        feature_mean=feature_mean,
        feature_scale=feature_scale,
        target_mean=float(target_mean[0]),
        target_scale=float(target_scale[0]),
    )


def _read(config: DataConfig, base: Path) -> RawTable | Dataset:
    if config.name is not None:
        return read_shipped(config.name, config.features, config.target, config.task)
    if config.path is None:
        raise DataError("`data` must have a `name` or a `path`, but got neither")
    path = _found(config.path, base)
    suffix = path.suffix.lower()
    if suffix not in (*READERS, *IN_BLOCKS):
        raise DataError(f"`data.path` must end in {', '.join((*READERS, *IN_BLOCKS))}, but got {config.path!r}")
    try:
        if suffix in READERS:
            table = READERS[suffix](path, config.features, config.target, config.task)
        else:
            blocks = _blocks(path, config, base)
            if is_streamed(config.path, config.stream):
                return survey(blocks, config)
            table = _joined(blocks)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read: {error.strerror or error}") from None
    if not table.X.size:
        raise DataError(f"{path}: must hold a row and a feature at least, but got shape {table.X.shape}")
    return table


def _found(path: str, base: Path) -> Path:
    tried = [base / path, Path(path)]
    return next((path for path in tried if path.exists()), tried[0])


def _blocks(path: Path, config: DataConfig, base: Path) -> Blocks:
    if path.suffix.lower() == ".parquet":
        return open_parquet(path, config.features, config.target)
    target_path = None if config.target_path is None else _found(config.target_path, base)
    return open_npy(path, target_path, config.features, config.target)


def _joined(blocks: Blocks) -> RawTable:
    """All of the blocks, in memory."""
    X, y = (np.concatenate(parts) for parts in zip(*map(blocks.checked, range(len(blocks))), strict=True))
    target = y.tolist() if y.dtype.kind in "OU" else y
    return RawTable(blocks.path.stem, blocks.feature_names, X, blocks.target_name, target)


def _decide(table: RawTable, task: Task | None) -> tuple[Task, np.ndarray, tuple[str, ...]]:
    """The task, the target as float64 numbers or int64 class indices, and the class names."""
    is_text = isinstance(table.target, list)
    target = np.array(table.target, dtype=object) if is_text else np.asarray(table.target)
    values, indices = np.unique(target, return_inverse=True)
    task, class_names = decide(values, len(target), task, table.target_name)
    return task, indices.astype(np.int64) if class_names else target.astype(np.float64), class_names


def _split(
    strata: Int64[np.ndarray, " N"], fraction: float, seed: int
) -> tuple[Int64[np.ndarray, " T"], Int64[np.ndarray, " V"]]:
    """Training and validation rows, in one permutation's order; `fraction` of each stratum is held out."""
    order = np.random.default_rng(seed).permutation(len(strata))
    by_stratum = order[np.argsort(strata[order], kind="stable")]
    held_out = np.zeros(len(strata), bool)
    for rows in np.split(by_stratum, np.cumsum(np.bincount(strata))[:-1]):
        held_out[rows[: round(fraction * len(rows))]] = True
    return order[~held_out[order]], order[held_out[order]]


def _standardize(
    values: Num[np.ndarray, "N d"], train: Int64[np.ndarray, " T"], wanted: bool, names: Sequence[str]
) -> tuple[Num[np.ndarray, "N d"], Float64[np.ndarray, " d"], Float64[np.ndarray, " d"]]:
    """The values in units of the training rows' deviations from their mean, that mean, and that unit."""
    if not wanted:
        return values, np.zeros(len(names)), np.ones(len(names))
    part = values[train]
    constant = part.min(axis=0) == part.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = np.where(constant, part[0], part.mean(axis=0))
        scale = np.where(constant, 1.0, part.std(axis=0))
        scale[scale == 0] = 1.0  # of values so close that their squared deviations underflow
        scaled = (values - mean) / scale
    too_large = ~(np.isfinite(scale) & np.isfinite(scaled).all(axis=0))
    if too_large.any():
        column = int(np.argmax(too_large))
        largest = np.abs(values[:, column]).max()
        raise DataError(f"`{names[column]}` must hold smaller numbers to be standardised, but got {largest:g}")
    return scaled, mean, scale
