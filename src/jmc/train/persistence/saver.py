"""When a run is saved, and by whom: one thread beside the training, which waits for it only where it must."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from jmc.train.config.schema import CheckpointConfig


class Saver:
    """Saves when ``config`` says so, never twice at once. What a save raises is raised by the next call here."""

    def __init__(self, config: CheckpointConfig):
        self._config = config
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._last = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Whether the state after ``step`` steps is to be saved: by the number, or as it is time and none is saved now.

        Raises what the last save raised.
        """
        saving = self._pending is not None and not self._pending.done()
        if not saving:
            self.wait()
        every, seconds = self._config.every_steps, self._config.every_seconds
        by_time = bool(seconds) and not saving and time.monotonic() - self._last >= seconds
        return by_time or (every > 0 and step % every == 0)

    def save(self, write: Callable[[], None]) -> None:
        """Calls ``write`` in the thread, after the save before it is done."""
        self.wait()
        self._last = time.monotonic()
        self._pending = self._thread.submit(write)

    def wait(self) -> None:
        """Returns when nothing is being saved; raises what the save raised."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Lets a save that has begun come to its end."""
        self._thread.shutdown()
