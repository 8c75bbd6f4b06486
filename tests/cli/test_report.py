"""`jmc report`: from runs on disk to a page."""

import json

import pytest

from jmc.cli import main

RESULT = {"status": "done", "steps": 20, "validation": None, "train": {"loss": 0.5}, "timings": {"run_seconds": 2.0}}


@pytest.fixture
def folder(tmp_path):
    for name, rate in (("first", 0.1), ("second", 0.2)):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "config.toml").write_text(f"[optimizer]\nlearning_rate = {rate}\n")
        (run / "metrics.jsonl").write_text('{"step": 7, "loss": 3.0, "seconds": 1.0}\n')
        (run / "result.json").write_text(json.dumps(RESULT))
    return tmp_path


def jmc_report(capsys, *arguments):
    code = main(["report", *map(str, arguments)])
    return code, *capsys.readouterr()


def test_a_page_of_a_folder_of_runs(capsys, folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert jmc_report(capsys, "runs") == (0, "comparison.html\n", "")
    page = (folder / "comparison.html").read_text(encoding="utf-8")
    assert "2 runs compared" in page
    assert "optimizer.learning_rate" in page
    assert sorted(path.name for path in folder.iterdir()) == ["comparison.html", "runs"]


def test_runs_by_name_each_once_to_a_file(capsys, folder):
    output = folder / "page.html"
    output.write_text("old")
    first = folder / "runs" / "first"
    assert jmc_report(capsys, first, first, folder / "runs", "--output", output) == (0, f"{output}\n", "")
    assert "2 runs compared" in output.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "cannot be read: No such file or directory"), ("empty", "has none")]
)
def test_refusals(capsys, folder, name, reason):
    (folder / "empty").mkdir()
    code, out, err = jmc_report(capsys, folder / "runs", folder / name, "--output", folder / "page.html")
    assert (code, out) == (2, "")
    assert err == f"jmc report: `RUN` must be a run's directory or a folder of some, but {folder / name} {reason}\n"
    assert not (folder / "page.html").exists()


def test_a_page_that_cannot_be_written(capsys, folder):
    (folder / "taken").mkdir()
    code, out, err = jmc_report(capsys, folder / "runs", "--output", folder / "none" / "page.html")
    assert (code, out) == (6, "")
    assert err == f"jmc report: {folder / 'none' / 'page.html'}: cannot be written: No such file or directory\n"
    code, out, err = jmc_report(capsys, folder / "runs", "--output", folder / "taken")
    assert (code, out) == (2, "")
    assert err == f"jmc report: `--output` must be a file, but got the folder {folder / 'taken'}\n"
    assert sorted(path.name for path in folder.iterdir()) == ["runs", "taken"]
