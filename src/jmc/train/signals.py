"""SIGINT and SIGTERM during a run: the first asks it to save and stop, the second ends the process at once."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it


class InterruptedRunError(Exception):
    """The run was asked to stop; ``signal`` is the number of the signal."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Interruption:
    """Whether the run was asked to stop. Without `interruptible` it never is."""

    def __init__(self) -> None:
        self._signal: int | None = None

    @property
    def pending(self) -> bool:
        return self._signal is not None

    def check(self) -> None:
        """Raises InterruptedRunError if the run was asked to stop."""
        if self._signal is not None:
            raise InterruptedRunError(self._signal)

    def receive(self, number: int) -> None:
        """Takes note of the first signal; a second one ends the process with 128 plus its number."""
        if self._signal is not None:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(2, _SHOW_CURSOR)
            os._exit(128 + number)
        self._signal = number


@contextlib.contextmanager
def interruptible() -> Iterator[Interruption]:
    """Within it, SIGINT and SIGTERM set the flag that is yielded, in place of what they do by default.

    Python runs its handlers between two bytecodes, which a long compilation puts off; a thread that is woken by the
    signal itself takes note of it at once. Outside the main thread, which alone may set handlers, nothing changes.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    watcher = threading.Thread(target=_watch, args=(reader, interruption), name="signals", daemon=True)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in handlers:
        signal.signal(number, lambda *_: None)
    wakeup = signal.set_wakeup_fd(writer)
    watcher.start()
    try:
        yield interruption
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        watcher.join()
        os.close(reader)


def _watch(reader: int, interruption: Interruption) -> None:
    while received := os.read(reader, 64):
        for number in received:
            if number in SIGNALS:
                interruption.receive(number)
