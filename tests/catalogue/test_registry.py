import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.notation import NOTATION
from jmc.catalogue.record import Rule
from jmc.catalogue.registry import UnknownRule, natural, rules
from jmc.catalogue.rule import elementwise, entry
from jmc.linear import build


def test_a_mapping_by_name_and_by_id():
    assert rules["K-61"] is rules["bilinear form of the inverse"]
    assert jmc.rules is rules
    assert len(rules) == len([*rules]) == len({*rules})
    assert "softmax" in rules
    assert "sofmax" not in rules
    with pytest.raises(UnknownRule, match="`sofmax` must be the name or the id of a rule, but there is none; did you"):
        rules["sofmax"]


def test_every_id_states_a_rule_or_is_notation():
    for identity in rules.ids():
        assert isinstance(rules[identity], Rule)
        assert identity in rules[identity].ids
        assert rules[identity].source
    assert not {*NOTATION} & {*rules}


def test_part_of_a_rule_is_about_its_arguments_alone():
    assert rules["P-5.4"].argnum == 0
    assert rules["P-5.4"].f is rules["affine"].f
    assert rules["affine"].argnum == (0, 1, 2)
    assert {"P-5.4", "P-5.5"} <= {*rules.ids_of(rules["affine"])}


def test_records_have_distinct_functions_and_stand_in_their_family():
    records = rules.records()
    assert len({id(rule) for rule in records}) == len(records)
    assert sum(map(len, rules.families().values())) == len(records)
    assert rules["affine"] in rules.families()["affine"]


def test_ids_sort_by_their_numbers():
    assert sorted(["K-100", "K-9", "K-64a", "K-64"], key=natural) == ["K-9", "K-64", "K-64a", "K-100"]


def test_a_user_registers_a_rule_that_engine_and_checks_pick_up(own_rules):
    from jaxtyping import Array, Float

    @elementwise(derivative=lambda x: 3 * x * x, second=lambda x: 6 * x, source="x³ by hand", analytic=True)
    def cubed(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """x³"""
        return x**3

    assert own_rules["cubed"].source == "x³ by hand"
    assert jmc.check(own_rules["cubed"], points=1).ok
    assert jmc.check(own_rules["cubed, second derivative"], points=1).ok
    x = jnp.arange(1.0, 6)
    assert jmc.jacobian(cubed)(x).structure == "diagonal(5)"
    assert "integer_pow[y=2]" in str(jax.make_jaxpr(jax.grad(lambda x: jnp.sum(cubed(x))))(x))
    assert "integer_pow[y=2]" not in str(jax.make_jaxpr(jmc.grad(lambda x: jnp.sum(cubed(x))))(x))


def test_a_wrong_rule_is_not_proved_and_says_where(own_rules):
    entry("a wrong square", "", "x: n", lambda x: x @ x, lambda x: x)
    proof = jmc.check(own_rules["a wrong square"])
    assert not proof.ok
    assert "NOT proved" in str(proof)
    assert "point 1, ∂f/∂x" in proof.failures[0]


def test_a_name_or_id_is_taken_once(own_rules):
    with pytest.raises(ValueError, match="`K-61` must be a new name, but there is a rule for it from Petersen"):
        entry("another", "K-61", "x: n", lambda x: x @ x, lambda x: 2 * x)


def test_a_signature_describes_the_arguments(own_rules):
    with pytest.raises(ValueError, match=r"`signature` of a sum must describe the arguments \('x', 'y'\)"):
        entry("a sum", "", "x: n", lambda x, y: x + y, lambda x, y: build.identity(x.shape))
    with pytest.raises(ValueError, match="`x` must have axes of one letter and a known kind, but got 'poistive'"):
        entry("a sum", "", "x: n poistive", lambda x: x, lambda x: build.identity(x.shape))


def test_arguments_are_drawn_from_the_domain():
    rule = rules["K-61"]
    X, a, b = rule.sample(jax.random.key(0))
    assert X.shape == (*a.shape, *b.shape)
    assert np.linalg.cond(X) < 10
    assert [array.dtype for array in rule.sample(3, "float16")] == ["float16"] * 3
    for left, right in zip(rule.sample(5), rule.sample(5), strict=True):
        np.testing.assert_array_equal(left, right)
    assert rule.sample(0, sizes={"n": 4})[0].shape == (4, 4)


def test_jacobian_and_hessian_of_a_rule():
    X, a, b = rules["K-61"].sample(0)
    J = rules["K-61"].jacobian(X, a, b)
    assert isinstance(J, jmc.LinearMap)
    np.testing.assert_allclose(J.dense(), jax.grad(rules["K-61"].f)(X, a, b), rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match="bilinear form of the inverse states no second derivative"):
        rules["K-61"].hessian(X, a, b)
    with pytest.raises(TypeError, match="`a` of bilinear form of the inverse is a real argument without a derivative"):
        rules["K-61"].map("a", X, a, b)
