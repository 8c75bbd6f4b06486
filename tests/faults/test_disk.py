"""A disk that is full, read-only or beyond its quota, and a directory that another process holds."""

import errno
import os
import re
import shutil
import subprocess
import sys

import pytest
from faulty_disk import Disk
from small_runs import begin, come_of, go_on, left_over

from jmc.cli import main
from jmc.train.config.loading import to_toml
from jmc.train.persistence import checkpoint, storage

RUN = "import sys; from jmc.cli import main; sys.exit(main())"


def one_line(err):
    assert err.count("\n") == 1, err
    assert err.startswith("jmc: the run cannot be written: ")
    return err


def whole_checkpoints(directory):
    """The steps of the checkpoints, each of which is whole."""
    found = checkpoint.steps(directory / "checkpoints")
    for step in found:
        checkpoint.verify(directory / "checkpoints", step)
    return found


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
def test_from_any_write_on(asked, whole, tmp_path, monkeypatch, capsys, error):
    calm = Disk()
    with monkeypatch.context() as patch:
        patch.setattr(storage, "os", calm)
        assert begin(asked, tmp_path / "calm") == 0
    writes = [number for number, call in enumerate(calm.calls) if call == "write"]
    for full in writes[:: 1 if error == errno.ENOSPC else 5]:
        directory = tmp_path / "run"
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(storage, "os", Disk(full=full, error=error))
            code = begin(asked, directory)
        if code == 0:  # what was left to do took fewer calls than before
            continue
        assert code == 6
        assert os.strerror(error) in one_line(capsys.readouterr().err)
        whole_checkpoints(directory)
        assert left_over(directory) == []
        if (directory / "config.toml").exists():
            assert go_on(asked, directory) == 0
        else:
            assert begin(asked, directory) == 0
        assert come_of(directory) == whole
        shutil.rmtree(directory)


def test_an_interruption_that_cannot_be_saved(asked, whole, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "arrays.npz")

    with monkeypatch.context() as patch:
        patch.setattr("jmc.train.signals.Interruption.pending", True)
        patch.setattr(checkpoint, "save", full)
        assert begin(asked, tmp_path / "run") == 6
    one_line(capsys.readouterr().err)
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


def test_a_real_limit(asked, whole, tmp_path):
    """No file may grow beyond 1500 bytes, which a checkpoint does."""
    (tmp_path / "test.toml").write_text(to_toml(asked))
    arguments = ["train", "test.toml", "--run-dir", "run", "--quiet"]

    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY)); "
    command = [sys.executable, "-B", "-c", limit + RUN, *arguments]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 6
    assert "File too large" in one_line(ended.stderr)
    assert ended.stdout == ""
    assert whole_checkpoints(tmp_path / "run") == []
    assert go_on(asked, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == whole


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where nobody may")
def test_a_directory_that_may_not_be_written(asked, tmp_path, capsys):
    (tmp_path / "run").mkdir(mode=0o500)
    assert begin(asked, tmp_path / "run") == 6
    one_line(capsys.readouterr().err)


def test_a_directory_that_may_not_be_locked(asked, tmp_path, monkeypatch, capsys):
    class ReadOnly:
        def __init__(self, path, **_):
            self.path = path

        def acquire(self):
            raise OSError(errno.EROFS, "Read-only file system", str(self.path))

    assert begin(asked, tmp_path / "run") == 0
    monkeypatch.setattr("filelock.FileLock", ReadOnly)
    for code in (begin(asked, tmp_path / "new"), go_on(asked, tmp_path / "run")):
        assert code == 6
    for line in capsys.readouterr().err.splitlines(keepends=True):
        assert "Read-only file system" in one_line(line)


class TestTwoWriters:
    def test_the_second_is_refused(self, asked, whole, tmp_path, capsys):
        capsys.readouterr()
        (tmp_path / "new").mkdir()
        for directory in (tmp_path / "whole", tmp_path / "new"):
            with storage.lock(directory):
                code = go_on(asked, directory) if directory.name == "whole" else begin(asked, directory)
                assert code == 3
            expected = f"jmc: {directory} is in use by another process, which writes its run there\n"
            assert capsys.readouterr().err == expected
        assert come_of(tmp_path / "whole") == whole
        assert begin(asked, tmp_path / "new") == 0

    def test_a_new_run_where_one_is_going_on(self, asked, whole, tmp_path):
        with storage.lock(tmp_path / "whole"):
            assert begin(asked, tmp_path / "whole") == 3
        assert begin(asked, tmp_path / "whole") == 2

    def test_of_two_at_once_one_runs(self, asked, whole, tmp_path):
        (tmp_path / "test.toml").write_text(to_toml(asked))
        command = [sys.executable, "-c", RUN, "train", "test.toml", "--run-dir", "run", "--quiet"]
        started = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        ended = sorted((process.communicate()[1], process.returncode) for process in started)
        assert {code for _, code in ended} in ({0, 3}, {0, 2})
        assert re.fullmatch("jmc: .*(in use by another process|must be a directory without a run).*\n", ended[1][0])
        assert come_of(tmp_path / "run") == whole


class TestCommandLine:
    def test_resumed(self, asked, tmp_path, capsys):
        (tmp_path / "short.toml").write_text(to_toml(asked))
        assert main(["train", str(tmp_path / "short.toml"), "--run-dir", str(tmp_path / "run"), "--quiet"]) == 0
        capsys.readouterr()
        assert main(["train", "--resume", str(tmp_path / "run"), "--set", "train.steps=9"]) == 0
        _, err = capsys.readouterr()
        assert err.startswith("from step 6 of neuron on own · 3 parameters · 9 steps of momentum")
        assert main(["train", "--resume", str(tmp_path / "run"), "--json"]) == 0
        out, err = capsys.readouterr()
        assert '"steps": 9' in out
        assert err.endswith("is finished; to go on, --set train.steps to more than 9\n")

    def test_no_run_to_resume(self, tmp_path, capsys):
        assert main(["train", "--resume", str(tmp_path)]) == 2
        expected = f"{tmp_path}/config.toml: cannot be read: No such file or directory\n"
        assert capsys.readouterr().err == expected
        assert [*tmp_path.iterdir()] == []

    def test_a_dry_run_and_a_config_are_printed_but_nothing_is_changed(self, asked, whole, tmp_path, capsys):
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")}
        for option in ("--dry-run", "--print-config"):
            assert main(["train", "--resume", str(tmp_path / "whole"), option]) == 0
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "whole").rglob("*")} == before
