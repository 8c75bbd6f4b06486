"""Every test runs with JAX's strictest settings; float64 is entered locally, with `jax.enable_x64(True)`."""

import signal

import jax
import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell leaves it to what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def strict_jax():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def own_rules(monkeypatch):
    """Rules that the test registers are known to it alone."""
    from jmc.catalogue.registry import rules

    rules.records()
    for name in ("_rules", "_keys"):
        monkeypatch.setattr(rules, name, dict(getattr(rules, name)))
    return rules
