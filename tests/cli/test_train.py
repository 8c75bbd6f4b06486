"""`jmc train` from the command line to its files, its two streams and its exit code."""

import json
from pathlib import Path

import numpy as np
import pytest

from jmc.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = """
[data]
path = "own.csv"
target = "y"
[model]
kind = "neuron"
[loss]
kind = "mean_squared_error"
[optimizer]
learning_rate = 0.05
[train]
steps = 20
"""
RESULTS = ("validation", "training", "time", "gradient", "report")


@pytest.fixture
def tiny(tmp_path):
    """A config, and beside it the data that it names: y = 5 + 2a − b."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 2)).round(3).tolist()
    rows = [f"{a},{b},{5 + 2 * a - b}" for a, b in features]
    (tmp_path / "own.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    (tmp_path / "tiny.toml").write_text(TINY)
    return tmp_path / "tiny.toml"


def jmc_train(capsys, config, *arguments, **values):
    """Exit code, standard output, standard error; `data__path=…` is `--set data.path=…`."""
    overrides = [f"--set={key.replace('__', '.')}={value}" for key, value in values.items()]
    code = main(["train", str(config), *arguments, *overrides])
    return code, *capsys.readouterr()


def refused(capsys, config, *arguments, **values):
    """The one line that a refusal says, in words and with `--json`."""
    run_dir = config.parent / "refused"
    code, out, err = jmc_train(capsys, config, "--run-dir", str(run_dir), *arguments, **values)
    assert (code, out) == (2, "")
    assert err.startswith("jmc: ")
    assert err.count("\n") == 1
    assert not run_dir.exists()
    code, out, again = jmc_train(capsys, config, "--run-dir", str(run_dir), "--json", *arguments, **values)
    assert (code, again) == (2, err)
    assert json.loads(out) == {"errors": [err[len("jmc: ") : -1]]}
    return err


def test_a_run_in_words(capsys, tiny, tmp_path):
    code, out, err = jmc_train(capsys, tiny, "--run-dir", str(tmp_path / "run"))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [*RESULTS]
    assert "loss" in out
    assert "R²" in out
    assert f"{tmp_path / 'run' / 'report.html'}\n" in out
    first, *lines = err.splitlines()
    assert first == (f"neuron on own · 3 parameters · 20 steps of sgd, full batch, float32 → {tmp_path / 'run'}")
    assert len(lines) == 10
    assert lines[-1].startswith("step 20/20 · ")


def test_json_is_result_json_in_the_default_directory(capsys, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = jmc_train(capsys, tiny, "--json", "--quiet", data__validation_fraction=0.0)
    assert (code, err) == (0, "")
    [directory] = (tmp_path / "runs").iterdir()
    assert directory.name.startswith("tiny-20")
    result = json.loads(out, parse_constant=pytest.fail)
    assert result == json.loads((directory / "result.json").read_text())
    assert out.count("\n") == 1
    assert result["validation"] is None


class TestDryRun:
    def test_in_words(self, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code, out, err = jmc_train(capsys, CONFIGS / "mlp_digits.toml", "--dry-run")
        assert (code, err) == (0, "")
        assert [line.split("  ")[0] for line in out.splitlines()] == [
            "data", "model", "parameters", "steps", "FLOPs per step", "memory",
        ]  # fmt: skip
        assert "W1 (64, 64) · b1 (64,) · W2 (10, 64) · b2 (10,)" in out
        assert "4,810" in out
        assert list(tmp_path.iterdir()) == []

    def test_in_json(self, capsys, tmp_path):
        run_dir = tmp_path / "run"
        config = CONFIGS / "mlp_digits.toml"
        code, out, _ = jmc_train(capsys, config, "--dry-run", "--json", "--run-dir", str(run_dir), train__batch_size=32)
        found = json.loads(out)
        assert code == 0
        assert found["parameters"] == 64 * 64 + 64 + 10 * 64 + 10
        assert found["flops_per_step"] == 2 * 32 * (2 * 64 * 64 + 3 * 64 * 10)
        assert found["shapes"]["W2"] == [10, 64]
        assert not run_dir.exists()

    @pytest.mark.parametrize(
        ("widths", "parameters"),
        [([8], 64 * 8 + 8 + 8 * 10 + 10), ([64, 64, 10], 2 * (64 * 64 + 64) + 650 + 110)],
    )
    def test_widths(self, capsys, widths, parameters):
        config = CONFIGS / "mlp_digits.toml"
        _, out, _ = jmc_train(capsys, config, "--dry-run", "--json", model__widths=widths)
        assert json.loads(out)["parameters"] == parameters


def test_a_deeper_network(capsys, tmp_path):
    code, out, _ = jmc_train(
        capsys, CONFIGS / "mlp_digits.toml", "--run-dir", str(tmp_path / "run"), "--json", "--quiet",
        model__widths=[64, 64, 10], train__steps=60, train__batch_size="full",
        optimizer__kind="sgd", optimizer__schedule="constant", optimizer__learning_rate=0.2,
    )  # fmt: skip
    assert code == 0
    assert json.loads(out)["validation"]["accuracy"] > 0.3  # a tenth would be chance


def test_a_network_without_hidden_layers_is_a_layer(capsys):
    code, _, err = jmc_train(capsys, CONFIGS / "mlp_digits.toml", model__widths="[]")
    assert code == 2
    assert (
        err
        == "--set: `model.widths` = []: a network needs its hidden widths, for example [64]; without any it is a layer\n"
    )


class TestRefusals:
    def test_a_run_that_is_there(self, capsys, tiny, tmp_path):
        run_dir = tmp_path / "run"
        run_dir.mkdir()
        (run_dir / "result.json").write_text("precious")
        code, out, err = jmc_train(capsys, tiny, "--run-dir", str(run_dir))
        assert (code, out) == (2, "")
        assert err == f"jmc: `--run-dir` must be a directory without a run, but got {run_dir}, which has result.json\n"
        assert [path.name for path in run_dir.iterdir()] == ["result.json"]
        assert (run_dir / "result.json").read_text() == "precious"

    def test_data_that_are_not_finite(self, capsys, tiny, tmp_path):
        (tmp_path / "own.csv").write_text("a,b,y\n1,2,3\n4,nan,6\n")
        assert refused(capsys, tiny) == (
            f"jmc: {tmp_path}/own.csv:3: column `b`: must be a finite number, but got 'nan'\n"
        )

    def test_data_that_are_too_large(self, capsys, tiny, tmp_path):
        (tmp_path / "own.csv").write_text("a,b,y\n1,2,3\n4,1e39,6\n7,8,9\n")
        assert refused(capsys, tiny, data__standardize="false").startswith(
            "jmc: `b` must hold numbers of at most 3.4e+38 to be read as float32, but got 1e+39"
        )

    def test_a_loss_that_does_not_suit_the_data(self, capsys, tiny):
        err = refused(capsys, tiny, loss__kind="hinge", model__activation="identity")
        assert "for a target of values, `y`, but got hinge" in err

    @pytest.mark.parametrize(
        "values",
        [
            {"model__kind": "network", "model__widths": "[1000000, 1000000]"},
            {"train__batch_size": 10**9, "train__steps": 10**9, "train__log_every": 10**9},
        ],
    )
    def test_sizes_beyond_the_memory(self, capsys, tiny, values):
        assert "must fit into memory" in refused(capsys, tiny, **values)
        assert "must fit into memory" in refused(capsys, tiny, "--dry-run", **values)

    def test_more_steps_than_can_be_counted(self, capsys, tiny):
        err = refused(capsys, tiny, train__epochs=10**9, train__batch_size=1)
        assert "`train.epochs` must give at most 1,000,000,000 steps" in err


def test_a_directory_that_cannot_be_written(capsys, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, err = jmc_train(capsys, tiny, "--run-dir", str(tmp_path / "file"))
    assert (code, out) == (6, "")
    assert err == f"jmc: the run cannot be written: [Errno 17] File exists: '{tmp_path / 'file'}'\n"
    assert (tmp_path / "file").read_text() == ""


def test_divergence_is_5(capsys, tiny, tmp_path):
    code, out, err = jmc_train(
        capsys, tiny, "--run-dir", str(tmp_path / "run"), "--quiet",
        model__activation="identity", optimizer__learning_rate=1e6, train__log_every=2,
    )  # fmt: skip
    assert (code, err) == (5, "")
    diverged, *lines = out.splitlines()
    assert diverged.startswith("diverged    the loss is not finite at step ")
    assert "Try a smaller optimizer.learning_rate" in diverged
    assert [line.split()[0] for line in lines] == [*RESULTS]


def test_an_interrupt_is_130(capsys, tiny, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("jmc.train.persistence.record.Record.parameters", interrupted)
    code, out, err = jmc_train(capsys, tiny, "--run-dir", str(tmp_path / "run"), "--quiet")
    assert (code, out, err) == (130, "", "jmc: interrupted\n")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [*range(1, 21)]
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_file_that_is_streamed(capsys, tiny, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    X[:, 2] = 5 + X[:, 0] - X[:, 1]
    np.save(tmp_path / "own.npy", X)
    streamed = {"data__path": "own.npy", "data__target": "X[2]", "train__batch_size": 8}
    code, out, err = jmc_train(capsys, tiny, "--dry-run", **streamed)
    assert code == 0
    assert err == f"one pass over {tmp_path / 'own.npy'} …\n"
    assert "examples of 2 features, regression, streamed" in out.splitlines()[0]
    code, out, err = jmc_train(capsys, tiny, "--run-dir", str(tmp_path / "run"), "--quiet", **streamed)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [*RESULTS]
    assert refused(capsys, tiny, "--quiet", **streamed | {"data__target": "X[3]"}).startswith(
        f"jmc: {tmp_path / 'own.npy'}: `data.target` must be among 'X[0]', 'X[1]', 'X[2]', but got 'X[3]'"
    )
