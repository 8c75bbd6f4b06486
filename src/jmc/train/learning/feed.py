"""The batches of a chunk of steps from a stream, read ahead by a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Array

    from jmc.train.learning.problem import Problem

T = TypeVar("T")
Window = tuple[np.ndarray, np.ndarray]


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, made by a thread, of which one waits while the next is in the making.

    Whatever ``items`` raises is raised here; closing the iterator ends the thread.
    """
    ready: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(1)
    closed, end = threading.Event(), object()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((item, error), timeout=0.05)
                return

    def work() -> None:
        try:
            for item in items:
                put(item)
                if closed.is_set():
                    return
            put(end)
        except BaseException as error:  # raised again in the thread that reads
            put(end, error)

    thread = threading.Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        closed.set()
        thread.join()


class Feed:
    """The arrays of a chunk of steps: its batches, one after the other, in the order of a stream.

    ``windows(position)`` gives the examples from a place in that order on, ``(X, y)`` at a time. As long as each
    chunk begins where the one before ended, they are read ahead.
    """

    def __init__(self, windows: Callable[[int], Iterator[Window]], batch: int, length: int):
        self._windows, self._batch, self._length = windows, batch, length
        self._position = -1
        self._reader: Iterator[Window] = iter(())
        self._left: Window | None = None

    def __call__(self, start: int, stop: int) -> tuple[Array, Array]:
        """``X: (length · batch, d)`` and ``y`` likewise, zeros behind the steps start … stop − 1."""
        if start * self._batch != self._position:
            self.close()
            self._position = start * self._batch
            self._reader = read_ahead(self._windows(self._position))
        rows, done = (stop - start) * self._batch, 0
        X = y = None
        while done < rows:
            features, targets = self._left or next(self._reader)
            if X is None or y is None:
                X, y = (np.empty((self._length * self._batch, *a.shape[1:]), a.dtype) for a in (features, targets))
            taken = min(rows - done, len(features))
            X[done : done + taken], y[done : done + taken] = features[:taken], targets[:taken]
            self._left = (features[taken:], targets[taken:]) if taken < len(features) else None
            done += taken
        assert X is not None
        assert y is not None
        X[rows:], y[rows:] = 0, 0
        self._position += rows
        return jnp.asarray(X), jnp.asarray(y)

    def close(self) -> None:
        """Ends the thread that reads ahead."""
        if isinstance(self._reader, Generator):
            self._reader.close()
        self._left, self._position = None, -1


@contextlib.contextmanager
def feeding(
    problem: Problem, targets: Callable[[np.ndarray], np.ndarray], training: tuple[Array, Array]
) -> Iterator[Callable[[int, int], tuple[Array, Array]]]:
    """What gives `loop.train` its examples: ``training``, or the stream of the problem's data, read ahead."""
    stream, seed = problem.data.stream, problem.config.train.seed
    if stream is None or problem.batch_size is None:
        yield lambda *_: training
        return

    def windows(position: int) -> Iterator[Window]:
        return stream.shuffled(position, seed, problem.compute_dtype, targets)

    with contextlib.closing(Feed(windows, problem.batch_size, problem.chunk)) as feed:
        yield feed
