import csv
import struct
from pathlib import Path

import pytest
from problems import configure, dataset

from jmc.train.learning.problem import bind
from jmc.train.persistence.sinks import check, sinks

ROWS = [
    {"step": 5, "loss": 0.5, "seconds": 0.1},
    {"step": 10, "loss": float("inf"), "validation_loss": 0.25, "gradient_norm/w": 3.0},
    {"step": 15, "loss": 0.125, "validation_loss": float("nan")},
]


def problem(**log):
    return bind(configure(log=log), dataset())


def table(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return [*csv.reader(file)]


def test_nothing_unasked(tmp_path):
    with sinks(problem(), tmp_path) as sink:
        sink(ROWS[0])
    assert [*tmp_path.iterdir()] == []
    check(problem().config.log)


def test_csv_has_every_column_from_the_start(tmp_path):
    with sinks(problem(csv=True), tmp_path) as sink:
        for row in ROWS:
            sink(row)
            assert len(table(tmp_path)) == 1 + ROWS.index(row) + 1  # on disk at once
    header, *cells = table(tmp_path)
    assert header == problem().columns
    assert {*header} >= {"validation_r2", "learning_rate", "gradient_norm/b", "parameter_norm/w"}
    back = [{key: cell for key, cell in zip(header, row, strict=True) if cell} for row in cells]
    assert back == [{key: str(value) for key, value in row.items()} for row in ROWS]


def test_a_resumed_run_has_no_row_twice(tmp_path):
    with sinks(problem(csv=True), tmp_path) as sink:
        for row in ROWS:
            sink(row)
    with sinks(problem(csv=True), tmp_path, ROWS[:1]) as sink:
        assert [row[0] for row in table(tmp_path)] == ["step", "5"]
        sink(ROWS[1])
    assert [row[0] for row in table(tmp_path)] == ["step", "5", "10"]


def scalars(folder):
    """(step, tag, value) of the scalars in TensorBoard's files, whose records are length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(Path(folder).glob("events*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (size,) = struct.unpack("<Q", content[at : at + 8])
            event = Event.FromString(content[at + 12 : at + 12 + size])
            yield from ((event.step, value.tag, value.simple_value) for value in event.summary.value)
            at += size + 16


def test_tensorboard_has_a_scalar_per_figure(tmp_path):
    pytest.importorskip("tensorboardX")
    with sinks(problem(tensorboard=True), tmp_path) as sink:
        for row in ROWS:
            sink(row)
    found = {(step, tag): value for step, tag, value in scalars(tmp_path / "tensorboard")}
    assert found.keys() == {(row["step"], key) for row in ROWS for key in row if key != "step"}
    assert found[10, "gradient_norm/w"] == 3.0
    assert found[15, "loss"] == 0.125


def test_files_are_closed_where_training_fails(tmp_path):
    def interrupted():
        with sinks(problem(csv=True), tmp_path) as sink:
            sink(ROWS[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(table(tmp_path)) == 2
