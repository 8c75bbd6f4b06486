"""Files that appear whole or not at all, folders that show when a byte of them has changed, one writer at a time.

Everything a run writes goes through here, and through `os` alone, so that tests can end it at any call. A file is
written under another name, flushed to the device, renamed, and the rename flushed: a crash leaves the old file or the
new one, and at most a `.NAME.tmp`, which `sweep` removes.
"""

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOCK, SUMS = ".lock", "SHA256SUMS"
_BUFFER = 2**20
_O_BINARY = getattr(os, "O_BINARY", 0)

Fill = Callable[["Sink"], Any]


class InUseError(RuntimeError):
    """Another process writes to the directory."""


class DamagedError(ValueError):
    """A folder is not as it was written; the message says in what."""


class Sink:
    """A file being written: buffered, hashed, and never sought in, so that an archive can be streamed to it."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._pending = bytearray()
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        if len(self._pending) + len(data) > _BUFFER:
            self.flush()
        if len(data) > _BUFFER:
            self._send(data)
        else:
            self._pending += data
        return len(data)

    def flush(self) -> None:
        pending, self._pending = bytes(self._pending), bytearray()
        self._send(pending)

    def _send(self, data: bytes) -> None:
        self._digest.update(data)
        _write_all(self._descriptor, data)

    def sha256(self) -> str:
        """The hash of all that was flushed."""
        return self._digest.hexdigest()


class Log:
    """A file of lines that grows; a line is on it as a whole, or not at all. Raises OSError."""

    def __init__(self, path: Path):
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _O_BINARY, 0o666)

    def append(self, line: str) -> None:
        """Hands one line to the operating system; where the disk is full, what it took is taken back."""
        size = os.fstat(self._descriptor).st_size
        try:
            _write_all(self._descriptor, f"{line}\n".encode())
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, size)
            raise _named(error, self._path) from None

    def sync(self) -> None:
        """Waits until all lines are on the device."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def write_file(path: Path, fill: Fill) -> None:
    """Puts what ``fill`` writes at ``path``, in place of what is there. Raises OSError."""
    partial = _partial(path)
    try:
        _write(partial, fill)
    except OSError:
        with suppress(OSError):
            os.unlink(partial)  # a full disk gets its space back
        raise
    os.replace(partial, path)
    _sync_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, Fill]) -> None:
    """Puts a folder of these files and their SHA256SUMS at ``path``, in place of what is there. Raises OSError."""
    partial = _partial(path)
    _remove_tree(partial)
    os.mkdir(partial)
    try:
        sums = {name: _write(partial / name, fill) for name, fill in files.items()}
        _write(partial / SUMS, lambda sink: sink.write(_listing(sums)))
        _sync_folder(partial)
    except OSError:
        with suppress(OSError):
            _remove_tree(partial)
        raise
    remove_folder(path)
    rename(partial, path)


def verify_folder(path: Path, names: set[str]) -> None:
    """Raises DamagedError unless the folder holds the files ``names`` as `write_folder` wrote them."""
    try:
        sums = {name: _sha256(path / name) for name in sorted(names)}
        expected = _listing(sums)
        with (path / SUMS).open("rb") as file:
            found = file.read(len(expected) + 1)
    except OSError as error:
        raise DamagedError(f"{Path(error.filename or path).name} cannot be read: {error.strerror or error}") from None
    if found != expected:
        lines = found.splitlines()
        name = next((name for name, line in zip(sums, expected.splitlines(), strict=True) if line not in lines), SUMS)
        raise DamagedError(f"{name} is not as it was written")


def remove_folder(path: Path) -> None:
    """Removes a folder, if it is there; a crash leaves it whole, or as a `.NAME.tmp`. Raises OSError."""
    if path.exists():
        doomed = path.with_name(f".{path.name}.old.tmp")
        _remove_tree(doomed)
        os.rename(path, doomed)
        _remove_tree(doomed)


def remove_file(path: Path) -> None:
    """Removes a file for good, if it is there. Raises OSError."""
    if path.exists():
        os.unlink(path)
        _sync_folder(path.parent)


def rename(path: Path, to: Path) -> None:
    """Renames a file or folder for good. Raises OSError."""
    os.rename(path, to)
    _sync_folder(to.parent)


def make_folder(path: Path) -> None:
    """Makes the folder, and those above it, where they are missing. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    try:
        os.mkdir(path)
    except FileExistsError:
        if not path.is_dir():
            raise
    _sync_folder(path.parent)


def truncate(path: Path, size: int) -> None:
    """Cuts the file down to its first ``size`` bytes. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | _O_BINARY)
    try:
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Removes what a crash left half written in the folder. Raises OSError."""
    for path in folder.glob(".*.tmp"):
        _remove_tree(path)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Holds the folder for this process, which no other can then hold; the system frees it when the process ends.

    Raises InUseError where another holds it, OSError where it cannot be locked.
    """
    from filelock import FileLock, Timeout

    held = FileLock(folder / LOCK, timeout=0)
    try:
        held.acquire()
    except Timeout:
        raise InUseError(f"{folder} is in use by another process, which writes its run there") from None
    try:
        yield
    finally:
        held.release()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _write(path: Path, fill: Fill) -> str:
    """Writes the file and flushes it to the device; returns its SHA-256."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _O_BINARY, 0o666)
        try:
            sink = Sink(descriptor)
            fill(sink)
            sink.flush()
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _named(error, path) from None
    return sink.sha256()


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _named(error: OSError, path: Path) -> OSError:
    return OSError(error.errno, error.strerror, str(path)) if error.errno and not error.filename else error


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # of file systems that flush a rename by themselves
            raise _named(error, path) from None
    finally:
        os.close(descriptor)


def _remove_tree(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for name in os.listdir(path):
            _remove_tree(path / name)
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _listing(sums: Mapping[str, str]) -> bytes:
    """The lines that `sha256sum -c` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode()
