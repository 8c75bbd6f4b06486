import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import configure

from jmc.train.learning.stopping import Best, is_over, update

NAN = math.nan


def watching(watch="validation_loss", patience=2, min_delta=0.0):
    return configure(train={"steps": 10, "watch": watch, "patience": patience, "min_delta": min_delta}).train


def seen(values, config):
    best = Best()
    for step, value in enumerate(values, 1):
        best = update(best, step, value, config)
    return best


@pytest.mark.parametrize(
    ("values", "step", "since"),
    [
        ([], 0, 0),
        ([3.0], 1, 0),
        ([3.0, 3.0], 1, 1),  # a tie is no better
        ([3.0, 2.0, 2.5], 2, 1),
        ([3.0, 4.0, 2.0], 3, 0),
        ([NAN, NAN], 0, 2),
        ([NAN, 3.0, NAN], 2, 1),
        ([math.inf, 3.0, -math.inf], 3, 0),
        ([math.inf, math.inf], 1, 1),
    ],
)
def test_lower_is_better(values, step, since):
    best = seen(values, watching())
    assert (best.step, best.since) == (step, since)
    if step:
        assert best.value == values[step - 1]


def test_higher_is_better_for_what_is_best_at_one():
    for watch in ("validation_r2", "validation_accuracy"):
        assert seen([0.5, 0.7, 0.6], watching(watch))[:2] == (2, 0.7)
    for watch in ("validation_rmse", "validation_mae", "loss"):
        assert seen([0.5, 0.7, 0.6], watching(watch))[:2] == (1, 0.5)


def test_better_by_min_delta_at_least():
    assert seen([1.0, 0.95, 0.9, 0.75], watching(min_delta=0.125)).step == 4
    assert seen([1.0, 0.95, 0.9, 0.875], watching(min_delta=0.125)) == (1, 1.0, 3)


def test_over_after_patience():
    config = watching(patience=2)
    assert [is_over(seen([1.0, 2.0, 3.0][:n], config), config) for n in range(4)] == [False, False, False, True]
    assert not is_over(Best(1, 1.0, 10**6), watching(patience=None))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), st.sampled_from(["loss", "validation_r2"]))
def test_the_best_is_the_first_of_the_best_values(values, watch):
    better = max if watch == "validation_r2" else min
    best = seen(values, watching(watch))
    assert (best.step, best.value) == (values.index(better(values)) + 1, better(values))
    assert best.since == len(values) - best.step
