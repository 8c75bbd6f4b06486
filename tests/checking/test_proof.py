import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import jmc
from jmc.catalogue.rule import elementwise, entry
from jmc.checking.hidden import hidden
from jmc.checking.proof import check
from jmc.linear import build

RNG = np.random.default_rng(0)


def test_a_proof_counts_comparisons_by_oracle(own_rules):
    rule = entry("a form", "", "A: n n, x: n", lambda A, x: x @ A @ x, {"x": lambda A, x: (A + A.T) @ x})
    proof = jmc.check(rule, points=4)
    assert proof.ok
    assert proof.oracles == ["Ridders differences", "forward AD", "reverse AD", "complex step"]
    assert {tally.comparisons for tally in proof.tallies.values()} == {4}
    assert all(tally.largest < 1e-10 for tally in proof.tallies.values())
    assert proof.as_dict()["agreeing"] == proof.oracles
    assert str(proof).startswith("a form: proved")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda A, x: A @ x,
        lambda A, x: A.T @ x,
        lambda A, x: -(A + A.T) @ x,
        lambda A, x: (A + A.T) @ x * (1 + 1e-9),
        lambda A, x: (A + A.T) @ x + 1e-9,
        lambda A, x: jnp.zeros_like(x),
        lambda A, x: jnp.full_like(x, jnp.nan),
    ],
)
def test_every_mistake_is_found(own_rules, wrong):
    assert not jmc.check(entry("a form", "", "A: n n, x: n", lambda A, x: x @ A @ x, {"x": wrong}), points=1).ok


def test_one_wrong_entry_among_large_ones_is_found(own_rules):
    rule = entry("scaled", "", "x: n", lambda x: jnp.exp(9 * jnp.arange(x.size)) @ x,
                 lambda x: jnp.exp(9 * jnp.arange(x.size)) + 1e-6 * (jnp.arange(x.size) == 0))  # fmt: skip
    assert not jmc.check(rule, points=1).ok


def test_an_exact_zero_is_no_mistake_where_automatic_differentiation_rounds(own_rules):
    rule = entry("the identity", "", "X: n n invertible", lambda X: jnp.linalg.inv(X) @ X @ X,
                 lambda X: build.identity(X.shape))  # fmt: skip
    assert jmc.check(rule, points=1).ok


def test_a_zero_that_should_be_tiny_is_found(own_rules):
    rule = entry("a tail", "", "x: n", lambda x: jnp.exp(-50.0) * x[0] + x[1], lambda x: jnp.zeros_like(x).at[1].set(1))
    assert not jmc.check(rule, points=1).ok


def test_automatic_differentiation_is_told_when_it_is_wrong(own_rules):
    @elementwise(derivative=jnp.exp, source="", analytic=True)
    def expm1(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """eˣ − 1"""
        return jnp.expm1(x)  # whose derivative in JAX is expm1(x) + 1, 0 at −40

    proof = jmc.check(own_rules["expm1"])
    assert proof.ok
    assert any("automatic differentiation is wrong at x = -40: 0, but it is 4.25e-18" in note for note in proof.notes)


def test_a_kink_lies_between_the_slopes_on_its_sides(own_rules):
    def stated(at_zero):
        return elementwise(
            derivative=lambda x: jnp.where(x == 0, at_zero, jnp.sign(x)), source="", kinks="0", kinks_at=(0.0,)
        )

    @stated(0.5)
    def size(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """|x|"""
        return jnp.abs(x)

    @stated(1.5)
    def wrong_size(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """|x|"""
        return jnp.abs(x)

    proof = jmc.check(own_rules["size"])
    assert proof.ok
    assert "at the kink x = 0, slopes -1 and 1: 0.5 here, 1 in JAX" in proof.notes
    assert any("x = 0" in failure for failure in jmc.check(own_rules["wrong_size"]).failures)


def test_only_rules_are_checked():
    with pytest.raises(TypeError, match=r"`rule` must be a rule of jmc\.rules, but got builtin_function_or_method"):
        check(len)


def dense(entries, out_rank):
    return build.dense(entries.astype(np.float32), out_rank), entries


@pytest.mark.parametrize(
    ("entries", "out_rank", "what"),
    [
        (np.diag(RNG.normal(size=5)), 1, "zero off the diagonal of axes 0 and 1"),
        (np.einsum("ni,ab->naib", np.eye(3), RNG.normal(size=(5, 7))), 2, "axes 0 and 2"),
        (np.einsum("i,j->ij", RNG.normal(size=5), RNG.normal(size=3)), 1, "the product of an array on axes (0,)"),
        (np.einsum("ij,ab->iajb", RNG.normal(size=(5, 3)), RNG.normal(size=(2, 7))), 2, "on axes (0, 2)"),
        (RNG.normal(size=(5, 3)), 1, ""),
        (np.diag(RNG.normal(size=5)) + 1e-3, 1, ""),
        (RNG.normal(size=(1, 3)), 1, ""),
        (np.zeros((0, 3)), 1, ""),
    ],
)  # fmt: skip
def test_hidden_structure(entries, out_rank, what):
    found = hidden(*dense(entries, out_rank))
    assert (what in found) if what else not found


def test_what_a_map_shows_is_not_hidden():
    assert hidden(build.diagonal(jnp.arange(1.0, 6)), np.diag(np.arange(1.0, 6))) == ""
