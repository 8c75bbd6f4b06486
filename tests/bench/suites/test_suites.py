"""Every case of every suite, at a small size: all who compete give the right answer."""

import jax
import pytest

from jmc.bench.case import Draw
from jmc.bench.measure import measure
from jmc.bench.run import SUITES, plan

SMALL = 7  # no size of the cases themselves, and odd
CASES = [item for item in plan([s for s in SUITES if s != "startup"]) if item.headline]


@pytest.mark.parametrize("item", CASES, ids=lambda item: f"{item.suite}, {item.name}")
def test_all_give_the_answer(item):
    with (
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
        jax.default_matmul_precision("highest"),
    ):
        found = measure(
            item.series.make(SMALL, Draw("float32")),
            dtype="float32",
            peers=("jax", "numpy"),
            seconds=0.0,
        )
    assert next(iter(found["contenders"])) == "jmc"
    for name, contender in found["contenders"].items():
        assert contender["status"] == "slow", f"{name}: {contender}"  # right, and for want of time called once


@pytest.mark.parametrize(
    ("suite", "name"), [("jacobians", "8 layers"), ("hessians", "logistic regression"), ("ntk", "gradient norms, all")]
)
def test_operations_by_hand_are_those_that_xla_counts(suite, name):
    (item,) = [item for item in CASES if (item.suite, item.name) == (suite, name)]
    case = item.series.make(64, Draw("float32"))
    with jax.numpy_rank_promotion("allow"):
        compiled = jax.jit(case.contenders["by hand"].run).lower(*case.args).compile()
    counted = compiled.cost_analysis()["flops"]
    assert 0.8 < case.flops / counted < 1.25


def test_the_headlines_come_first():
    items = plan(["hessians"])
    headlines = [item.headline for item in items]
    assert headlines == sorted(headlines, reverse=True)
    rest = [item.size for item in items if not item.headline]
    assert rest == sorted(rest)


def test_sizes_are_chosen_by_memory_and_by_wish():
    assert {item.size for item in plan(["hessians"], sizes=(3, 5))} == {3, 5}
    large = plan(["jacobians"], large=True, room=2**30)
    assert all(item.series.bytes_at(item.size) <= 2**29 for item in large)
    largest = {item.name: item.size for item in large if item.headline}
    assert largest["softmax, dense"] == 2000
    assert largest["element-wise, diagonal"] == 10**6
