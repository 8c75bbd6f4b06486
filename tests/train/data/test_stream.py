import numpy as np
import pytest
from problems import streamed

from jmc.train.data import stream as room
from jmc.train.data.stream import is_held_out, uniform


def order_of(data, position, examples, seed=0):
    """The numbers of the rows that training sees from a position on; the feature of `streamed` is the row's number."""
    seen = []
    for X, y in data.stream.shuffled(position, seed, "float64", lambda y: y):
        np.testing.assert_array_equal(X[:, 0], y)
        seen += X[:, 0].astype(int).tolist()
        if len(seen) >= examples:
            return seen[:examples]
    raise AssertionError


@pytest.fixture(params=[1 << 30, 160], ids=["one window", "many windows"])
def data(request, monkeypatch):
    """97 rows in blocks of 7, in windows of all of them or of 20 rows."""
    monkeypatch.setattr(room, "WINDOW_BYTES", request.param)
    return streamed(N=97, block=7, validation_fraction=0.25)


class TestOrder:
    def test_an_epoch_has_each_training_example_once(self, data):
        N = data.n_training
        rows = np.flatnonzero(~is_held_out(np.arange(97), 0, 0.25))
        seen = np.reshape(order_of(data, 0, 3 * N), (3, N))
        for epoch in seen:
            np.testing.assert_array_equal(np.sort(epoch), rows)
        assert not np.array_equal(seen[0], seen[1])
        assert not np.array_equal(seen[0], rows)

    def test_it_may_begin_anywhere(self, data):
        N = data.n_training
        whole = order_of(data, 0, 3 * N)
        for position in (1, 7, 20, 21, N - 1, N, N + 5, 2 * N):
            assert order_of(data, position, N) == whole[position : position + N]

    def test_the_seed_matters_and_nothing_else(self, data):
        first = order_of(data, 0, 200)
        assert order_of(data, 0, 200) == first
        assert order_of(data, 0, 200, seed=1) != first

    def test_windows_are_whole_blocks_in_another_order_each_epoch(self, data):
        windows = [data.stream.windows(epoch, 0, "float64") for epoch in range(3)]
        for found in windows:
            np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(14))
        assert not np.array_equal(np.concatenate(windows[0]), np.concatenate(windows[1]))
        assert len(windows[0]) == (1 if room.WINDOW_BYTES > 1000 else len(windows[0]))
        for blocks in windows[0]:
            assert len(blocks) == 1 or data.stream.counts[blocks, 0].sum() <= room.WINDOW_BYTES // 8

    def test_rows_of_different_blocks_are_mixed(self):
        seen = np.array(order_of(streamed(N=400, block=10, validation_fraction=0.0), 0, 400))
        assert len(set(seen[:40] // 10)) > 15

    def test_blocks_without_a_training_row_are_passed_over(self):
        data = streamed(N=40, block=1, validation_fraction=0.5)
        assert 0 in data.stream.counts[:, 0]
        assert sorted(order_of(data, 0, data.n_training)) == np.flatnonzero(data.stream.counts[:, 0]).tolist()


class TestHeldOut:
    def test_a_pure_function_of_the_row_number(self):
        rows = np.arange(10_000)
        found = is_held_out(rows, 3, 0.2)
        np.testing.assert_array_equal(is_held_out(rows[::-1], 3, 0.2)[::-1], found)
        np.testing.assert_array_equal(is_held_out(rows[777:801], 3, 0.2), found[777:801])
        assert np.any(is_held_out(rows, 4, 0.2) != found)

    @pytest.mark.parametrize("fraction", [0.0, 0.2, 0.9])
    def test_its_share(self, fraction):
        found = is_held_out(np.arange(100_000), 0, fraction)
        assert abs(found.mean() - fraction) <= 5 * np.sqrt(fraction * (1 - fraction) / 100_000)
        every_seventh = found[::7]
        assert abs(every_seventh.mean() - fraction) <= 5 * np.sqrt(7 * fraction * (1 - fraction) / 100_000)

    def test_uniform(self):
        u = uniform(np.arange(100_000), 1)
        counts = np.bincount((u * 100).astype(int), minlength=100)
        assert np.sum((counts - 1000) ** 2 / 1000) < 180  # χ² of 99 degrees of freedom: beyond it 1e-6
        assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.02

    def test_parts_share_the_rows(self, data):
        parts = [np.concatenate([X for X, _ in data.stream.in_order(held_out=h)])[:, 0] for h in (False, True)]
        assert [len(part) for part in parts] == [data.n_training, data.n_validation]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(97))
        assert all(np.all(np.diff(part) > 0) for part in parts)
