import errno
import hashlib
import os
import subprocess
import sys

import pytest
from faulty_disk import Disk

from jmc.train.persistence import storage
from jmc.train.persistence.storage import DamagedError, InUseError, Log


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def text(content):
    return lambda sink: sink.write(content)


class TestFile:
    @pytest.mark.parametrize("size", [0, 1, 2**20, 2**20 + 1, 5 * 2**20])
    def test_whatever_its_size(self, tmp_path, size):
        content = os.urandom(size)
        storage.write_file(tmp_path / "file", text(content))
        assert (tmp_path / "file").read_bytes() == content

    def test_piece_by_piece(self, tmp_path):
        pieces = [os.urandom(size) for size in (3, 0, 2**19, 2**19, 7, 2**21, 1)]
        storage.write_file(tmp_path / "file", lambda sink: [sink.write(piece) for piece in pieces])
        assert (tmp_path / "file").read_bytes() == b"".join(pieces)

    def test_short_writes_are_gone_on_with(self, tmp_path, monkeypatch):
        disk = Disk()
        disk.write = lambda descriptor, data: os.write(descriptor, bytes(data)[:3])
        monkeypatch.setattr(storage, "os", disk)
        storage.write_file(tmp_path / "file", text(b"0123456789"))
        assert (tmp_path / "file").read_bytes() == b"0123456789"

    @pytest.mark.parametrize("full", range(3))
    @pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_where_it_cannot_be_written_the_old_one_stays(self, tmp_path, monkeypatch, full, error):
        path = tmp_path / "file"
        path.write_text("old")
        with monkeypatch.context() as patch:
            patch.setattr(storage, "os", Disk(full=full, error=error))
            if full == 2:
                storage.write_file(path, text(b"new"))
                assert path.read_text() == "new"
                return
            with pytest.raises(OSError, match=r"\.file\.tmp") as caught:
                storage.write_file(path, text(b"new"))
        assert caught.value.errno == error
        assert path.read_text() == "old"
        assert names(tmp_path) == ["file"]


FILES = {"b": text(b"two"), "a": text(b"")}


class TestFolder:
    def test_sums_are_those_of_sha256sum(self, tmp_path):
        storage.write_folder(tmp_path / "folder", FILES)
        assert names(tmp_path) == ["folder", "folder/SHA256SUMS", "folder/a", "folder/b"]
        sums = "".join(
            f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in (("a", b""), ("b", b"two"))
        )
        assert (tmp_path / "folder" / "SHA256SUMS").read_text() == sums
        storage.verify_folder(tmp_path / "folder", {"a", "b"})

    def test_it_takes_the_place_of_another(self, tmp_path):
        storage.write_folder(tmp_path / "folder", {"old": text(b"old")})
        storage.write_folder(tmp_path / "folder", FILES)
        assert names(tmp_path) == ["folder", "folder/SHA256SUMS", "folder/a", "folder/b"]

    @pytest.mark.parametrize("full", range(7))
    def test_where_it_cannot_be_written_the_old_one_stays(self, tmp_path, monkeypatch, full):
        storage.write_folder(tmp_path / "folder", {"old": text(b"old")})
        with monkeypatch.context() as patch:
            patch.setattr(storage, "os", Disk(full=full, error=errno.ENOSPC))
            with pytest.raises(OSError, match="No space left"):
                storage.write_folder(tmp_path / "folder", FILES)
        assert names(tmp_path) == ["folder", "folder/SHA256SUMS", "folder/old"]
        storage.verify_folder(tmp_path / "folder", {"old"})

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda folder: (folder / "b").unlink(), "b cannot be read: No such file or directory"),
            (lambda folder: (folder / "SHA256SUMS").unlink(), "SHA256SUMS cannot be read: No such file or directory"),
            (lambda folder: (folder / "b").write_bytes(b"twO"), "b is not as it was written"),
            (lambda folder: (folder / "a").write_bytes(b"\0"), "a is not as it was written"),
            (lambda folder: (folder / "SHA256SUMS").write_bytes(b""), "a is not as it was written"),
            (lambda folder: (folder / "SHA256SUMS").open("ab", 0).write(b"\n"), "SHA256SUMS is not as it was written"),
        ],
        ids=["a file is gone", "sums are gone", "another file", "longer file", "empty sums", "longer sums"],
    )
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_damage_is_named(self, tmp_path, damage, message):
        storage.write_folder(tmp_path / "folder", FILES)
        damage(tmp_path / "folder")
        with pytest.raises(DamagedError, match=f"^{message}$"):
            storage.verify_folder(tmp_path / "folder", {"a", "b"})

    def test_it_is_removed(self, tmp_path):
        storage.write_folder(tmp_path / "folder", FILES)
        storage.remove_folder(tmp_path / "folder")
        storage.remove_folder(tmp_path / "folder")
        assert names(tmp_path) == []


class TestLog:
    def test_lines_are_added(self, tmp_path):
        for line in ("first", "zweite Zeile ∂"):
            log = Log(tmp_path / "log")
            log.append(line)
            log.sync()
            log.close()
            log.close()
        assert (tmp_path / "log").read_text(encoding="utf-8") == "first\nzweite Zeile ∂\n"

    def test_a_full_disk_tears_no_line(self, tmp_path, monkeypatch):
        log = Log(tmp_path / "log")
        log.append("first")
        disk = Disk()

        def write(descriptor, data):
            if len(data) < 5:
                raise OSError(errno.ENOSPC, "No space left on device")
            return os.write(descriptor, bytes(data)[:4])

        disk.write = write
        with monkeypatch.context() as patch:
            patch.setattr(storage, "os", disk)
            with pytest.raises(OSError, match=r"No space left on device: .*log"):
                log.append("second")
        assert (tmp_path / "log").read_text() == "first\n"
        log.append("third")
        log.close()
        assert (tmp_path / "log").read_text() == "first\nthird\n"

    def test_it_is_cut(self, tmp_path):
        (tmp_path / "log").write_text("first\nsecond\n")
        storage.truncate(tmp_path / "log", 6)
        assert (tmp_path / "log").read_text() == "first\n"


def test_folders_are_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage.make_folder(tmp_path / "a" / "b")
    storage.make_folder(tmp_path / "a" / "b")
    from pathlib import Path

    storage.make_folder(Path("c/d"))
    assert names(tmp_path) == ["a", "a/b", "c", "c/d"]


@pytest.mark.parametrize("below", ["", "below", "below/below"])
def test_no_folder_where_a_file_is(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"):
        storage.make_folder(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


def test_only_what_was_half_written_is_swept(tmp_path):
    (tmp_path / ".folder.tmp" / "inner").mkdir(parents=True)
    (tmp_path / ".folder.tmp" / "inner" / "file").write_text("half")
    for name in (".file.tmp", "file.tmp", ".hidden", "kept"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".link.tmp").symlink_to(tmp_path / "kept")
    storage.sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "file.tmp", "kept"]


class TestLock:
    def test_one_at_a_time(self, tmp_path):
        refused = pytest.raises(InUseError, match=f"{tmp_path} is in use by another process")
        with storage.lock(tmp_path), refused, storage.lock(tmp_path):
            pytest.fail("both")
        with storage.lock(tmp_path):
            pass

    def test_it_is_freed_when_its_process_ends(self, tmp_path):
        code = f"""
import os, pathlib
from jmc.train.persistence import storage
held = storage.lock(pathlib.Path({str(tmp_path)!r}))
held.__enter__()
print("held", flush=True)
input()
"""
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout.readline() == b"held\n"
            with pytest.raises(InUseError), storage.lock(tmp_path):
                pytest.fail("both")
            process.kill()
            process.wait()
        with storage.lock(tmp_path):
            pass

    def test_it_is_freed_by_an_error(self, tmp_path):
        with pytest.raises(ZeroDivisionError), storage.lock(tmp_path):
            raise ZeroDivisionError
        with storage.lock(tmp_path):
            pass
