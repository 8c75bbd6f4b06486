"""Every rule in formulas: what is printed is evaluated, and must be what the rule computes."""

import jax
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules
from jmc.checking.oracles import QUICK, double_precision
from jmc.symbolic.catalogue import formula

RULES = rules.records()


def dense(found):
    return [J.dense() for J in (found if isinstance(found, tuple) else (found,))]


def numbers(rule, cotangents):
    """The rule's own numbers: its value, its derivatives (vjps with these cotangents), its second derivative."""

    def at(*args):
        value = rule.f(*args)
        values = value if isinstance(value, tuple) else (value,)
        first = [
            dense(rule.map(k, *args)) if u is None else [rule.vjp(k, u, values[0], *args)]
            for k, u in zip(rule.argnums, cotangents, strict=True)
        ]
        return values, first, dense(rule.hessian(*args)) if rule.second is not None else []

    return jax.jit(at, compiler_options=QUICK)


def agree(found, expected):
    expected = np.squeeze(np.asarray(expected))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-10 * np.abs(expected).max(initial=1e-3))


@pytest.mark.parametrize(("k", "rule"), [*enumerate(RULES)], ids=[rule.name for rule in RULES])
def test_what_is_printed_is_what_the_rule_computes(k, rule):
    found, which = formula(rule), k % 2
    sizes = {axis: found.given.sizes.shape(dims, which) for axis, dims in found.axes.items() if not axis.isdecimal()}
    sizes = {axis: size if axis.startswith("*") else size[0] for axis, size in sizes.items()}
    with double_precision():
        args = rule.sample(which, "float64", sizes)
        space = {p.name: np.squeeze(np.asarray(a)) for p, a in zip(rule.parameters, args, strict=True)}
        space |= found.given.sizes.at(which) | {name: part.at[which] for name, part in found.parts.items()}
        first = [found.derivatives[rule.parameters[k].name] for k in rule.argnums]
        u = np.random.default_rng(k).normal(size=getattr(jax.eval_shape(rule.f, *args), "shape", ()))
        values, derivatives, second = numbers(rule, [u if one[0].cotangent else None for one in first])(*args)
        for equation, value in zip(found.primal, values, strict=True):
            agree(equation.value(space), value)
            space[equation.name] = np.squeeze(np.asarray(value))
        for equations, expected in zip(first, derivatives, strict=True):
            for equation, value in zip(equations, expected, strict=True):
                agree(equation.value(space | {equation.cotangent: np.squeeze(u)}), value)
        for equation, value in zip(found.second, second, strict=True):
            agree(equation.value(space), value)
    assert found.mathml.startswith("<math")


def test_a_rule_in_formulas():
    found = jmc.formula(jmc.rules["K-61"])
    assert found.text == "f = aᵀ X⁻¹ b\n∂f/∂X = −X⁻ᵀ a bᵀ X⁻ᵀ"
    assert found.derivatives["X"][0].latex == r"\frac{\partial f}{\partial X} = -X^{-\top}\, a\, b^{\top}\, X^{-\top}"
    assert found._repr_latex_().startswith(r"$\displaystyle \begin{aligned} f &= a^{\top}")
    assert found.mathml.startswith("<math")


def test_what_has_no_formula_is_a_function_with_a_name():
    found = jmc.formula(jmc.rules["W-D-15"])
    assert found.primal[0].text == "f = logarithm(X, c, h)"
    assert any(note.startswith("logarithm: log X = ") for note in found.notes)


def test_a_loop_as_long_as_an_axis_is_written_for_numbers():
    found = jmc.formula(jmc.rules["polynomial of a matrix"])
    assert any(note.startswith("written for ") for note in found.notes)


def test_only_rules_have_formulas():
    with pytest.raises(TypeError, match=r"`rule` must be a rule, like jmc.rules\['softmax'\], but got str"):
        jmc.formula("softmax")  # pyright: ignore[reportArgumentType] - that is what is tested
