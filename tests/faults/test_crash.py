"""A run that ends at any call that changes a file, by a crash or a loss of power, goes on to the same bits."""

import shutil
from concurrent.futures import Future

import pytest
from faulty_disk import Crash, Disk
from small_runs import begin, come_of, go_on, left_over

from jmc.train.persistence.checkpoint import steps


class AtOnce:
    """An executor without a thread, so that the calls of a run come in the same order every time."""

    def __init__(self, *_, **__):
        pass

    def submit(self, function):
        function()
        done = Future()
        done.set_result(None)
        return done

    def shutdown(self):
        pass


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr("jmc.train.persistence.saver.ThreadPoolExecutor", AtOnce)


def on(disk, monkeypatch, action, *arguments):
    """What the action answers with this disk under it, or None where it crashes."""
    with monkeypatch.context() as patch:
        patch.setattr("jmc.train.persistence.storage.os", disk)
        try:
            return action(*arguments)
        except Crash:
            return None


def finish(asked, directory):
    """Whatever state a run was left in, it is begun or resumed."""
    if (directory / "config.toml").exists():
        assert go_on(asked, directory) == 0
    else:
        assert begin(asked, directory) == 0


ENDS = [
    pytest.param({}, False, id="crash"),
    pytest.param({"half": True}, False, id="crash in half a write"),
    pytest.param({}, True, id="loss of power"),
]


@pytest.mark.parametrize(("how", "power"), ENDS)
def test_a_run_that_ends_anywhere(asked, whole, tmp_path, monkeypatch, how, power):
    calm = Disk()
    assert on(calm, monkeypatch, begin, asked, tmp_path / "calm") == 0
    assert len(calm.calls) > 70
    for end, call in enumerate(calm.calls):
        if how and call != "write":
            continue
        directory = tmp_path / "run"
        disk = Disk(end, **how)
        assert on(disk, monkeypatch, begin, asked, directory) is None
        if power:
            disk.lose_power(directory)
        finish(asked, directory)
        assert come_of(directory) == whole, f"call {end}, {call}"
        assert left_over(directory) == []
        assert steps(directory / "checkpoints")[:2] == [6, 4]
        shutil.rmtree(directory)


@pytest.mark.parametrize(("how", "power"), ENDS)
def test_a_resumption_that_ends_anywhere(asked, whole, tmp_path, monkeypatch, how, power):
    """Of a run whose newest checkpoint is damaged, with a torn row and half a file left."""
    left = tmp_path / "left"
    shutil.copytree(tmp_path / "whole", left)
    (left / "result.json").unlink()
    damaged = left / "checkpoints" / "step-000000000006" / "arrays.npz"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (left / ".config.toml.tmp").write_text("half")
    with (left / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    shutil.copytree(left, tmp_path / "calm")
    calm = Disk()
    assert on(calm, monkeypatch, go_on, asked, tmp_path / "calm") == 0
    for end, call in enumerate(calm.calls):
        if how and call != "write":
            continue
        directory = tmp_path / "run"
        shutil.copytree(left, directory)
        disk = Disk(end, **how)
        assert on(disk, monkeypatch, go_on, asked, directory) is None
        if power:
            disk.lose_power(directory)
        assert go_on(asked, directory) == 0
        assert come_of(directory) == whole, f"call {end}, {call}"
        assert left_over(directory) == []
        shutil.rmtree(directory)


def test_the_disk_forgets_what_was_not_flushed(tmp_path):
    """Or losing power would prove nothing."""
    import os

    disk = Disk()
    (tmp_path / "old").write_text("old")
    for name, flushed in (("lost", False), ("kept", True)):
        descriptor = disk.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        disk.write(descriptor, b"bytes")
        if flushed:
            disk.fsync(descriptor)
        disk.write(descriptor, b" more")
        os.close(descriptor)
    disk.replace(tmp_path / "kept", tmp_path / "old")
    disk.lose_power(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"lost": "", "kept": "bytes", "old": "old"}
