"""Every function that is a rule: sizes, types, and what a vjp must be. A new one is tested by existing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.catalogue.registry import rules
from jmc.catalogue.rule import elementwise, rule
from jmc.checking.oracles import QUICK, double_precision

jit = functools.partial(jax.jit, compiler_options=QUICK)

DECORATED = [rule for rule in rules.records() if rule.vjps]
each_rule = pytest.mark.parametrize("rule", DECORATED, ids=lambda rule: rule.name)
# Distinct primes, so that a transposed or swapped axis cannot pass; then one and none of everything.
GENERIC = {"*n": (2, 3), "*b": (2, 3), "*m": (5,), "*s": (3, 5), "N": 7, "d": 11, "k": 5, "m": 3}
BATCHED = GENERIC | {"*n": (7,), "*b": (7,), "*m": (), "*s": ()}
SINGLE = dict.fromkeys(GENERIC, 1) | {"*n": (), "*b": (), "*m": (), "*s": (1,)}
ONES = dict.fromkeys(GENERIC, 1) | {"*n": (1,), "*b": (1,), "*m": (1,), "*s": (1, 1)}
EMPTY = GENERIC | {"*n": (0,), "*b": (0,), "*m": (2,), "*s": (0, 3), "N": 0}
NO_FEATURES = GENERIC | {"*n": (2,), "*m": (2,), "d": 0}
NO_UNITS = GENERIC | {"*n": (2,), "*m": (0,), "m": 0}

EDGES = (BATCHED, SINGLE, ONES, EMPTY, NO_FEATURES, NO_UNITS)


def draw(rule, sizes, dtype, seed=0):
    return rule.sample(np.random.default_rng(seed), dtype, sizes)


def cotangent_for(rule, args, dtype, seed=0):
    shape = jax.eval_shape(rule.f, *args).shape
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def closed(rule, args, u):
    """uᵀ J for every real argument by the closed forms."""
    value = rule.f(*args)
    return [rule.vjp(i, u, value, *args) for i in rule.argnums]


def automatic(rule, args, u):
    """The same by JAX's reverse mode over the primal."""
    real = list(rule.argnums)

    def restricted(*moved):
        return rule.f(*[moved[real.index(i)] if i in real else arg for i, arg in enumerate(args)])

    return jax.vjp(restricted, *[args[i] for i in real])[1](u)


@each_rule
def test_sizes_zero_and_one(rule, x64):
    drawn = [draw(rule, sizes, jnp.float64, seed=1) for sizes in EDGES]
    us = [cotangent_for(rule, args, jnp.float64) for args in drawn]
    pairs = list(zip(drawn, us, strict=True))
    every = jit(lambda pairs: [[f(rule, *pair) for f in (closed, automatic)] for pair in pairs])
    for pair in every(pairs):
        for stated, auto in zip(*pair, strict=True):
            assert stated.dtype == auto.dtype
            np.testing.assert_allclose(stated, auto, rtol=1e-11, atol=1e-13, strict=True)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("bfloat16", 3e-2)])
@each_rule
def test_lower_precision_keeps_its_dtype_and_digits(rule, dtype, tolerance):
    args = draw(rule, GENERIC, dtype)
    u = cotangent_for(rule, args, dtype)
    low = jit(closed, static_argnums=0)(rule, args, u)
    with double_precision():
        exact = [arg.astype("float64") if jnp.issubdtype(arg.dtype, jnp.floating) else arg for arg in args]
        high = jit(closed, static_argnums=0)(rule, exact, u.astype("float64"))
    scale = max(np.linalg.norm(fine) for fine in high)
    for rough, fine in zip(low, high, strict=True):
        assert rough.dtype == dtype
        assert np.linalg.norm(np.asarray(rough, np.float64) - np.asarray(fine)) <= tolerance * scale


@each_rule
def test_vjp_is_linear_in_the_cotangent(rule, x64):
    args = draw(rule, GENERIC, jnp.float64)
    u, v = cotangent_for(rule, args, float), cotangent_for(rule, args, float, seed=1)
    pull = jit(functools.partial(closed, rule))
    for both, one, other, none in zip(*(pull(args, w) for w in (2 * u - 3 * v, u, v, 0 * u)), strict=True):
        np.testing.assert_allclose(both, 2 * one - 3 * other, rtol=1e-12, atol=1e-13)
        assert not np.any(none)


@each_rule
def test_public_name_is_the_primal_with_its_documentation(rule):
    public = getattr(jmc, rule.name)
    args = draw(rule, GENERIC, jnp.float32)
    one, other = jit(lambda *args: (public(*args, **rule.options), rule.f(*args)))(*args)
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    assert public.__doc__
    assert rule.source


def test_a_rule_has_options():
    norm = rules["layer_norm"]
    assert norm.options == {"eps": 1e-5}
    assert norm.at(eps=1e-5) is norm
    assert norm.at(eps=0.5) is norm.at(eps=0.5)
    x, one = jnp.array([1.0, -1.0]), jnp.ones(2)
    wide = jmc.layer_norm(x, one, one, eps=3.0)
    np.testing.assert_allclose(wide, [1.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(norm.at(eps=3.0).f(x, one, one), wide, rtol=1e-6)
    np.testing.assert_allclose(
        jmc.jacobian(lambda x: jmc.layer_norm(x, one, one, eps=3.0))(x).mv(x), [3 / 8, -3 / 8], rtol=1e-6
    )
    with pytest.raises(TypeError, match=r"layer_norm has the options \['eps'\], but got \['epsilon'\]"):
        norm.at(epsilon=1)
    with pytest.raises(TypeError, match="`eps` of layer_norm must be a constant, but got"):
        jmc.layer_norm(x, one, one, eps=jnp.float32(1))


def test_a_rule_must_be_complete():
    from jaxtyping import Array, Float

    with pytest.raises(TypeError, match=r"closed form for each of \['x'\], but got \['z'\]"):

        @rule(vjp={"z": lambda u, a, x: u}, source="")
        def incomplete(x: Float[Array, ""]) -> Float[Array, ""]:
            return x

    with pytest.raises(TypeError, match="`x` of bare must be annotated"):

        @elementwise(derivative=jnp.ones_like, source="")
        def bare(x):
            return x

    with pytest.raises(ValueError, match="`relu` must be a new name"):

        @elementwise(derivative=jnp.ones_like, source="")
        def relu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
            return x


def test_integer_argument_has_no_vjp():
    labels = rules["softmax_cross_entropy_with_labels"]
    args = draw(labels, GENERIC, jnp.float32)
    with pytest.raises(TypeError, match="`labels` of softmax_cross_entropy_with_labels is an integer"):
        labels.vjp("labels", jnp.float32(1), labels.f(*args), *args)
