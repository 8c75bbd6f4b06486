import gc
import itertools
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmc.bench import timing
from jmc.bench.timing import Comparison, compare, compile_seconds, pinned_environment


class FakeClock:
    """Stands still until something is called that takes time."""

    def __init__(self):
        self.now = 0.0
        self.called = []

    def __call__(self):
        return self.now

    def contender(self, name, *durations, result=None):
        """A function whose k-th call takes the k-th of the durations, the last of them from then on."""
        remaining = itertools.chain(durations, itertools.repeat(durations[-1]))

        def call():
            self.called.append(name)
            self.now += next(remaining)
            return result

        return call


@pytest.fixture
def clock():
    return FakeClock()


def test_medians_and_ratios_of_steady_contenders(clock):
    contenders = {"a": clock.contender("a", 0.25), "b": clock.contender("b", 1.0)}
    comparison = compare(contenders, rounds=5, min_round_seconds=1.0, clock=clock)
    assert comparison.seconds == {"a": (0.25,) * 5, "b": (1.0,) * 5}
    assert comparison.per_call("a") == timing.Estimate(0.25, 0.25, 0.25)
    assert comparison.ratio("b", "a") == timing.Estimate(4.0, 4.0, 4.0)
    assert comparison.ratio("a", "b") == timing.Estimate(0.25, 0.25, 0.25)


def test_warm_up_calibration_then_rounds_in_alternating_order(clock):
    contenders = {"a": clock.contender("a", 0.25), "b": clock.contender("b", 1.0)}
    comparison = compare(contenders, rounds=3, warmup=2, min_round_seconds=0.5, clock=clock)
    assert comparison.calls == {"a": 2, "b": 1}
    assert "".join(clock.called) == "aabb" + "aaa" + "b" + "aab" + "baa" + "aab"


def test_slow_first_calls_are_not_measured(clock):
    contenders = {"compiled": clock.contender("c", 100.0, 1.0)}
    comparison = compare(contenders, rounds=2, warmup=1, min_round_seconds=1.0, clock=clock)
    assert comparison.seconds == {"compiled": (1.0, 1.0)}


def test_the_number_of_calls_stays_fixed_after_calibration(clock):
    contenders = {"slowing": clock.contender("s", *[0.25] * 7, 2.0)}
    comparison = compare(contenders, rounds=3, warmup=0, min_round_seconds=1.0, clock=clock)
    assert comparison.calls == {"slowing": 4}
    assert comparison.seconds == {"slowing": (2.0,) * 3}


def test_ratios_are_paired_by_round():
    load = np.random.default_rng(0).uniform(1, 100, 30)  # the machine, differently busy in every round
    comparison = Comparison({"a": tuple(load), "b": tuple(3 * load)}, {"a": 1, "b": 1})
    ratio = comparison.ratio("b", "a")
    np.testing.assert_allclose((ratio.median, ratio.low, ratio.high), 3, rtol=1e-12)
    per_call = comparison.per_call("a")
    assert per_call.low < per_call.median < per_call.high
    assert per_call.high > 1.5 * per_call.low


def test_a_disturbed_round_does_not_move_the_median(clock):
    contenders = {"a": clock.contender("a", 1.0), "b": clock.contender("b", *[2.0] * 3, 500.0, 2.0)}
    comparison = compare(contenders, rounds=15, warmup=1, min_round_seconds=1.0, clock=clock)
    assert max(comparison.seconds["b"]) == 500.0
    assert comparison.ratio("b", "a") == timing.Estimate(2.0, 2.0, 2.0)


def test_intervals_narrow_with_the_noise_and_hold_the_median():
    noise = np.random.default_rng(1).normal(size=40)
    widths = []
    for scale in (0.01, 0.1):
        estimate = Comparison({"a": tuple(5 + scale * noise)}, {"a": 1}).per_call("a")
        assert estimate.median == np.median(5 + scale * noise)
        assert estimate.low <= estimate.median <= estimate.high
        widths.append(estimate.high - estimate.low)
    np.testing.assert_allclose(widths[1] / widths[0], 10, rtol=1e-6)


def test_the_same_rounds_give_the_same_interval():
    comparison = Comparison({"a": tuple(np.random.default_rng(2).uniform(size=20))}, {"a": 1})
    assert comparison.per_call("a") == comparison.per_call("a")


def test_every_result_is_waited_for(clock, monkeypatch):
    waited = []
    monkeypatch.setattr(jax, "block_until_ready", waited.append)
    result = {"loss": 0.0}
    compare({"a": clock.contender("a", 1.0, result=result)}, rounds=2, min_round_seconds=1.0, clock=clock)
    assert len(waited) == len(clock.called) == 3 + 1 + 2
    assert all(one is result for one in waited)


@pytest.mark.parametrize("result", [None, 1.5, np.ones(2), (np.ones(2), {"w": jnp.ones(2)}), "text"])
def test_any_result_will_do(clock, result):
    comparison = compare({"a": clock.contender("a", 1.0, result=result)}, rounds=2, clock=clock)
    assert comparison.per_call("a").median == 1.0


def test_no_garbage_is_collected_during_rounds(clock):
    def contender():
        states.append(gc.isenabled())
        clock.now += 1.0

    states = []
    compare({"a": contender}, rounds=2, warmup=0, clock=clock)
    assert states == [False] * 3
    assert gc.isenabled()


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was_after_a_failure(clock, enabled):
    def contender():
        raise ArithmeticError

    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ArithmeticError):
            compare({"a": contender}, warmup=0, clock=clock)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contenders": {}}, "`contenders` must hold at least one function, but got none"),
        ({"rounds": 1}, "`rounds` must be at least 2, for an interval, but got 1"),
        ({"warmup": -1}, "`warmup` must not be negative, but got -1"),
        ({"min_round_seconds": 0.0}, "`min_round_seconds` must be positive and finite, but got 0.0"),
        ({"min_round_seconds": float("nan")}, "`min_round_seconds` must be positive and finite, but got nan"),
    ],
)
def test_settings_out_of_range(clock, settings, message):
    settings = {"contenders": {"a": clock.contender("a", 1.0)}} | settings
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        compare(settings.pop("contenders"), clock=clock, **settings)
    assert not clock.called


def test_unknown_contender():
    comparison = Comparison({"a": (1.0, 1.0), "b": (1.0, 1.0)}, {"a": 1, "b": 1})
    with pytest.raises(ValueError, match=r"^`name` must be one of 'a', 'b', but got 'c'$"):
        comparison.ratio("a", "c")


def test_a_readable_table():
    comparison = Comparison(
        {"closed form": (2e-6,) * 3, "autodiff": (5e-6,) * 3, "by hand": (4e-3,) * 3, "nothing": (1e-9,) * 3},
        {"closed form": 8192, "autodiff": 2048, "by hand": 4, "nothing": 2**24},
    )
    assert str(comparison).splitlines() == [
        "× closed form            per call     rounds × calls",
        "1                        2 µs [2, 2]  3 × 8192        closed form",
        "2.5 [2.5, 2.5]           5 µs [5, 5]  3 × 2048        autodiff",
        "2000 [2000, 2000]        4 ms [4, 4]  3 × 4           by hand",
        "0.0005 [0.0005, 0.0005]  1 ns [1, 1]  3 × 16777216    nothing",
    ]


def test_to_dict_is_json(clock):
    contenders = {"a": clock.contender("a", 0.25), "b": clock.contender("b", 1.0)}
    comparison = compare(contenders, rounds=2, min_round_seconds=1.0, clock=clock)
    steady = {"low": 4.0, "median": 4.0, "high": 4.0}
    content = json.loads(json.dumps(comparison.to_dict()))
    assert (content["reference"], content["confidence"]) == ("a", 0.95)
    assert content["contenders"]["b"] == {
        "ratio": steady,
        "seconds_per_call": dict.fromkeys(steady, 1.0),
        "calls_per_round": 1,
        "rounds": [1.0, 1.0],
    }
    assert content["contenders"]["a"]["ratio"]["median"] == 1.0


def test_compile_seconds():
    ticks = iter([10.0, 13.5])
    traced = []

    @jax.jit
    def square(x):
        traced.append(x)
        return x * x

    compiled, seconds = compile_seconds(square, jnp.arange(3.0), clock=lambda: next(ticks))
    assert seconds == 3.5
    assert len(traced) == 1
    np.testing.assert_array_equal(compiled(jnp.array([1.0, 2.0, 3.0])), [1, 4, 9])
    assert len(traced) == 1


def test_pinned_environment():
    environment = pinned_environment(threads=2)
    assert environment["NPROC"] == environment["OMP_NUM_THREADS"] == "2"
    assert environment["MALLOC_TRIM_THRESHOLD_"] == "34359738368"
    assert environment["MALLOC_TOP_PAD_"] == "1073741824"
    with pytest.raises(ValueError, match=r"^`threads` must be at least 1, but got 0$"):
        pinned_environment(0)


def test_pin_process_starts_the_command_anew_once(tmp_path):
    script = tmp_path / "benchmark.py"
    script.write_text(
        "import json, os, sys\n"
        "from jmc.bench.timing import pin_process\n"
        "print('start', flush=True)\n"
        "pin_process(threads=3)\n"
        "assert not {'jax', 'numpy', 'scipy'} & sys.modules.keys()\n"
        "print(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    )
    bare = {name: value for name, value in os.environ.items() if name not in pinned_environment()}
    command = [sys.executable, "-B", script, "--rounds", "two words"]
    done = subprocess.run(command, env=bare | {"KEPT": "yes"}, capture_output=True, text=True, check=True)
    *starts, last = done.stdout.splitlines()
    arguments, environment = json.loads(last)
    assert starts == ["start", "start"]
    assert arguments == ["--rounds", "two words"]
    assert environment.items() >= (pinned_environment(3) | {"KEPT": "yes"}).items()
