"""SIGINT and SIGTERM at every stage of a run: it is saved, says how to go on, and goes on to the same bits."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from small_runs import begin, come_of, go_on, left_over

from jmc.train.config.loading import to_toml
from jmc.train.learning import loop
from jmc.train.persistence import checkpoint
from jmc.train.persistence.record import Record
from jmc.train.persistence.saver import Saver

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


def signalling(function, number, when=lambda *_: True):
    """The function, which is sent the signal when it is called."""

    def call(*arguments, **options):
        if when(*arguments):
            os.kill(os.getpid(), number)
            time.sleep(0.1)
        return function(*arguments, **options)

    return call


def interrupted(asked, directory, number, capsys, step):
    """Begins a run that is interrupted, and holds what it says and leaves against what it must."""
    capsys.readouterr()
    assert begin(asked, directory) == 128 + number
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"jmc: interrupted by {number.name}; go on with: jmc train --resume {directory}\n"
    assert checkpoint.steps(directory / "checkpoints")[0] == step
    assert left_over(directory) == []
    assert not (directory / "result.json").exists()


@BOTH
@pytest.mark.parametrize("step", [3, 6])
def test_between_two_steps(asked, whole, tmp_path, monkeypatch, capsys, number, step):
    with monkeypatch.context() as patch:
        patch.setattr(Record, "metrics", signalling(Record.metrics, number, lambda _, row: row["step"] == step))
        interrupted(asked, tmp_path / "run", number, capsys, step)
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


@BOTH
def test_while_it_compiles(asked, whole, tmp_path, monkeypatch, capsys, number):
    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_chunk", signalling(loop.make_chunk, number))
        interrupted(asked, tmp_path / "run", number, capsys, 1)
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


@BOTH
@pytest.mark.parametrize("saved", [2, 4])
def test_while_it_saves(asked, whole, tmp_path, monkeypatch, capsys, number, saved):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", signalling(checkpoint.save, number, lambda _, step, *__: step == saved))
        capsys.readouterr()
        assert begin(asked, tmp_path / "run") == 128 + number
    assert re.match(f"jmc: interrupted by {number.name}; ", capsys.readouterr().err)
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


@BOTH
def test_after_the_last_step(asked, whole, tmp_path, monkeypatch, capsys, number):
    with monkeypatch.context() as patch:
        patch.setattr(Record, "parameters", signalling(Record.parameters, number))
        interrupted(asked, tmp_path / "run", number, capsys, 6)
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


def test_again_and_again(asked, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_CHUNK_SECONDS", 1e-9)  # chunks of one step
    for step in (2, 4, 6):
        with monkeypatch.context() as patch:
            patch.setattr(Saver, "is_due", signalling(Saver.is_due, signal.SIGTERM))
            code = go_on(asked, tmp_path / "run") if step > 2 else begin(asked, tmp_path / "run")
        assert code == 143
        assert checkpoint.steps(tmp_path / "run" / "checkpoints")[0] == step
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


def test_a_run_in_a_shell(asked, tmp_path):
    """Interrupted with Ctrl-C's signal as soon as it has begun, and resumed by what it says."""
    train = asked.train.model_copy(update={"steps": 10**9, "log_every": 1000})
    text = to_toml(asked).replace(f"steps = {asked.train.steps}\n", f"steps = {train.steps}\n", 1)
    (tmp_path / "long.toml").write_text(text.replace("log_every = 3\n", "log_every = 1000\n"))
    command = [sys.executable, "-c", "import sys; from jmc.cli import main; sys.exit(main())", "train"]
    with subprocess.Popen(
        [*command, "long.toml", "--run-dir", "a run", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            for line in process.stderr:
                if "neuron on own" in line:
                    break
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "jmc: interrupted by SIGINT; go on with: jmc train --resume 'a run'"
    assert out == '{"status": "interrupted", "run_dir": "a run"}\n'
    [step, *_] = checkpoint.steps(tmp_path / "a run" / "checkpoints")
    ended = subprocess.run(
        [*command, "--resume", "a run", "--set", f"train.steps={step + 5}", "--quiet"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    with np.load(tmp_path / "a run" / "parameters.npz") as archive:
        assert all(np.isfinite(archive[name]).all() for name in archive.files)
