import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmc.bench.case import Case, Contender, Draw
from jmc.bench.measure import Limits, difference, fastest, measure
from jmc.linear.contract import TooLarge


def case(**contenders):
    found = {"jmc": Contender(lambda x: 2 * x, "jmc"), **contenders}
    return Case((jnp.arange(1.0, 6),), found, lambda x: x + x, flops=5)


def measured(found, peers=("jax", "numpy"), seconds=0.05, dtype="float32"):
    return measure(found, dtype=dtype, peers=peers, seconds=seconds)["contenders"]


def test_what_is_right_takes_turns():
    found = measured(
        case(other=Contender(lambda x: x + x), numpy=Contender(lambda x: np.asarray(x) * 2, "numpy", False))
    )
    assert [found[name]["status"] for name in ("jmc", "other", "numpy")] == ["measured"] * 3
    assert found["jmc"]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert len(found["other"]["rounds"]) == len(found["jmc"]["rounds"]) >= 5
    assert found["jmc"]["written_bytes"] == 20
    assert found["other"]["compile_seconds"] > 0 == found["numpy"]["compile_seconds"]
    assert fastest({"contenders": found}) in found
    assert fastest({"contenders": found}, but="jmc") in ("other", "numpy")
    assert fastest({"contenders": {}}) is None


def test_what_is_wrong_is_not_timed():
    found = measured(
        case(
            off=Contender(lambda x: 2.001 * x),
            shape=Contender(lambda x: (2 * x)[:-1]),
            nan=Contender(lambda x: x * jnp.nan),
            close=Contender(lambda x: 2 * x * (1 + 1e-6)),
        )
    )
    assert {name: found[name]["status"] for name in found} == {
        "jmc": "measured",
        "off": "wrong",
        "shape": "wrong",
        "nan": "wrong",
        "close": "measured",
    }
    assert found["off"]["note"] == "off by 5.0e-04 of the largest entry, more than 3e-05"
    assert "(4,)" in found["shape"]["note"]
    assert "seconds" not in found["off"]


def test_the_reference_is_computed_in_float64():
    assert measured(case(), dtype="float64")["jmc"]["error"] < 1e-7
    third = Case((jnp.ones(3),), {"jmc": Contender(lambda x: x / 3, "jmc")}, lambda x: x / 3)
    assert 0 < measured(third)["jmc"]["error"] < 1e-7


def raising(error):
    def run(x):
        raise error

    return Contender(run, compiled=False)


def test_failures_are_results():
    found = measured(
        case(
            memory=raising(MemoryError()),
            device=raising(RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4 bytes")),
            large=raising(TooLarge("would need 5 GiB")),
            broken=raising(ZeroDivisionError("division by zero")),
            missing=Contender(lambda x: x, "torch", False, prepare=lambda args: args),
        ),
        peers=("jax",),
    )
    assert [found[name]["status"] for name in ("memory", "device", "large")] == ["out of memory"] * 3
    assert found["broken"]["status"] == "failed"
    assert found["broken"]["note"] == "ZeroDivisionError: division by zero"
    assert "missing" not in found  # nobody asked for it


def test_what_has_no_room_is_not_run(monkeypatch):
    monkeypatch.setattr("jmc.bench.measure.memory_bytes", lambda: 10)
    found = measured(case())
    assert found["jmc"]["status"] == "out of memory"
    assert "GiB of" in found["jmc"]["note"]


def test_absent_packages_are_named(monkeypatch):
    monkeypatch.setattr("jmc.bench.measure.importlib.util.find_spec", lambda name: None)
    found = measured(case(peer=Contender(lambda x: 2 * x, "asdex")), peers=("asdex",))
    assert found["peer"] == {"status": "absent", "note": "asdex is not installed", "package": "asdex"}


def test_slow_ones_are_called_once_more_and_no_oftener():
    calls = []

    def slow(x):
        import time

        calls.append(time.sleep(0.05))
        return 2 * x

    found = measured(case(slow=Contender(slow, compiled=False)), seconds=0.1)
    assert found["slow"]["status"] == "slow"
    assert len(calls) == 2
    assert found["slow"]["seconds"]["median"] >= 0.05
    assert found["jmc"]["status"] == "measured"


def test_differences_are_of_the_largest_entry():
    wanted = [np.array([1.0, -4.0]), np.zeros(2), np.zeros((0, 3))]
    assert difference([np.array([1.0, -4.2]), np.zeros(2), np.zeros((0, 3))], wanted) == pytest.approx(0.05)
    assert difference([np.array([1.0, -4.0]), np.array([0.0, 0.5]), np.zeros((0, 3))], wanted) == 0.5
    assert difference([np.array([np.inf, 1]), np.zeros(2), np.zeros((0, 3))], wanted) == np.inf


def test_draws_are_the_same_numbers_in_every_dtype():
    single, double = Draw("float32")(3, 2, seed=1), Draw("bfloat16")(3, 2, seed=1)
    assert single.shape == (3, 2)
    np.testing.assert_array_equal(double, single.astype("bfloat16"))
    assert not np.array_equal(single, Draw("float32")(3, 2, seed=2))


def test_nobody_starts_who_may_not_end_in_time():
    now = [0.0]

    def slow(x):
        now[0] += 30
        return np.asarray(x) * 2

    found = case(**{f"torch {k}": Contender(slow, "numpy", False) for k in range(3)})
    limits = Limits(ends=100.0, clock=lambda: now[0])
    records = measure(found, dtype="float32", peers=("numpy",), seconds=0.05, limits=limits)["contenders"]
    # Each is called twice, 60 s: the second would end after 120 s.
    assert [records[f"torch {k}"]["status"] for k in range(3)] == ["measured", "no time", "no time"]
    assert "seconds" not in records["torch 1"]


def test_a_compiled_call_that_is_slow_is_made_once():
    calls = []

    def counted(x):
        jax.debug.callback(lambda: calls.append(1))
        return 2 * x

    found = measured(case(slow=Contender(counted)), seconds=0.0)
    assert found["slow"]["status"] == "slow"
    assert len(calls) == 1
