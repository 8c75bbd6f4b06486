import threading

import numpy as np
import pytest

from jmc.train.learning.feed import Feed, read_ahead


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


class TestReadAhead:
    def test_the_same_items_in_their_order(self):
        assert list(read_ahead(iter(range(100)))) == [*range(100)]
        assert list(read_ahead(iter([]))) == []
        assert threads() == []

    def test_one_is_made_ahead(self):
        made, second = [], threading.Event()

        def items():
            for i in range(3):
                made.append(i)
                if i == 1:
                    second.set()
                yield i

        reader = read_ahead(items())
        assert next(reader) == 0
        assert second.wait(10)
        reader.close()

    def test_an_error_comes_where_its_item_would(self):
        def items():
            yield 1
            raise OSError(5, "Input/output error")

        reader = read_ahead(items())
        assert next(reader) == 1
        with pytest.raises(OSError, match="Input/output error"):
            next(reader)
        assert threads() == []

    def test_closing_ends_the_thread(self):
        def forever():
            while True:
                yield 0

        reader = read_ahead(forever())
        next(reader)
        assert len(threads()) == 1
        reader.close()
        assert threads() == []


SIZES = [5, 1, 13, 2, 8]


def windows(position):
    """Examples 0, 1, 2, … in windows of these sizes."""
    at, size = 0, 0
    while True:
        n = SIZES[size % len(SIZES)]
        if at + n > position:
            rows = np.arange(max(at, position), at + n)
            yield np.stack([rows, -rows], axis=1).astype(np.float32), rows.astype(np.int32)
        at, size = at + n, size + 1


@pytest.fixture
def feed():
    made = Feed(windows, 3, 4)
    yield made
    made.close()


def rows_of(arrays, steps):
    X, y = (np.asarray(array) for array in arrays)
    assert (X.shape, y.shape, X.dtype, y.dtype) == ((12, 2), (12,), np.float32, np.int32)
    used = 3 * steps
    np.testing.assert_array_equal(X[:used], np.stack([y, -y], axis=1)[:used])
    assert not X[used:].any()
    assert not y[used:].any()
    return y[:used].tolist()


def test_chunks_of_any_length_one_after_the_other(feed):
    at = 0
    for steps in (4, 1, 3, 4, 2, 4):
        assert rows_of(feed(at, at + steps), steps) == [*range(3 * at, 3 * (at + steps))]
        at += steps


def test_it_may_begin_anywhere_and_go_back(feed):
    for at in (17, 2, 0, 5):
        assert rows_of(feed(at, at + 4), 4) == [*range(3 * at, 3 * at + 12)]
        assert len(threads()) == 1


def test_closed_it_leaves_no_thread_and_may_go_on(feed):
    feed(0, 4)
    feed.close()
    assert threads() == []
    assert rows_of(feed(4, 8), 4) == [*range(12, 24)]


def test_an_error_of_the_file_comes_through():
    def broken(position):
        raise OSError(5, "Input/output error")
        yield

    with pytest.raises(OSError, match="Input/output error"):
        Feed(broken, 3, 4)(0, 1)
