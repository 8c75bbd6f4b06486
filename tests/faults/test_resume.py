"""A run that is resumed: where it goes on, from what, and when it is refused."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from problems import configure
from small_runs import begin, come_of, go_on, left_over

from jmc.train.persistence import checkpoint


def config_of(path, steps=12, **tables):
    return configure(
        data={"path": str(path)} | tables.pop("data", {}),
        optimizer={"learning_rate": 0.05, "kind": "adam"} | tables.pop("optimizer", {}),
        train={"steps": steps, "batch_size": 8, "log_every": 5} | tables.pop("train", {}),
        checkpoint={"every_steps": 4, "every_seconds": 0, "keep": 3} | tables.pop("checkpoint", {}),
        **tables,
    )


def unfinish(directory, step):
    """Leaves a run as if it had ended after a checkpoint."""
    for later in checkpoint.steps(directory / "checkpoints"):
        if later > step:
            checkpoint.set_aside(directory / "checkpoints", later)
    for name in ("result.json", "report.html", "parameters.npz"):
        (directory / name).unlink()


@pytest.fixture
def run_dir(own, tmp_path):
    """A run of 12 steps, and what it arrived at."""
    assert begin(config_of(own), tmp_path / "run") == 0
    return tmp_path / "run"


class TestGoingOn:
    def test_from_the_middle(self, own, run_dir, capsys):
        whole = come_of(run_dir)
        unfinish(run_dir, 4)
        assert go_on(config_of(own), run_dir) == 0
        assert come_of(run_dir) == whole
        result = json.loads((run_dir / "result.json").read_text())
        assert (result["resumed_at_step"], result["departures"], result["name"]) == (4, [], "test")
        assert capsys.readouterr().err == ""
        assert left_over(run_dir) == []

    def test_from_the_end(self, own, run_dir):
        """Where the last checkpoint was saved, but nothing after it."""
        whole = come_of(run_dir)
        unfinish(run_dir, 12)
        assert go_on(config_of(own), run_dir) == 0
        assert come_of(run_dir) == whole

    def test_from_the_beginning_where_there_is_no_checkpoint(self, own, run_dir, capsys):
        whole = come_of(run_dir)
        unfinish(run_dir, 0)
        assert go_on(config_of(own), run_dir) == 0
        assert come_of(run_dir) == whole
        assert json.loads((run_dir / "result.json").read_text())["resumed_at_step"] is None

    def test_a_finished_run_is_left_alone(self, own, run_dir, capsys):
        before = {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.name != ".lock"}
        capsys.readouterr()
        assert go_on(config_of(own), run_dir) == 0
        out, err = capsys.readouterr()
        assert err == f"jmc: {run_dir} is finished; to go on, --set train.steps to more than 12\n"
        assert out.startswith("validation")
        assert {path: path.stat().st_mtime_ns for path in run_dir.rglob("*") if path.name != ".lock"} == before

    def test_a_finished_run_goes_on_for_more_steps(self, own, run_dir, tmp_path):
        more = config_of(own, steps=20)
        assert go_on(more, run_dir) == 0
        assert begin(more, tmp_path / "whole") == 0
        params, rows = come_of(run_dir)
        whole_params, whole_rows = come_of(tmp_path / "whole")
        assert params == whole_params
        assert [row["step"] for row in rows] == [5, 10, 12, 15, 20]
        assert rows[-1] == whole_rows[-1]
        assert (run_dir / "config.toml").read_text() == (tmp_path / "whole" / "config.toml").read_text()
        assert json.loads((run_dir / "result.json").read_text())["departures"] == []

    def test_early_stopping_goes_on_where_it_was(self, own, tmp_path, capsys):
        config = config_of(own, steps=200, train={"patience": 2, "log_every": 3}, optimizer={"learning_rate": 0.3})
        config = replace(config, checkpoint=config.checkpoint.model_copy(update={"keep": 1000}))
        assert begin(config, tmp_path / "run") == 0
        whole = come_of(tmp_path / "run")
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        assert result["stopped_early"]
        assert result["steps"] < 200
        saved = checkpoint.steps(tmp_path / "run" / "checkpoints")
        for step in (saved[0], saved[1], saved[len(saved) // 2]):
            unfinish(tmp_path / "run", step)
            assert go_on(config, tmp_path / "run") == 0
            assert come_of(tmp_path / "run") == whole
            again = json.loads((tmp_path / "run" / "result.json").read_text())
            assert {key: again[key] for key in ("best", "stopped_early", "steps", "parameters_step")} == {
                key: result[key] for key in ("best", "stopped_early", "steps", "parameters_step")
            }
        capsys.readouterr()
        assert go_on(config, tmp_path / "run") == 0
        assert capsys.readouterr().err.endswith("is finished; early stopping ended it\n")

    def test_another_period_of_saving_changes_no_bit(self, own, run_dir):
        whole = come_of(run_dir)
        unfinish(run_dir, 4)
        assert go_on(config_of(own, checkpoint={"every_steps": 1, "keep": 1}), run_dir) == 0
        assert come_of(run_dir) == whole

    def test_a_diverged_run_is_refused(self, own, tmp_path, capsys):
        config = config_of(
            own, model={"kind": "neuron", "activation": "identity"}, optimizer={"kind": "sgd", "learning_rate": 1e6}
        )
        assert begin(config, tmp_path / "run") == 5
        capsys.readouterr()
        assert go_on(config, tmp_path / "run") == 5
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"jmc: .*/run diverged at step \d+, so that no step follows; begin another run .*\n", err)


class TestDamage:
    def damage(self, run_dir, *steps):
        for step in steps:
            path = run_dir / "checkpoints" / f"step-{step:012d}" / "arrays.npz"
            path.write_bytes(path.read_bytes()[:-7])

    def test_the_one_before_is_taken(self, own, run_dir, capsys):
        whole = come_of(run_dir)
        unfinish(run_dir, 12)
        self.damage(run_dir, 12, 8)
        capsys.readouterr()
        assert go_on(config_of(own), run_dir) == 0
        assert capsys.readouterr().err == "".join(
            f"jmc: the checkpoint of step {step} is damaged: arrays.npz is not as it was written\n" for step in (12, 8)
        )
        assert come_of(run_dir) == whole
        assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == [
            "step-000000000004", "step-000000000008", "step-000000000008.damaged",
            "step-000000000012", "step-000000000012.damaged",
        ]  # fmt: skip

    def test_none_is_left(self, own, run_dir, capsys):
        unfinish(run_dir, 12)
        self.damage(run_dir, 12, 8, 4)
        before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
        capsys.readouterr()
        assert go_on(config_of(own), run_dir) == 6
        *_, last = capsys.readouterr().err.splitlines()
        folder = run_dir / "checkpoints"
        assert (
            last
            == f"jmc: no checkpoint in {folder} can be used; start again with `jmc train {run_dir / 'config.toml'}`"
        )
        assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before

    def test_one_of_another_shape_is_passed_over(self, own, run_dir, capsys):
        """Whose sums are right: it was so written."""
        whole = come_of(run_dir)
        unfinish(run_dir, 12)
        found = checkpoint.verify(run_dir / "checkpoints", 12)
        with np.load(found.path / "arrays.npz") as archive:
            arrays = {**archive} | {"parameters/w": np.zeros(3, np.float32)}
        about = {key: value for key, value in found.about.items() if key not in ("format", "step")}
        checkpoint.save(run_dir / "checkpoints", 12, arrays, about, keep=3)
        capsys.readouterr()
        assert go_on(config_of(own), run_dir) == 0
        assert capsys.readouterr().err == (
            "jmc: the checkpoint of step 12 is damaged: `parameters/w` must be float32 (2,), but got float32 (3,)\n"
        )
        assert come_of(run_dir) == whole


class TestRefusals:
    @pytest.mark.parametrize(
        ("tables", "lines"),
        [
            (
                {"optimizer": {"learning_rate": 0.1}, "train": {"seed": 3}},
                [
                    "`optimizer.learning_rate` = 0.1: must stay 0.05 to resume the run",
                    "`train.seed` = 3: must stay 0 to resume the run",
                ],
            ),
            (
                {"model": {"kind": "network", "widths": [3]}},
                [
                    '`model.kind` = "network": must stay "neuron" to resume the run',
                    "`model.widths` = [3]: must stay [] to resume the run",
                ],
            ),
            ({"steps": 7}, ["`train.steps` = 7: must give at least the 12 steps of the last checkpoint"]),
            (
                {"data": {"validation_fraction": 0.5}},
                ["`data.validation_fraction` = 0.5: must stay 0.2 to resume the run"],
            ),
        ],
    )
    def test_a_config_that_matters(self, own, run_dir, capsys, tables, lines):
        before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
        capsys.readouterr()
        assert go_on(config_of(own, **tables), run_dir) == 2
        assert capsys.readouterr().err.splitlines() == lines
        assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before

    def test_other_data_under_the_same_name(self, own, run_dir, capsys):
        with np.load(own) as archive:
            arrays = {**archive}
        try:
            np.savez(own, X=arrays["X"], y=np.nextafter(arrays["y"], 9))
            assert go_on(config_of(own, steps=20), run_dir) == 2
        finally:
            np.savez(own, **arrays)
        assert capsys.readouterr().err == (
            f'`data.path` = "{own}": must hold the data that the run began with, but they have changed\n'
        )

    def test_the_same_data_elsewhere(self, own, run_dir, tmp_path):
        other = tmp_path / "moved.npz"
        whole = come_of(run_dir)
        unfinish(run_dir, 8)
        other.write_bytes(own.read_bytes())
        hidden = own.rename(own.with_suffix(".gone"))
        try:
            assert go_on(config_of(other), run_dir) == 0
        finally:
            hidden.rename(own)
        assert come_of(run_dir) == whole


class TestDepartures:
    def test_another_environment_is_told(self, own, run_dir, capsys, monkeypatch):
        from jmc.train.persistence import environment, resume

        whole = come_of(run_dir)
        unfinish(run_dir, 8)
        capsys.readouterr()
        other = environment.environment() | {"jaxlib": "0.9.9", "device count": "8"}
        monkeypatch.setattr(resume, "environment", lambda: other)
        assert go_on(config_of(own), run_dir) == 0
        now = environment.environment()
        told = f"jaxlib was {now['jaxlib']}, is 0.9.9; device count was {now['device count']}, is 8"
        assert capsys.readouterr().err == f"jmc: not bit-exact from step 8 on: {told}\n"
        departures = [f"from step 8: {part}" for part in told.split("; ")]
        assert json.loads((run_dir / "result.json").read_text())["departures"] == departures
        assert come_of(run_dir) == whole

        unfinish(run_dir, 12)
        capsys.readouterr()
        assert go_on(config_of(own), run_dir) == 0
        assert capsys.readouterr().err == ""
        assert json.loads((run_dir / "result.json").read_text())["departures"] == departures

    def test_a_schedule_that_is_stretched(self, own, tmp_path, capsys):
        cosine = {"schedule": "cosine"}
        assert begin(config_of(own, optimizer=cosine), tmp_path / "run") == 0
        capsys.readouterr()
        assert go_on(config_of(own, steps=20, optimizer=cosine), tmp_path / "run") == 0
        told = "the schedule was made for 12 steps, is for 20"
        assert capsys.readouterr().err == f"jmc: not bit-exact from step 12 on: {told}\n"
