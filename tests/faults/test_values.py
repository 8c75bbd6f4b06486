"""Numbers and sizes that no run survives, and what is said of them."""

import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import configure
from small_runs import begin, go_on

from jmc.cli import main
from jmc.train import fit
from jmc.train.config.loading import to_toml
from jmc.train.learning.loop import Batches
from jmc.train.persistence import checkpoint


class Planted(fit.Evaluator):
    """The data with one value that is not a number, which no file can bring in."""

    def arrays(self, X, y):
        X, y = super().arrays(X, y)
        return X.at[3, 1].set(jnp.nan), y


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("every", [0, 1, 3])
def test_nan_at_step_k(own, tmp_path, monkeypatch, capsys, seed, every):
    """The step is the first that draws the example, whatever was saved before it."""
    asked = configure(
        data={"path": str(own)},
        optimizer={"learning_rate": 0.01},
        train={"steps": 60, "batch_size": 2, "log_every": 4, "seed": seed},
        checkpoint={"every_steps": every, "keep": 3},
    )
    drawn = np.asarray(Batches(jax.random.key(seed), 24, 2).indices(jnp.arange(60, dtype=jnp.int32)))
    k = int(np.flatnonzero((drawn == 3).any(axis=1))[0])
    monkeypatch.setattr(fit, "Evaluator", Planted)
    assert begin(asked, tmp_path / "run") == 5
    kept = max(k - 1, 0)
    expected = f"diverged    the loss is not finite at step {k}; kept the parameters of step {kept}. "
    assert capsys.readouterr().out.startswith(expected)
    for step in checkpoint.steps(tmp_path / "run" / "checkpoints"):
        assert step <= k
        checkpoint.verify(tmp_path / "run" / "checkpoints", step)
    (tmp_path / "run" / "result.json").unlink()
    assert go_on(asked, tmp_path / "run") == 5
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.parametrize("error", [MemoryError(), jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")])
def test_memory_that_runs_out(asked, tmp_path, monkeypatch, capsys, error):
    def train(*_, **__):
        raise error

    monkeypatch.setattr(fit, "train", train)
    assert begin(asked, tmp_path / "run") == 2
    said = "jmc: the memory of the device must suffice for `model.widths` and `train.batch_size`, but it ran out\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("widths", "says"),
    [
        ("[1000000000000]", "`model.widths[0]` = 1000000000000: must be an integer from 1 to 10**6"),
        ("[1000000, 1000000]", "need about 1"),
        (f"[{', '.join(['1000000'] * 1000)}]", "must fit into memory"),
    ],
)
def test_a_million_million_units(own, tmp_path, capsys, widths, says):
    (tmp_path / "large.toml").write_text(to_toml(configure(data={"path": str(own)})))
    arguments = ["train", str(tmp_path / "large.toml"), "--run-dir", str(tmp_path / "run"), "--set=model.kind=network"]
    tracemalloc.start()
    try:
        assert main([*arguments, f"--set=model.widths={widths}"]) == 2
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "run").exists()
