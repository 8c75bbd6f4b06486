import pytest

from jmc.catalogue.registry import rules
from jmc.catalogue.rule import entry
from jmc.catalogue.shapes import shown, table, value_axes
from jmc.linear import build


def test_axes_of_values_have_the_names_of_the_arguments():
    assert value_axes(rules["affine"]) == [("*n", "*m")]
    assert value_axes(rules["K-60"]) == [("n", "n")]
    assert value_axes(rules["K-61"]) == [()]
    assert value_axes(rules["avg_pool"]) == [("N", "c", "*m")]  # as its annotation has it
    assert value_axes(rules["L-conv2d"]) == [("n", "o", "h−i+1", "w−j+1")]
    assert value_axes(rules["softmax, second derivative"]) == [("*n", "k", "*n", "k")]


def test_axes_that_are_sums_products_and_numbers(own_rules):
    import jax.numpy as jnp

    rule = entry(
        "several", "", "x: m, y: n",
        lambda x, y: (jnp.concatenate([x, y]), jnp.outer(x, y).ravel(), x[1:], jnp.stack([x, x])),
        lambda x, y: build.identity(x.shape),
    )  # fmt: skip
    assert value_axes(rule) == [("m+n",), ("m·n",), ("m−1",), ("2", "m")]


def test_shown():
    assert [shown(axes) for axes in ([], ["n"], ["n", "k"])] == ["()", "(n,)", "(n, k)"]


@pytest.mark.parametrize(
    ("out", "in_", "tables"),
    [
        ("", "", ("1 × 1", "1 × 1", "1 × 1")),
        ("", "n", ("1 × n", "n × 1", "n × 1")),
        ("m", "", ("m × 1", "1 × m", "m × 1")),
        ("m", "n", ("m × n", "n × m", "m × n")),
        ("", "pq", ("q × p", "p × q", "p × q")),
        ("mn", "", ("m × n", "n × m", "m × n")),
        ("mn", "pq", ("m·n × p·q", "p·q × m·n", "m·n × p·q")),
    ],
)
def test_sizes_of_tables(out, in_, tables):
    assert tuple(table(out, in_, layout) for layout in ("numerator", "denominator", "mixed")) == tables
