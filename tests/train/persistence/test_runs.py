import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.train.persistence.runs import find, ordered, read, sort_keys

RESULT = {
    "status": "done",
    "steps": 20,
    "train": {"loss": 0.5, "r2": 0.75},
    "validation": {"loss": 1.5, "r2": None},
    "timings": {"run_seconds": 2.0},
}
ROWS = [{"step": 10, "loss": 4.0, "seconds": 1.0}, {"step": 20, "loss": 3.0, "validation_loss": 2.0, "seconds": 2.0}]
CONFIG = "[train]\nsteps = 20\n"


@pytest.fixture
def make(tmp_path):
    """Writes a run; a value of None leaves its file out."""

    def write(name="run", config=CONFIG, rows=ROWS, result=RESULT):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        lines = rows if isinstance(rows, str | None) else "".join(json.dumps(row) + "\n" for row in rows)
        result = json.dumps(result) if isinstance(result, dict) else result
        for file, text in {"config.toml": config, "metrics.jsonl": lines, "result.json": result}.items():
            if text is not None:
                (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    return write


class TestRead:
    def test_a_finished_run(self, make):
        run = read(make())
        assert (run.status, run.steps, run.seconds, run.faults) == ("done", 20, 2.0, ())
        assert run.metrics == {"train_loss": 0.5, "train_r2": 0.75, "validation_loss": 1.5, "validation_r2": None}
        assert run.config == {"train": {"steps": 20}}
        assert list(run.rows) == ROWS

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"status": "diverged"}, "diverged"),
            ({"stopped_early": True}, "stopped early"),
            ({"status": "diverged", "stopped_early": True}, "diverged"),
        ],
    )
    def test_how_it_ended(self, make, change, status):
        assert read(make(result=RESULT | change)).status == status

    def test_one_without_a_validation_part(self, make):
        assert read(make(result=RESULT | {"validation": None})).metrics == {"train_loss": 0.5, "train_r2": 0.75}

    def test_an_unfinished_run_is_as_far_as_its_last_row(self, make):
        run = read(make(result=None))
        assert (run.status, run.steps, run.seconds, run.faults) == ("unfinished", 20, 2.0, ())
        assert run.metrics == {"train_loss": 3.0, "validation_loss": 2.0}

    def test_one_that_has_only_begun(self, make):
        run = read(make(rows="", result=None))
        assert (run.status, run.steps, run.seconds, run.metrics) == ("unfinished", None, None, {})

    def test_a_torn_last_line_counts_for_nothing(self, make):
        text = "".join(json.dumps(row) + "\n" for row in ROWS)
        run = read(make(rows=text[:-5], result=None))
        assert (run.status, run.steps) == ("unfinished", 10)

    @pytest.mark.parametrize(
        ("files", "fault"),
        [
            ({"result": '{"status": "do'}, "result.json: Invalid JSON: EOF"),
            ({"result": "[]"}, "result.json: Input should be an object"),
            ({"result": RESULT | {"steps": "20"}}, "result.json: `steps`: Input should be a valid integer"),
            ({"result": RESULT | {"steps": 10**400}}, "result.json: `steps`: "),
            ({"result": {"status": "done"}}, "result.json: `steps`: Field required"),
            (
                {"result": RESULT | {"train": {"loss": "low"}}},
                "result.json: `train.loss`: Input should be a valid number",
            ),
            ({"result": b"\xff{}"}, "result.json: 'utf-8' codec can't decode byte 0xff"),
            ({"rows": '{"step": 1}\n{"ste\n{"step": 3}\n'}, "metrics.jsonl: line 2 is no row of metrics"),
            ({"rows": '{"step": "1"}\n'}, "metrics.jsonl: line 1 is no row"),
            ({"rows": '{"step": true}\n'}, "metrics.jsonl: line 1 is no row"),
            ({"rows": '{"step": 1, "loss": [1]}\n'}, "metrics.jsonl: line 1 is no row"),
            ({"rows": '{"step": 1, "loss": 1' + "0" * 400 + "}\n"}, "metrics.jsonl: line 1 is no row"),
            ({"rows": "[" * 100_000 + "\n"}, "metrics.jsonl: line 1 is no row"),
            ({"config": "[train\n"}, "config.toml: Expected"),
            ({"config": "train = 3\n"}, "config.toml: must hold tables alone"),
            ({"config": None}, "config.toml: is missing"),
        ],
    )
    def test_a_damaged_run_says_what_is_wrong(self, make, files, fault):
        run = read(make(**files))
        assert run.status == "damaged"
        assert len(run.faults) == 1
        assert run.faults[0].startswith(fault)
        assert "\n" not in run.faults[0]

    def test_what_can_be_read_of_a_damaged_run_is(self, make):
        run = read(make(rows='{"step": 1, "loss": 2}\n{\n', config=None))
        assert (run.status, run.steps, list(run.rows)) == ("damaged", 20, [{"step": 1, "loss": 2}])

    def test_a_folder_in_place_of_a_file(self, make):
        folder = make(result=None)
        (folder / "result.json").mkdir()
        assert read(folder).faults == ("result.json: Is a directory",)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.sampled_from(["config.toml", "metrics.jsonl", "result.json"]), st.binary(max_size=30), st.integers(0, 200)
    )
    def test_whatever_stands_in_a_file(self, make, tmp_path, name, content, at):
        folder = tmp_path / "run" if (tmp_path / "run").exists() else make()
        whole = (folder / name).read_bytes()
        try:
            (folder / name).write_bytes(whole[:at] + content + whole[at + len(content) :])
            run = read(folder)
            assert (run.status == "damaged") == bool(run.faults)
            json.dumps(run.summary())
        finally:
            (folder / name).write_bytes(whole)


class TestFind:
    def test_runs_below_a_folder(self, make, tmp_path):
        folders = [make("a"), make("sweep/c", result=None), make("sweep/b", rows=None)]
        (tmp_path / "empty").mkdir()
        make("a/inner")  # a run's own folders are not looked into
        assert find(tmp_path) == sorted(folders)
        assert find(folders[0]) == [folders[0]]
        assert find(tmp_path / "empty") == []

    @pytest.mark.parametrize("name", ["none", "file"])
    def test_what_is_no_folder(self, tmp_path, name):
        (tmp_path / "file").touch()
        with pytest.raises(OSError, match=name):
            find(tmp_path / name)


class TestOrder:
    def test_the_best_first_and_those_without_a_number_last(self, make):
        results = {"a": 0.5, "b": None, "c": 0.75, "d": -1.0}
        runs = [read(make(n, result=RESULT | {"validation": {"loss": v, "r2": v}})) for n, v in results.items()]
        for key, names in {"validation_loss": "dacb", "validation_r2": "cadb", "steps": "abcd"}.items():
            assert "".join(run.directory.name for run in ordered(runs, key)) == names
        assert sort_keys(runs) == ["steps", "seconds", "train_loss", "train_r2", "validation_loss", "validation_r2"]

    def test_not_a_number_is_none(self, make):
        nan = read(make(result=json.dumps(RESULT | {"validation": {"loss": math.nan}})))
        assert ordered([nan, read(make("b"))], "validation_loss")[1] is nan
