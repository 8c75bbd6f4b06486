import math

import numpy as np
import pytest

from jmc.page.formatting import clean, duration, number, percent, shape, short, tick

THIN = "\u202f"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0, "0"),
        (-0.0, "0"),
        (1234567, f"1{THIN}234{THIN}567"),
        (2912.7, f"2{THIN}913"),
        (53.97, "53.97"),
        (0.4736, "0.4736"),
        (0.47, "0.4700"),
        (-0.01234, "−0.01234"),
        (9.9999, "10.00"),
        (999999.9, f"1{THIN}000{THIN}000"),
        (3.14159e-8, f"3.142{THIN}×{THIN}10⁻⁸"),
        (-1e300, f"−1.000{THIN}×{THIN}10³⁰⁰"),
        (np.float32(0.5), "0.5000"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_digits():
    assert number(0.4736, 3) == "0.474"
    assert number(2.9e-8, 2) == f"2.9{THIN}×{THIN}10⁻⁸"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (5000, f"5{THIN}000"),
        (0.30000000000000004, "0.3"),
        (-0.25, "−0.25"),
        (1e-6, "10⁻⁶"),
        (2.5e9, f"2.5{THIN}×{THIN}10⁹"),
    ],
)
def test_tick(value, text):
    assert tick(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.975, "97.5"), (0.95, "95.0"), (1, "100"), (0.0, "0"), (0.99999, "99.9"), (1e-6, "0.1")],
)
def test_percent_says_all_and_none_only_where_it_is_so(share, text):
    assert percent(share) == f"{text}{THIN}%"


@pytest.mark.parametrize("share", [None, math.nan])
def test_percent_of_nothing(share):
    assert percent(share) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.26e-6, f"3.26{THIN}µs"),
        (5e-10, f"0.500{THIN}ns"),
        (0, f"0{THIN}ns"),
        (0.912, f"912{THIN}ms"),
        (4.2, f"4.20{THIN}s"),
        (119.0, f"119{THIN}s"),
        (125.4, f"2{THIN}min 5{THIN}s"),
        (7300, f"2{THIN}h 1{THIN}min"),
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_shape():
    assert shape((64, 10)) == f"64{THIN}×{THIN}10"
    assert shape(()) == "scalar"


def test_texts():
    assert clean("a\x00\x1b\ud800\ufffeb\n\u00e9\U0001f600") == "a\ufffd\ufffd\ufffd\ufffdb\n\u00e9\U0001f600"
    assert short("two\n lines\x00") == "two lines\ufffd"
    assert short("x" * 30, 10) == "x" * 9 + "…"
