"""Configs and data sets for tests: small, in memory, drawn on the host."""

import numpy as np

from jmc.train.data import Dataset
from jmc.train.schema import TABLES, Config

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
