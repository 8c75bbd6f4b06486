import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import configure

from jmc.train.config.loading import to_toml
from jmc.train.config.schema import LogConfig
from jmc.train.persistence.record import sha256
from jmc.train.run import run

rng = np.random.default_rng(0)
FEATURES = rng.normal(size=(30, 2))
TARGET = 5 + FEATURES @ [2.0, -1.0] + 0.1 * rng.normal(size=30)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same numbers as a .csv and as a .npz."""
    folder = tmp_path_factory.mktemp("data")
    rows = [f"{a!r},{b!r},{y!r}" for (a, b), y in zip(FEATURES.tolist(), TARGET.tolist(), strict=True)]
    (folder / "own.csv").write_text("\n".join(["a,b,y", *rows]) + "\n")
    np.savez(folder / "own.npz", X=FEATURES, y=TARGET)
    return folder


BATCHES = {"batch_size": 8, "schedule": "cosine", "warmup_steps": 3}


def config(path, seed=0, dtype="float32", every=0, batch_size="full", **optimizer):
    return configure(
        data={"path": str(path), "target": "y"},
        optimizer={"learning_rate": 0.05, "kind": "momentum"} | optimizer,
        train={"steps": 23, "batch_size": batch_size, "log_every": 5, "seed": seed, "dtype": dtype},
        checkpoint={"every_steps": every, "keep": 2},
    )


def trained(config, directory, code=0):
    """Trains quietly, and returns result.json."""
    assert run(config, run_dir=directory, dry_run=False, as_json=False, quiet=True) == code
    return json.loads((directory / "result.json").read_text(), parse_constant=pytest.fail)


SECONDS = ("seconds", "steps_per_second")


def rows(directory, but=()):
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=pytest.fail) for line in lines]
    steps = [row["step"] for row in found]
    assert steps == sorted(set(steps))
    return [{key: value for key, value in row.items() if key not in but} for row in found]


def parameters(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "first"
    asked = config(data / "own.csv", every=10, **BATCHES)
    return asked, directory, trained(asked, directory)


class TestDirectory:
    def test_files(self, first):
        _, directory, _ = first
        assert names(directory) == [
            ".lock",
            "checkpoints",
            *(
                f"checkpoints/step-0000000000{step}{file}"
                for step in (20, 23)
                for file in ("", "/SHA256SUMS", "/about.json", "/arrays.npz")
            ),
            "config.toml",
            "metrics.jsonl",
            "parameters.npz",
            "report.html",
            "result.json",
            "run.json",
        ]

    def test_config(self, first):
        asked, directory, _ = first
        assert (directory / "config.toml").read_text() == to_toml(asked)

    def test_metrics(self, first):
        _, directory, result = first
        found = rows(directory)
        assert [row["step"] for row in found] == [5, 10, 15, 20, 23]
        for row in found:
            assert {*row} == {
                *("step", "loss", "learning_rate", "seconds", "steps_per_second"),
                *(f"validation_{name}" for name in ("loss", "r2", "rmse", "mae")),
                *(f"{kind}_norm/{name}" for kind in ("gradient", "parameter") for name in ("w", "b")),
            }
            cosine = 0.05 * (1 + math.cos(math.pi * (row["step"] - 1 - 3) / 20)) / 2
            assert row["learning_rate"] == pytest.approx(cosine, abs=1e-8)
            assert row["steps_per_second"] == pytest.approx(row["step"] / row["seconds"])
        assert found[-1]["validation_loss"] == result["validation"]["loss"]
        last = parameters(directory / "parameters.npz")
        for name, array in last.items():
            assert found[-1][f"parameter_norm/{name}"] == pytest.approx(np.linalg.norm(array), rel=1e-6)
            assert found[-1][f"gradient_norm/{name}"] > 0

    def test_result(self, first):
        _, directory, result = first
        assert result["status"] == "done"
        assert result["diverged_at_step"] is None
        assert (result["steps"], result["parameters"], result["seed"]) == (23, 3, 0)
        assert (result["name"], result["data"], result["model"], result["task"]) == (
            "test",
            "own",
            "neuron",
            "regression",
        )
        assert (result["dtype"], result["gradient"]) == ("float32", "closed_form")
        assert {*result["train"]} == {*result["validation"]} == {"loss", "r2", "rmse", "mae"}
        assert {*result["versions"]} == {"jmc", "python", "jax", "jaxlib", "optax", "numpy"}
        assert result["versions"]["jax"] == jax.__version__
        assert result["device"].startswith(jax.devices()[0].platform.upper())
        assert Path(result["report"]).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        assert Path(result["run_dir"]) == directory
        assert {*result["gradient_checks"]} == {"w", "b"}
        assert all(check["normwise"] < 1e-5 for check in result["gradient_checks"].values())
        timings = result["timings"]
        assert timings["microseconds_per_step"] == pytest.approx(1e6 * timings["run_seconds"] / 23)
        parts = timings["load_seconds"] + timings["compile_seconds"] + timings["run_seconds"]
        assert 0 < parts < timings["total_seconds"]

    def test_parameters(self, first):
        _, directory, result = first
        found = parameters(directory / "parameters.npz")
        assert {name: (a.shape, str(a.dtype)) for name, a in found.items()} == {
            "w": ((2,), "float32"),
            "b": ((), "float32"),
        }
        assert result["params_sha256"] == sha256(found)

    def test_metrics_of_the_saved_parameters(self, first, data):
        from jmc.train.data.loading import load

        asked, directory, result = first
        found, split = parameters(directory / "parameters.npz"), load(asked.data, data)
        for part, X, y in (("train", split.X_train, split.y_train), ("validation", split.X_valid, split.y_valid)):
            prediction = np.maximum(X @ found["w"] + found["b"], 0)
            assert result[part]["loss"] == pytest.approx(np.mean((y - prediction) ** 2), rel=1e-5)
            assert result[part]["rmse"] == pytest.approx(result[part]["loss"] ** 0.5, rel=1e-5)
            assert result[part]["mae"] == pytest.approx(np.mean(np.abs(y - prediction)), rel=1e-5)

    def test_a_checkpoint_holds_the_parameters_of_its_step(self, first):
        _, directory, _ = first
        earlier, end = (parameters(directory / f"checkpoints/step-0000000000{step}/arrays.npz") for step in (20, 23))
        for name, array in parameters(directory / "parameters.npz").items():
            np.testing.assert_array_equal(end[f"parameters/{name}"], array)
            assert np.any(earlier[f"parameters/{name}"] != array)


def test_the_same_seed_means_the_same_bits(first, data, tmp_path):
    """From another kind of file, in other chunks, in a process in double precision."""
    _, _, result = first
    with jax.enable_x64(True):
        again = config(data / "own.npz", every=7, **BATCHES)
        assert trained(again, tmp_path / "again")["params_sha256"] == result["params_sha256"]
        assert jnp.zeros(()).dtype == "float64"
    assert rows(tmp_path / "again", but=SECONDS) == rows(first[1], but=SECONDS)


def test_another_seed_means_others(first, data, tmp_path):
    other = config(data / "own.csv", seed=1, **BATCHES)
    assert trained(other, tmp_path / "other")["params_sha256"] != first[2]["params_sha256"]
    assert [path.name for path in (tmp_path / "other" / "checkpoints").iterdir()] == ["step-000000000023"]


class TestEvaluation:
    def test_only_every_so_many_steps_and_at_the_end(self, first, data, tmp_path):
        asked, _, result = first
        rare = replace(asked, train=asked.train.model_copy(update={"evaluate_every": 8}))
        assert trained(rare, tmp_path / "run")["params_sha256"] == result["params_sha256"]
        found = {row["step"]: row for row in rows(tmp_path / "run")}
        assert [*found] == [5, 8, 10, 15, 16, 20, 23]
        assert [step for step, row in found.items() if "validation_r2" in row] == [8, 16, 23]


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    drawn = np.random.default_rng(1)
    X = drawn.normal(size=(40, 5))
    np.savez(folder / "noise.npz", X=X, y=X[:, 0] + drawn.normal(size=40))
    return folder


class TestEarlyStopping:
    def config(self, noise, **train):
        """A neuron that has learnt its part by heart after some steps, and then gets worse on the other."""
        return configure(
            data={"path": str(noise / "noise.npz"), "validation_fraction": 0.5},
            model={"kind": "network", "widths": [32], "activation": "tanh"},
            optimizer={"learning_rate": 0.01, "kind": "adam"},
            train={"steps": 300, "log_every": 5} | train,
        )

    def test_it_ends_and_keeps_the_best_parameters(self, noise, tmp_path, capsys):
        result = trained(self.config(noise, patience=4), tmp_path / "run")
        found = rows(tmp_path / "run")
        losses = [row["validation_loss"] for row in found]
        best = int(np.argmin(losses))
        assert len(found) == best + 5 < 60
        assert result["stopped_early"]
        assert result["steps"] == found[-1]["step"]
        assert result["parameters_step"] == found[best]["step"]
        assert result["best"] == {"watch": "validation_loss", "step": found[best]["step"], "value": losses[best]}
        assert result["validation"]["loss"] == losses[best]
        whole = trained(self.config(noise, steps=result["parameters_step"]), tmp_path / "whole")
        assert whole["params_sha256"] == result["params_sha256"]
        assert (whole["stopped_early"], whole["best"], whole["parameters_step"]) == (False, None, whole["steps"])
        out = capsys.readouterr().out.splitlines()[0]
        assert out.startswith(f"kept        the parameters of step {best * 5 + 5}, whose validation loss ")
        assert out.endswith(f"is the best; it was no better by step {result['steps']}, which ended training")
        page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert "the best by validation loss, which was then no better" in page

    def test_the_best_are_kept_where_it_runs_to_its_end(self, noise, tmp_path):
        result = trained(self.config(noise, patience=1000, watch="validation_r2"), tmp_path / "run")
        values = [row["validation_r2"] for row in rows(tmp_path / "run")]
        assert (result["stopped_early"], result["steps"]) == (False, 300)
        assert result["best"]["value"] == max(values) == result["validation"]["r2"]

    def test_the_best_are_kept_where_it_diverges(self, noise, tmp_path):
        wild = self.config(noise, patience=1000, watch="loss", log_every=1)
        wild = replace(wild, optimizer=wild.optimizer.model_copy(update={"kind": "sgd", "learning_rate": 2.0}))
        result = trained(wild, tmp_path / "run", code=5)
        losses = [row["loss"] for row in rows(tmp_path / "run")]
        assert result["parameters_step"] == result["best"]["step"] == int(np.argmin(losses)) + 1 < result["steps"]


class TestSinks:
    def test_a_row_of_csv_for_each_of_json(self, first, data, tmp_path):
        asked, _, _ = first
        asked = replace(asked, train=asked.train.model_copy(update={"evaluate_every": 8}), log=LogConfig(csv=True))
        trained(asked, tmp_path / "run")
        with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
            table = [{key: float(cell) for key, cell in row.items() if cell} for row in csv.DictReader(file)]
        assert table == rows(tmp_path / "run")

    def test_a_sink_without_its_package(self, data, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("jmc.train.data.extras.find_spec", lambda _: None)
        asked = replace(config(data / "own.csv"), log=LogConfig(tensorboard=True))
        assert run(asked, run_dir=tmp_path / "run", dry_run=False, as_json=False, quiet=True) == 2
        assert capsys.readouterr().err == (
            "jmc: `log.tensorboard` = true needs the package tensorboardX, which is not there: "
            "pip install 'jmc[tensorboard]'\n"
        )
        assert not (tmp_path / "run").exists()


class TestDtypes:
    def test_float64_here_alone(self, first, data, tmp_path):
        result = trained(config(data / "own.csv", dtype="float64", **BATCHES), tmp_path / "run")
        assert jnp.zeros(()).dtype == "float32"
        found = parameters(tmp_path / "run" / "parameters.npz")
        assert {str(array.dtype) for array in found.values()} == {"float64"}
        assert np.any(found["w"] != found["w"].astype(np.float32))
        assert all(check["normwise"] < 1e-12 for check in result["gradient_checks"].values())
        # the same batches from the same start: the trajectory of float32, but for its rounding
        single = parameters(first[1] / "parameters.npz")
        np.testing.assert_allclose(single["w"], found["w"], rtol=1e-5)

    def test_micro_batches_take_the_same_steps(self, data, tmp_path):
        """In float64, up to rounding: of 24 training rows in 1 part and in 3, of batches of 8 in 1 part and in 4."""
        for batch_size, parts in (("full", 3), (8, 4)):
            found = []
            for microbatches in (1, parts):
                asked = config(data / "own.csv", dtype="float64", batch_size=batch_size)
                asked = replace(asked, train=asked.train.model_copy(update={"microbatches": microbatches}))
                trained(asked, tmp_path / f"{batch_size}-{microbatches}")
                found.append(parameters(tmp_path / f"{batch_size}-{microbatches}" / "parameters.npz"))
            for name, array in found[0].items():
                np.testing.assert_allclose(found[1][name], array, rtol=1e-12)

    def test_computing_in_bfloat16_keeps_float32_parameters(self, first, data, tmp_path):
        asked, _, _ = first
        asked = replace(asked, train=asked.train.model_copy(update={"compute_dtype": "bfloat16"}))
        result = trained(asked, tmp_path / "run")
        assert (result["dtype"], result["compute_dtype"]) == ("float32", "bfloat16")
        found = parameters(tmp_path / "run" / "parameters.npz")
        assert {str(array.dtype) for array in found.values()} == {"float32"}
        assert np.any(found["w"] != found["w"].astype("bfloat16").astype(np.float32))
        np.testing.assert_allclose(found["w"], parameters(first[1] / "parameters.npz")["w"], rtol=0.05)
        assert all(check["normwise"] < 0.02 for check in result["gradient_checks"].values())
        assert "float32 (computed in bfloat16)" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    def test_bfloat16_is_saved_exactly(self, data, tmp_path):
        result = trained(config(data / "own.csv", dtype="bfloat16"), tmp_path / "run")
        found = parameters(tmp_path / "run" / "parameters.npz")
        assert {str(array.dtype) for array in found.values()} == {"float32"}
        exact = {name: array.astype("bfloat16") for name, array in found.items()}
        for name, array in exact.items():
            np.testing.assert_array_equal(array.astype(np.float32), found[name])
        assert result["params_sha256"] == sha256(exact)


class TestDivergence:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_the_last_good_parameters_are_kept(self, data, tmp_path, capsys, dtype):
        wild = configure(
            data={"path": str(data / "own.csv"), "target": "y"},
            model={"kind": "neuron", "activation": "identity"},
            optimizer={"learning_rate": 1e6},
            train={"steps": 100, "log_every": 5, "dtype": dtype},
            checkpoint={"every_steps": 5, "keep": 100},
        )
        result = trained(wild, tmp_path / "run", code=5)
        step = result["diverged_at_step"]
        assert result["status"] == "diverged"
        assert result["steps"] == step - 1 > 0
        assert (
            f"the loss is not finite at step {step}; kept the parameters of step {step - 1}" in capsys.readouterr().out
        )
        found = parameters(tmp_path / "run" / "parameters.npz")
        assert all(np.isfinite(array).all() for array in found.values())
        assert result["params_sha256"] == sha256(found)
        assert result["train"]["loss"] is not None
        assert rows(tmp_path / "run")[-1]["step"] in (step - 1, step)
        for checkpoint in (tmp_path / "run").glob("checkpoints/*/arrays.npz"):
            assert all(np.isfinite(array).all() for array in parameters(checkpoint).values())
        assert "diverged at step" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


class TestStorage:
    def test_a_report_that_cannot_be_written_leaves_the_rest(self, data, tmp_path, capsys, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device", "report.html")

        monkeypatch.setattr("jmc.train.persistence.record.Record.report", full)
        directory = tmp_path / "run"
        result = trained(config(data / "own.csv"), directory, code=6)
        assert result["status"] == "done"
        assert not (directory / "report.html").exists()
        assert re.fullmatch(r"jmc: the run cannot be written: .*report.*\n", capsys.readouterr().err)
        assert parameters(directory / "parameters.npz").keys() == {"w", "b"}

    def test_an_interrupt_leaves_whole_lines(self, data, tmp_path, monkeypatch):
        from jmc.train.persistence.record import Record

        write = Record.metrics

        def interrupted(record, row):
            write(record, row)
            if row["step"] == 10:
                raise KeyboardInterrupt

        monkeypatch.setattr(Record, "metrics", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config(data / "own.csv"), run_dir=tmp_path / "run", dry_run=False, as_json=False, quiet=True)
        assert [row["step"] for row in rows(tmp_path / "run")] == [5, 10]
        assert names(tmp_path / "run") == [".lock", "config.toml", "metrics.jsonl", "run.json"]


def test_runs_of_the_same_second_have_folders_of_their_own(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    monkeypatch.setattr("jmc.train.fit._fit", _interrupt)
    for name in ("test-20260101-000000", "test-20260101-000000-2"):
        with pytest.raises(KeyboardInterrupt):
            run(config(data / "own.csv"), run_dir=None, dry_run=False, as_json=False, quiet=True)
        assert names(tmp_path / "runs" / name) == [".lock", "config.toml", "metrics.jsonl", "run.json"]


def _interrupt(*_, **__):
    raise KeyboardInterrupt
