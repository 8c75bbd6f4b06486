"""A disk that fails: `os` as `jmc.train.persistence.storage` sees it, ending, refusing or forgetting at any call that changes a file."""

import os
from contextlib import suppress
from pathlib import Path

CHANGES = ("mkdir", "open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "rmdir")


class Crash(BaseException):
    """The process is no more: nothing catches this, and nothing changes a file after it."""


class Disk:
    """Passes calls on to `os`, counting those that change files.

    At call number ``end`` (from 0) the process ends: before the call, or with ``half`` after half of a write. ``error``
    is raised by every write from number ``full`` on instead. After a `lose_power` nothing is left that was not flushed:
    neither the bytes of a file nor a new name in a folder.
    """

    def __init__(self, end=None, half=False, full=None, error=None):
        self.end, self.half, self.full, self.error = end, half, full, error
        self.calls, self.dead = [], False
        self._paths, self._sizes, self._renames = {}, {}, []

    def __getattr__(self, name):
        real = getattr(os, name)
        if name not in CHANGES:
            return real

        def call(*arguments):
            if name == "open" and not arguments[1] & os.O_CREAT:
                descriptor = real(*arguments)
                self._paths[descriptor] = Path(arguments[0])
                return descriptor
            if self.dead:
                raise Crash
            number = len(self.calls)
            self.calls.append(name)
            if number == self.end:
                self.dead = True
                if self.half and name == "write":
                    real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise Crash
            if self.full is not None and number >= self.full and name in ("write", "mkdir", "open"):
                raise OSError(self.error, os.strerror(self.error))
            return self._noted(name, real, arguments)

        return call

    def _noted(self, name, real, arguments):
        """Makes the call, and remembers what a loss of power would undo."""
        if name in ("replace", "rename"):
            source, target = map(Path, arguments)
            before = target.read_bytes() if target.is_file() else None
            real(*arguments)
            self._renames.append((source, target, before))
            return None
        if name == "unlink":
            self._sizes.pop(os.stat(arguments[0]).st_ino, None)
        result = real(*arguments)
        if name == "open":
            self._paths[result], found = Path(arguments[0]), os.fstat(result)
            if arguments[1] & os.O_TRUNC:
                self._sizes[found.st_ino] = 0
            self._sizes.setdefault(found.st_ino, found.st_size)
        elif name == "fsync":
            path = self._paths[arguments[0]]
            if path.is_dir():
                self._renames = [rename for rename in self._renames if rename[1].parent != path]
            self._sizes[os.fstat(arguments[0]).st_ino] = os.fstat(arguments[0]).st_size
        return result

    def lose_power(self, folder):
        for source, target, before in reversed(self._renames):
            if target.exists() and not source.exists():
                os.rename(target, source)
                if before is not None:
                    target.write_bytes(before)
        for path in folder.rglob("*"):
            size = self._sizes.get(path.stat().st_ino) if path.is_file() else None
            if size is not None:
                with suppress(OSError):
                    os.truncate(path, min(size, path.stat().st_size))
