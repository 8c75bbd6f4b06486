import math

import numpy as np
import pytest

from jmc.train.learning.metrics import metrics, totals

Y = np.array([1.0, 2.0, 3.0, 6.0])


def test_regression_by_hand():
    found = metrics("regression", Y, np.array([1.0, 3.0, 3.0, 4.0]))
    assert found == pytest.approx({"r2": 1 - 5 / 14, "rmse": math.sqrt(5 / 4), "mae": 3 / 4})


@pytest.mark.parametrize(("prediction", "r2"), [(Y, 1.0), (np.full(4, 3.0), 0.0), (-Y, 1 - 200 / 14)])
def test_r2_of_the_exact_the_mean_and_the_opposite(prediction, r2):
    assert metrics("regression", Y, prediction)["r2"] == pytest.approx(r2)


def test_r2_of_equal_targets_is_not_a_number():
    found = metrics("regression", np.full(3, 2.0), np.array([1.0, 2.0, 3.0]))
    assert math.isnan(found["r2"])
    assert found["mae"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("extreme", [1e200, np.inf, np.nan])
def test_a_diverging_prediction_is_measured_without_a_warning(extreme):
    found = metrics("regression", Y, np.array([1.0, extreme, -extreme, 2.0]))
    assert not any(map(math.isfinite, (found["r2"], found["rmse"])))


def test_accuracy():
    assert metrics("classification", np.array([0, 1, 2, 2]), np.array([0, 2, 2, 2])) == {"accuracy": 0.75}


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
def test_totals_of_two_parts_add_up_to_those_of_both(cut):
    rng = np.random.default_rng(0)
    y, a = rng.normal(100, 1, 9), rng.normal(100, 1, 9)
    both = totals("regression", y[:cut], a[:cut]) + totals("regression", y[cut:], a[cut:])
    assert both.metrics() == pytest.approx(metrics("regression", y, a), rel=1e-11)
    y, a = rng.integers(0, 3, 9), rng.integers(0, 3, 9)
    both = totals("classification", y[:cut], a[:cut]) + totals("classification", y[cut:], a[cut:])
    assert both.metrics() == metrics("classification", y, a)


def test_a_target_that_never_changes_has_no_r2():
    assert np.isnan(metrics("regression", np.full(1000, 0.1), np.zeros(1000))["r2"])
