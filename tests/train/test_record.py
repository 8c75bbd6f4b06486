import hashlib
import json
import math
import os

import ml_dtypes
import numpy as np
import pytest

from jmc.train.record import Record, RunExistsError, sha256, to_json

PARAMS = {"w": np.arange(3, dtype=np.float32), "b": np.float32(0.5)}


@pytest.fixture
def record(tmp_path):
    made = Record(tmp_path / "runs" / "one", "[train]\nsteps = 1\n")
    yield made
    made.close()


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_new_directory_gets_its_config(record):
    assert names(record.directory) == ["config.toml", "metrics.jsonl"]
    assert (record.directory / "config.toml").read_text() == "[train]\nsteps = 1\n"


def test_every_row_of_metrics_is_on_disk_at_once(record):
    for step in (1, 2):
        record.metrics({"step": step, "loss": 0.1 * step})
        lines = (record.directory / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in lines] == [*range(1, step + 1)]


def test_parameters_come_back(record):
    record.parameters(PARAMS)
    with np.load(record.directory / "parameters.npz", allow_pickle=False) as archive:
        assert {*archive.files} == {*PARAMS}
        for name, array in PARAMS.items():
            assert archive[name].dtype == np.float32
            np.testing.assert_array_equal(archive[name], array)


def test_the_newest_checkpoints_are_kept(record):
    for step in (5, 10, 15, 1_000_000):
        record.checkpoint(step, {"w": np.float32(step)}, keep=2)
    folder = record.directory / "checkpoints"
    assert names(folder) == ["step-000000000015.npz", "step-000001000000.npz"]
    assert np.load(folder / "step-000000000015.npz")["w"] == 15


def test_result_and_report(record):
    record.result({"r2": math.nan, "name": "α"})
    record.report("<p>∂C/∂w</p>\n")
    assert json.loads((record.directory / "result.json").read_text(encoding="utf-8")) == {"r2": None, "name": "α"}
    assert (record.directory / "report.html").read_bytes() == "<p>∂C/∂w</p>\n".encode()


@pytest.mark.parametrize(
    "present", ["config.toml", "metrics.jsonl", "parameters.npz", "result.json", "report.html", "checkpoints"]
)
def test_a_run_that_is_there_stays_untouched(tmp_path, present):
    (tmp_path / present).mkdir() if present == "checkpoints" else (tmp_path / present).write_text("precious")
    with pytest.raises(RunExistsError) as caught:
        Record(tmp_path, "")
    expected = f"`--run-dir` must be a directory without a run, but got {tmp_path}, which has {present}"
    assert str(caught.value) == expected
    assert names(tmp_path) == [present]


def test_other_files_do_not_matter(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Record(tmp_path, "").close()
    assert names(tmp_path) == ["config.toml", "metrics.jsonl", "notes.txt"]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OSError, match="file"):
            Record(directory, "")
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_file_is_whole_or_as_it_was(record, monkeypatch, moment):
    record.result({"status": "first"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, moment, full)
    with pytest.raises(OSError, match="No space"):
        record.result({"status": "second"})
    assert json.loads((record.directory / "result.json").read_text()) == {"status": "first"}


class TestJson:
    def test_what_is_not_finite_is_null(self):
        assert to_json({"a": [math.nan, {"b": -math.inf}], "c": (1.5, None, True)}) == (
            '{"a": [null, {"b": null}], "c": [1.5, null, true]}'
        )

    def test_what_is_no_json_is_refused(self):
        with pytest.raises(TypeError):
            to_json({"a": np.float32(1)})

    def test_indented(self):
        assert to_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'


class TestHash:
    def test_by_hand(self):
        text = b"b <f4 ()\n" + PARAMS["b"].tobytes() + b"w <f4 (3,)\n" + PARAMS["w"].tobytes()
        assert sha256(PARAMS) == hashlib.sha256(text).hexdigest()

    def test_the_order_of_the_parameters_and_of_memory_do_not_matter(self):
        W = np.arange(6.0).reshape(2, 3)
        assert sha256({"W": W, "b": W[0]}) == sha256({"b": W[0].copy(), "W": np.asfortranarray(W)})

    @pytest.mark.parametrize(
        "other",
        [
            {"v": PARAMS["w"], "b": PARAMS["b"]},
            PARAMS | {"w": PARAMS["w"].astype(np.float64)},
            PARAMS | {"w": PARAMS["w"].astype(ml_dtypes.bfloat16)},
            PARAMS | {"w": PARAMS["w"][:, None]},
            PARAMS | {"w": np.nextafter(PARAMS["w"], np.float32(9))},
            PARAMS | {"b": np.float32(-0.5)},
        ],
        ids=["name", "float64", "bfloat16", "shape", "one bit", "sign"],
    )
    def test_everything_else_does(self, other):
        assert sha256(other) != sha256(PARAMS)
