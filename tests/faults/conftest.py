"""A run that is quick: one neuron, few steps, compiled once for all, without its page."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from problems import configure
from small_runs import begin, come_of

from jmc.train import fit
from jmc.train.config.loading import to_toml
from jmc.train.learning import loop
from jmc.train.learning.evaluation import GradientCheck


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory):
    """What is compiled is kept on disk while these tests run: it gives the same bits."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compiled")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


CACHE = {}


def once(function, *key):
    """What the function answers for this key, by the config that `asked` is of; it is called once."""

    def call(*arguments):
        found = (function, *(part(*arguments) for part in key))
        if found not in CACHE:
            CACHE[found] = function(*arguments)
        return CACHE[found]

    return call


@pytest.fixture(autouse=True)
def traced_once(monkeypatch):
    """Functions of equal configs are the same objects, so that JAX traces them once; there is no page."""

    def problem_of(problem):
        return to_toml(problem.config)

    def draws(*arguments):
        batches = arguments[4]
        return jax.random.key_data(batches.key).tobytes(), batches.examples, batches.size

    for name, key in (("objective", problem_of), ("Evaluator", problem_of), ("build", repr)):
        monkeypatch.setattr(fit, name, once(getattr(fit, name), key))
    monkeypatch.setattr(fit, "schedule", once(fit.schedule, lambda config, steps: (repr(config), steps)))
    functions = (lambda objective, optimizer, rate, *_: (objective, optimizer, rate)), draws
    rest = lambda *arguments: (arguments[3], arguments[5])
    monkeypatch.setattr(loop, "make_chunk", once(loop.make_chunk, *functions, rest))
    check = GradientCheck("w", (2,), 1.0, 0.0, 0.0)
    monkeypatch.setattr(fit, "evaluate", lambda *_: SimpleNamespace(gradient_checks=(check,)))
    monkeypatch.setattr(fit, "render", lambda **_: "<p>the page</p>")


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """Data in a file."""
    path = tmp_path_factory.mktemp("data") / "own.npz"
    drawn = np.random.default_rng(0)
    X = drawn.normal(size=(30, 2))
    np.savez(path, X=X, y=5 + X @ [2.0, -1.0] + 0.1 * drawn.normal(size=30))
    return path


@pytest.fixture(scope="session")
def asked(own):
    """A config of 6 steps, a row after every third and a checkpoint after every second."""
    return configure(
        data={"path": str(own)},
        optimizer={"learning_rate": 0.05, "kind": "momentum"},
        train={"steps": 6, "batch_size": 8, "log_every": 3},
        checkpoint={"every_steps": 2, "every_seconds": 0, "keep": 2},
    )


@pytest.fixture
def whole(asked, tmp_path):
    """What the run without a break arrives at."""
    assert begin(asked, tmp_path / "whole") == 0
    return come_of(tmp_path / "whole")
