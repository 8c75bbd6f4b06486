"""Configs and data sets for tests: small, in memory, drawn on the host."""

from pathlib import Path

import numpy as np

from jmc.train.config.schema import TABLES, Config
from jmc.train.data.blocks import Blocks
from jmc.train.data.dataset import Dataset
from jmc.train.data.survey import survey

REQUIRED = {
    "data": {"path": "/none.npz"},
    "model": {"kind": "neuron"},
    "loss": {"kind": "mean_squared_error"},
    "optimizer": {"learning_rate": 0.1},
    "train": {"steps": 10},
}


def configure(**tables: dict) -> Config:
    """A config with the keys given, by table, over those that a config must have."""
    if "epochs" in tables.get("train", {}):
        tables["train"] = {"steps": None} | tables["train"]
    return Config(
        **{name: model(**REQUIRED.get(name, {}) | tables.get(name, {})) for name, model in TABLES.items()}, name="test"
    )


def dataset(N: int = 12, d: int = 3, classes: int = 0, M: int = 4, seed: int = 0, **fields) -> Dataset:
    """N training and M validation examples of d features; classes 0 means a target of values."""
    rng = np.random.default_rng(seed)
    X, noise = rng.normal(size=(N + M, d)), rng.normal(size=N + M)
    y = np.arange(N + M) % classes if classes else 3.0 + X.sum(axis=1) + 0.1 * noise
    made = {
        "name": "made",
        "task": "classification" if classes else "regression",
        "feature_names": tuple(f"x{i}" for i in range(d)),
        "target_name": "y",
        "class_names": tuple(f"class {i}" for i in range(classes)),
        "X_train": X[:N],
        "y_train": y[:N],
        "X_valid": X[N:],
        "y_valid": y[N:],
        "feature_mean": np.zeros(d),
        "feature_scale": np.ones(d),
        "target_mean": 0.0,
        "target_scale": 1.0,
    }
    return Dataset(**made | fields)


def blocks_of(X, y, block: int) -> Blocks:
    """A table in memory that is read in blocks of so many rows."""
    starts = np.append(np.arange(0, len(X), block), len(X))
    names = tuple(f"x{j}" for j in range(X.shape[1]))
    return Blocks(
        Path("made"), names, "y", starts, lambda at: (X[starts[at] : starts[at + 1]], y[starts[at] : starts[at + 1]])
    )


def streamed(N: int = 97, block: int = 7, X=None, y=None, **keys) -> Dataset:
    """A data set that is streamed; of N rows, each with its number as the only feature and as its target."""
    X = np.arange(float(N))[:, None] if X is None else X
    y = X[:, 0] if y is None else y
    config = configure(data={"standardize": False} | keys).data
    return survey(blocks_of(X, y, block), config)
