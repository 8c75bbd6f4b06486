"""Worked examples: their intermediate variables compose to the rule, and the tables say what is computed."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmc.catalogue.registry import rules
from jmc.catalogue.steps import Steps

WORKED = [rule for rule in rules.records() if rule.steps is not None]


@pytest.mark.parametrize("rule", WORKED, ids=lambda rule: rule.name)
def test_steps_compose_to_the_rule(rule, x64):
    args = rule.sample(3)
    steps = rule.steps
    last = steps.steps[-1].name
    assert [*steps.inputs] == [parameter.name for parameter in rule.parameters]
    np.testing.assert_allclose(steps.values(*args)[last], rule.f(*args), rtol=1e-14)
    np.testing.assert_allclose(steps.forward(*args)[last].dense(), rule.map(0, *args).dense(), rtol=1e-12)
    backward = steps.backward(*args)
    for k in rule.argnums:
        np.testing.assert_allclose(backward[rule.parameters[k].name].dense(), rule.map(k, *args).dense(), rtol=1e-12)


def test_the_single_variable_rule_is_wrong_where_paths_meet():
    for key, by_one_path in (("P-4.5.2.1", 6.0), ("P-4.5.2.6", 18.0), ("P-4.5.1.3", 6 * np.cos(9))):
        rule, x = rules[key], jnp.float32(3)
        np.testing.assert_allclose(rule.steps.naive(x).dense(), by_one_path, rtol=1e-6)
        right = np.allclose(by_one_path, rule.jacobian(x).dense(), rtol=1e-6)
        assert right != rule.steps.branched
    assert rules["P-4.5.2.1"].jacobian(jnp.float32(3)).dense() == 7


def test_tables_of_several_paths():
    steps = rules["P-4.5.2.5"].steps
    assert steps.forward_table(jnp.float32(0)).splitlines() == [
        "forward  expression  value  d/dx",
        "x                    0      1",
        "u₁       x²          0      2x                0",
        "u₂       x + u₁      0      1 + du₁/dx        1",
        "u₃       sin(u₂)     0      cos(u₂) · du₂/dx  1",
        "total: du₃/dx = 1",
        "the single-variable rule misses a path: ∂u₃/∂u₂ ∂u₂/∂u₁ ∂u₁/∂x = 0",
    ]
    assert steps.backward_table(jnp.float32(0)).splitlines() == [
        "backward  du₃/d…",
        "u₃        1                       1",
        "u₂        cos(u₂)                 1",
        "u₁        du₃/du₂                 1",
        "x         du₃/du₂ + du₃/du₁ · 2x  1",
    ]


def test_vectors_are_shown_by_their_structure():
    rule = rules["P-5.2"]
    table = rule.steps.forward_table(jnp.array([1.0, 2.0]), jnp.array([3.0, 5.0]))
    assert "diagonal(x)      diagonal(2)" in table
    assert "[3. 5.]" in table.splitlines()[-1]
    assert "total" not in table


def test_every_step_must_be_complete():
    with pytest.raises(ValueError, match=r"`u2` must have known arguments, of \['x', 'u1'\]"):
        Steps("x", u1=(lambda x: x, lambda x: 1), u2=(lambda z: z, lambda z: 1))
    with pytest.raises(ValueError, match=r"a partial derivative for each, but got .* and 1"):
        Steps("x, y", u=(lambda x, y: x * y, lambda x, y: y))
