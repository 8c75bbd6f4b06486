"""From the shell: what a process takes until it has imported, helped, taken its first gradient, trained a model."""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from jmc.bench.case import Case, Contender, Draw, Series

# ruff: noqa: ARG001 - a series is asked for by size and dtype, and a process has neither
GRADIENT = "from jax.numpy import ones; {}(lambda x: (x * x).sum())(ones(5)).block_until_ready()"
CONFIG = """\
data.name = "diabetes"
model.kind = "neuron"
loss.kind = "mean_squared_error"
optimizer.learning_rate = 0.05
train.steps = 3000
"""
SKLEARN = """\
from sklearn.datasets import load_diabetes
from sklearn.linear_model import SGDRegressor
from sklearn.preprocessing import StandardScaler
X, y = load_diabetes(return_X_y=True)
SGDRegressor(max_iter=3000, tol=None).fit(StandardScaler().fit_transform(X), y)
"""


def process(*command: str, package: str = "jax") -> Contender:
    def run() -> None:
        subprocess.run([sys.executable, *command], check=True, capture_output=True)

    return Contender(run, package, compiled=False)


def helped(n: int, draw: Draw) -> Case:
    contenders = {
        "jmc": process("-m", "jmc", "--help", package="jmc"),
        "python -c pass": process("-c", "pass", package="hand"),
        "import jax": process("-c", "import jax"),
    }
    return Case((), contenders, None)


def first_gradient(n: int, draw: Draw) -> Case:
    contenders = {
        "jmc": process("-c", "import jmc; " + GRADIENT.format("jmc.grad"), package="jmc"),
        "jax.grad": process("-c", "import jax; " + GRADIENT.format("jax.grad")),
    }
    return Case((), contenders, None)


def trained(n: int, draw: Draw) -> Case:
    """3000 steps of a neuron on 442 patients, report and all; the second time with JAX's compilation cache."""
    contenders = {
        "jmc": Contender(partial(train, cache=False), "jmc", False, prepare=folder),
        "jmc, warm cache": Contender(partial(train, cache=True), "jmc", False, prepare=folder),
        "scikit-learn's SGD": process("-c", SKLEARN, package="sklearn"),
    }
    return Case((), contenders, None)


def folder(_: tuple[()]) -> tuple[tempfile.TemporaryDirectory[str]]:
    """One with the config, and room for runs and a cache; it goes with the contender."""
    made = tempfile.TemporaryDirectory(prefix="jmc-bench-")
    Path(made.name, "neuron.toml").write_text(CONFIG)
    return (made,)


def train(made: tempfile.TemporaryDirectory[str], *, cache: bool) -> None:
    own = {"JAX_COMPILATION_CACHE_DIR": made.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"} if cache else {}
    run = Path(made.name, f"run-{time.monotonic_ns()}")
    command = [sys.executable, "-m", "jmc", "train", f"{made.name}/neuron.toml", "--quiet", "--run-dir", str(run)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | own)


SERIES = {
    "--help": Series(helped, (1,), 1),
    "first gradient": Series(first_gradient, (1,), 1),
    "trained neuron": Series(trained, (1,), 1),
}
