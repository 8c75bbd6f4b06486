"""`jmc runs` and what it says of finished, unfinished and damaged runs."""

import json

import pytest

from jmc.cli import main

RESULT = {"status": "done", "steps": 20, "validation": None, "train": {"loss": 0.5}, "timings": {"run_seconds": 2.0}}


@pytest.fixture
def folder(tmp_path):
    """Three runs: done, unfinished, damaged; the name of one could be markup."""
    for name, loss in (("good[red]", 0.5), ("better", 0.25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("[train]\nsteps = 20\n")
        (tmp_path / name / "result.json").write_text(json.dumps(RESULT | {"train": {"loss": loss}}))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.toml").write_text("[train]\nsteps = 20\n")
    (tmp_path / "half" / "metrics.jsonl").write_text('{"step": 7, "loss": 3.0, "seconds": 1.0}\n{"st')
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "result.json").write_text('{"status"')
    return tmp_path


def jmc_runs(capsys, *arguments):
    code = main(["runs", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_table(capsys, folder):
    code, out, err = jmc_runs(capsys, folder)
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["run", "status", "steps", "train", "loss", "time", "in", "steps"]
    assert [line.split()[:3] for line in lines[:3]] == [
        ["better", "done", "20"],
        ["good[red]", "done", "20"],
        ["half", "unfinished", "7"],
    ]
    assert lines[3].startswith("torn       damaged; config.toml") or lines[3].startswith(
        "torn       damaged; result.json"
    )


def test_the_best_first(capsys, folder):
    _, out, _ = jmc_runs(capsys, folder, "--sort", "train_loss", "--json")
    assert [run["run"].rpartition("/")[2] for run in json.loads(out)] == ["better", "good[red]", "half", "torn"]


def test_json(capsys, folder):
    code, out, _ = jmc_runs(capsys, folder, "--json")
    found = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert found[2] == {
        "run": str(folder / "half"), "status": "unfinished", "steps": 7, "train_loss": 3.0, "seconds": 1.0, "faults": [],
    }  # fmt: skip
    assert found[3]["faults"][0].startswith("result.json: Invalid JSON")


def test_no_runs(capsys, tmp_path):
    assert jmc_runs(capsys, tmp_path) == (0, "", f"jmc runs: there is no run in {tmp_path}\n")
    assert jmc_runs(capsys, tmp_path, "--json") == (0, "[]\n", "")


def test_refusals(capsys, folder):
    code, out, err = jmc_runs(capsys, folder / "none")
    assert (code, out, err) == (2, "", f"jmc runs: {folder / 'none'}: No such file or directory\n")
    code, out, err = jmc_runs(capsys, folder, "--sort", "trainloss")
    assert (code, out) == (2, "")
    assert err == (
        "jmc runs: `--sort` must be among steps, seconds, train_loss, but got trainloss; did you mean train_loss?\n"
    )
