"""Training from files that are not loaded, from its first step, or where it was left, to its report."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from problems import configure

from jmc.train.data import stream as room
from jmc.train.data import survey
from jmc.train.learning import problem as sizes
from jmc.train.persistence.record import Record
from jmc.train.run import run

N = 400


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same examples as two .npy files, as one, and as row groups of parquet."""
    where = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, (N, 3)).astype(np.float32)
    y = (X @ [1.0, -1.0, 0.5] + rng.normal(size=N)).astype(np.float32)
    np.save(where / "X.npy", X)
    np.save(where / "y.npy", y)
    np.save(where / "both.npy", np.column_stack([X, y]))
    np.save(where / "classes.npy", np.where(y > 0, "positive", "negative"))
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({**{f"x{i}": X[:, i] for i in range(3)}, "y": y})
    parquet.write_table(table, where / "t.parquet", row_group_size=33)
    return where


@pytest.fixture
def small(monkeypatch):
    """Windows of 40 rows, chunks of two steps, samples of about 50 rows."""
    monkeypatch.setattr("jmc.train.data.npy_blocks.BLOCK_BYTES", 3 * 4 * 13)
    monkeypatch.setattr(room, "WINDOW_BYTES", 3 * 4 * 40)
    monkeypatch.setattr(sizes, "CHUNK_BYTES", 2 * 3 * 4 * 16)
    monkeypatch.setattr(survey, "SAMPLE_ROWS", 50)


def config(folder, loss="mean_squared_error", train=None, every=0, **data):
    given = {"path": "X.npy", "target_path": "y.npy"} | data
    paths = {key: str(folder / value) for key, value in given.items() if key in ("path", "target_path") and value}
    return configure(
        data={key: value for key, value in given.items() if value is not None} | paths,
        model={"kind": "network", "widths": [5], "activation": "tanh"},
        loss={"kind": loss},
        optimizer={"learning_rate": 0.02, "kind": "adam"},
        train={"epochs": 4, "batch_size": 16, "log_every": 5} | (train or {}),
        checkpoint={"every_steps": every},
        log={"csv": bool(every)},
    )


def trained(config, directory, resumed=False, code=0):
    assert run(config, run_dir=directory, resumed=resumed, dry_run=False, as_json=False, quiet=True) == code
    return json.loads((directory / "result.json").read_text(), parse_constant=pytest.fail)


def parameters(directory):
    with np.load(directory / "parameters.npz") as archive:
        return {name: archive[name] for name in archive.files}


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"path": "both.npy", "target_path": None, "target": "X[3]"},
        {"path": "t.parquet", "target_path": None, "target": "y"},
    ],
    ids=["npy and npy", "npy", "parquet"],
)
@pytest.mark.usefixtures("small")
def test_it_learns_and_reports_the_metrics_of_all_examples(folder, tmp_path, data):
    result = trained(config(folder, **data), tmp_path / "run")
    assert result["examples"]["training"] + result["examples"]["validation"] == N
    assert result["sampled"]["training"] < 120 < result["examples"]["training"]
    assert result["steps"] == 4 * -(-result["examples"]["training"] // 16)
    assert result["validation"]["r2"] > 0.5
    # the figures by hand, from the file and the parameters that were kept
    saved = parameters(tmp_path / "run")
    X, y = np.load(folder / "X.npy").astype(float), np.load(folder / "y.npy").astype(float)
    held_out = room.is_held_out(np.arange(N), 0, 0.2)
    assert result["examples"]["validation"] == held_out.sum()
    X = (X - X[~held_out].mean(axis=0)) / X[~held_out].std(axis=0)
    for part, rows in (("train", ~held_out), ("validation", held_out)):
        a = np.tanh(X[rows] @ saved["W1"].T + saved["b1"]) @ saved["W2"][0] + saved["b2"]
        assert result[part]["loss"] == pytest.approx(np.mean((y[rows] - a) ** 2), rel=1e-5)
        spread = np.sum((y[rows] - y[rows].mean()) ** 2)
        assert result[part]["r2"] == pytest.approx(1 - np.sum((y[rows] - a) ** 2) / spread, rel=1e-5)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "of a random sample of" in page


@pytest.mark.usefixtures("small")
def test_classes_of_text(folder, tmp_path):
    asked = config(folder, loss="softmax_cross_entropy", target_path="classes.npy")
    result = trained(asked, tmp_path / "run")
    assert result["task"] == "classification"
    assert result["validation"]["accuracy"] > 0.7


def test_windows_and_chunks_are_no_part_of_a_small_runs_result(folder, tmp_path, request):
    """Where all fits one window, the order is a shuffle of the whole part, whatever the blocks and chunks."""
    first = trained(config(folder), tmp_path / "first")
    request.getfixturevalue("monkeypatch").setattr(sizes, "CHUNK_BYTES", 2 * 3 * 4 * 16)
    again = trained(config(folder), tmp_path / "again")
    assert again["params_sha256"] == first["params_sha256"]
    assert first["sampled"] == first["examples"]


class Crash(BaseException):
    """What no part of the program expects."""


@pytest.mark.parametrize("path", ["npy", "parquet"])
@pytest.mark.usefixtures("small")
def test_a_resumed_run_ends_with_the_same_bits(folder, tmp_path, monkeypatch, path):
    """Streamed examples, micro-batches, and early stopping that keeps the best parameters, all at once."""
    data = {"path": "t.parquet", "target_path": None, "target": "y"} if path == "parquet" else {}
    train = {"microbatches": 4, "patience": 6, "evaluate_every": 4, "epochs": 12}
    asked = config(folder, train=train, every=7, **data)
    whole = trained(asked, tmp_path / "whole")
    assert whole["stopped_early"]
    write = Record.metrics
    for stop in (12, 25, 48):

        def crash(record, row, stop=stop):
            write(record, row)
            if row["step"] >= stop:
                raise Crash

        monkeypatch.setattr(Record, "metrics", crash)
        with pytest.raises(Crash):
            run(asked, run_dir=tmp_path / "cut", resumed=stop > 12, dry_run=False, as_json=False, quiet=True)
    monkeypatch.setattr(Record, "metrics", write)
    cut = trained(asked, tmp_path / "cut", resumed=True)
    assert cut["resumed_at_step"] > 0
    for key in ("params_sha256", "best", "steps", "parameters_step", "stopped_early", "validation", "train"):
        assert cut[key] == whole[key], key
    rows = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("whole", "cut")]
    for one, other in zip(*(map(json.loads, lines) for lines in rows), strict=True):
        for timing in ("seconds", "steps_per_second"):
            one.pop(timing), other.pop(timing)
        assert one == other
    with (tmp_path / "cut" / "metrics.csv").open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [json.loads(line)["step"] for line in rows[1]]


@pytest.mark.usefixtures("small")
def test_other_data_are_not_gone_on_with(folder, tmp_path, monkeypatch, capsys):
    asked = config(folder, every=7)
    write = Record.metrics

    def crash(record, row):
        write(record, row)
        if row["step"] >= 20:
            raise Crash

    monkeypatch.setattr(Record, "metrics", crash)
    with pytest.raises(Crash):
        run(asked, run_dir=tmp_path / "run", dry_run=False, as_json=False, quiet=True)
    changed = np.load(folder / "X.npy")
    changed[N - 1, 1] += 1
    np.save(tmp_path / "X.npy", changed)
    asked = replace(asked, data=asked.data.model_copy(update={"path": str(tmp_path / "X.npy")}))
    assert run(asked, run_dir=tmp_path / "run", resumed=True, dry_run=False, as_json=False, quiet=True) == 2
    assert "`data.path`" in capsys.readouterr().err


def test_a_whole_batch_of_a_stream_is_refused(folder, tmp_path, capsys):
    asked = config(folder, train={"batch_size": "full"})
    assert run(asked, run_dir=tmp_path / "run", dry_run=False, as_json=False, quiet=True) == 2
    assert "must be a number of examples for data that are streamed" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_a_file_that_breaks_off_under_training_is_one_line(folder, tmp_path, capsys, monkeypatch):
    checked, calls = room.Stream.part, []

    def part(stream, block, *, held_out):
        calls.append(block)
        if len(calls) > 10:
            object.__setattr__(stream.blocks, "read", gone)
        return checked(stream, block, held_out=held_out)

    def gone(block):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(room.Stream, "part", part)
    assert run(config(folder), run_dir=tmp_path / "run", dry_run=False, as_json=False, quiet=True) == 2
    assert capsys.readouterr().err == f"jmc: {folder / 'X.npy'}: cannot be read: Input/output error\n"
