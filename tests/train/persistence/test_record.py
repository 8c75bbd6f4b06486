import hashlib
import json
import math

import ml_dtypes
import numpy as np
import pytest

from jmc.train.persistence.record import RunExistsError, create, name_of, reopen, sha256, to_json, write_config

PARAMS = {"w": np.arange(3, dtype=np.float32), "b": np.float32(0.5)}


@pytest.fixture
def record(tmp_path):
    (tmp_path / "one").mkdir()
    made = create(tmp_path / "one", "first", "[train]\nsteps = 1\n")
    yield made
    made.close()


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_a_new_directory_gets_its_config(record):
    assert names(record.directory) == ["config.toml", "metrics.jsonl", "run.json"]
    assert (record.directory / "config.toml").read_text() == "[train]\nsteps = 1\n"
    assert name_of(record.directory) == "first"


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
        create(tmp_path, "test", "")
    expected = f"`--run-dir` must be a directory without a run, but got {tmp_path}, which has {present}"
    assert str(caught.value) == expected
    assert names(tmp_path) == [present]


def test_other_files_do_not_matter(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    create(tmp_path, "test", "").close()
    assert names(tmp_path) == ["config.toml", "metrics.jsonl", "notes.txt", "run.json"]


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param("", id="whole"),
        pytest.param('{"step": 40, "lo', id="a torn row"),
        pytest.param('{"step": 30}\n', id="a row twice"),
        pytest.param("\0\0\0\n", id="no JSON"),
        pytest.param("[1]\n", id="another JSON"),
        pytest.param('{"step": 40}', id="a row without its end"),
    ],
)
@pytest.mark.parametrize(("step", "kept"), [(0, []), (9, []), (10, [10]), (29, [10, 20]), (35, [10, 20, 30])])
def test_a_run_that_goes_on_forgets_later_rows(record, rest, step, kept):
    for at in (10, 20, 30):
        record.metrics({"step": at, "loss": math.nan})
    record.close()
    path = record.directory / "metrics.jsonl"
    path.write_text(path.read_text() + rest)
    again = reopen(record.directory, step)
    assert again.rows == [{"step": at, "loss": None} for at in kept]
    again.metrics({"step": 36, "loss": 0.5})
    again.close()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [*kept, 36]


def test_a_run_that_goes_on_sweeps_what_was_half_written(record):
    for partial in (".result.json.tmp", "checkpoints/.step-000000000010.tmp/arrays.npz", "checkpoints/step/x.tmp"):
        path = record.directory / partial
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    reopen(record.directory, 0).close()
    assert names(record.directory) == [
        "checkpoints", "checkpoints/step", "checkpoints/step/x.tmp", "config.toml", "metrics.jsonl", "run.json",
    ]  # fmt: skip


def test_a_run_without_rows_goes_on(tmp_path):
    reopen(tmp_path, 10).close()
    assert names(tmp_path) == ["metrics.jsonl"]


def test_a_config_takes_the_place_of_the_one_before(record):
    write_config(record.directory, "[train]\nsteps = 2\n")
    assert (record.directory / "config.toml").read_text() == "[train]\nsteps = 2\n"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"name": 3}', b"{" * 10**5])
def test_the_name_of_a_run_that_lost_it_is_its_directory(record, content):
    (record.directory / "run.json").write_bytes(content)
    assert name_of(record.directory) == "one"


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
