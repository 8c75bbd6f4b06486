import pytest

from jmc.bench.regression import changes
from jmc.bench.summary import exponent, failures, growth, lines


def contender(package, rounds, jmc=None, **more):
    middle = sorted(rounds)[len(rounds) // 2]
    found = {"package": package, "status": "measured", "rounds": rounds, "written_bytes": 4, "roof": 0.5}
    found["seconds"] = {"median": middle, "low": min(rounds), "high": max(rounds)}
    if jmc is not None:
        ratios = sorted(a / b for a, b in zip(rounds, jmc, strict=True))
        found["ratio"] = {"median": ratios[len(ratios) // 2], "low": ratios[0], "high": ratios[-1]}
    return found | more


def record(ours, theirs, size=10, **more):
    contenders = {"jmc": contender("jmc", ours, ours), "jacrev": contender("jax", theirs, ours)} | more
    case = {"suite": "s", "case": "c", "size": size, "headline": True, "flops": 1.0, "contenders": contenders}
    return {"dtype": "float32", "machine": {"device": "d"}, "cases": [case]}


FAST, SLOW = [1.0, 1.1, 0.9, 1.05, 0.95], [3.0, 3.2, 2.9, 3.1, 3.05]


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [(FAST, SLOW, "jmc"), (SLOW, FAST, "jacrev"), (FAST, [1.2, 0.8, 1.0, 1.1, 0.9], "even")],
)
def test_who_is_ahead(ours, theirs, verdict):
    (line,) = lines(record(ours, theirs))
    assert line.verdict == verdict
    assert line.rival == "jacrev"


def test_formulas_by_hand_are_no_rivals():
    (line,) = lines(record(FAST, SLOW, hand=contender("hand", FAST, FAST)))
    assert (line.rival, line.verdict, line.by_hand.median) == ("jacrev", "jmc", 1.0)


def test_failures_of_others_are_notes_and_of_jmc_are_told():
    found = record(FAST, SLOW, asdex={"package": "asdex", "status": "failed", "note": "KeyError: 3"})
    assert [line.notes for line in lines(found)] == [("asdex: failed, KeyError: 3",)]
    assert failures(found) == []
    found["cases"][0]["contenders"]["jmc"] = {"package": "jmc", "status": "wrong", "note": "off by 1"}
    assert failures(found) == ["s, c at 10: wrong, off by 1"]
    (line,) = lines(found)
    assert (line.seconds, line.versus, line.verdict) == (None, None, "")


def test_growth_is_fitted_to_the_larger_sizes():
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)
    assert exponent([1, 2, 4, 8, 16], [1.0, 1.0, 16.0, 64.0, 256.0]) == pytest.approx(2)
    assert exponent([1], [1.0]) is None
    found = record(FAST, SLOW, 10)
    found["cases"] += record([2.0] * 5, [6.0] * 5, 20)["cases"]
    assert growth(found, "s", "c")["jmc"] == ([10, 20], [1.0, 2.0], pytest.approx(1))


def test_a_regression_is_relative_to_the_others():
    old = record(FAST, SLOW)
    (same,) = changes(old, record([2 * t for t in FAST], [2 * t for t in SLOW]))
    assert not same.regressed
    assert same.against == "jacrev"
    (worse,) = changes(old, record([2 * t for t in FAST], SLOW))
    assert worse.regressed
    assert worse.ratio.median == pytest.approx(2, rel=0.1)
    (better,) = changes(record([2 * t for t in FAST], SLOW), old)
    assert better.improved


def test_only_like_is_compared():
    other = record(FAST, SLOW) | {"dtype": "float64"}
    with pytest.raises(
        ValueError, match="`--compare` must name a record of the same dtype, 'float64', but got 'float32'"
    ):
        list(changes(record(FAST, SLOW), other))
    assert list(changes(record(FAST, SLOW, 10), record(FAST, SLOW, 20))) == []
