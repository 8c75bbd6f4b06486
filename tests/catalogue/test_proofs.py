"""Every rule of the catalogue is proved, and so is its second derivative; what a source has wrong is refuted."""

import dataclasses

import jax
import numpy as np
import pytest

from jmc.catalogue.registry import rules
from jmc.checking.proof import check

RECORDS = rules.records()
SECOND = [rules[f"{rule.name}, second derivative"] for rule in RECORDS if rule.second is not None]
PRINTED = [rule for rule in RECORDS if rule.printed is not None]
named = {"ids": lambda rule: rule.name}


@pytest.mark.parametrize("rule", [*RECORDS, *SECOND], **named)
def test_the_closed_form_agrees_with_every_oracle(rule):
    proof = check(rule, points=1)
    assert proof.ok, str(proof)
    assert len(proof.oracles) >= 3
    assert not proof.hidden


@pytest.mark.parametrize("rule", PRINTED, **named)
def test_the_printed_form_fails(rule):
    jacobians = tuple(rule.printed if k == rule.argnums[0] else None for k in range(len(rule.parameters)))
    printed = dataclasses.replace(rule, jacobians=jacobians, argnum=rule.argnums[0], vjps=(), derivative=None)
    assert rule.erratum
    assert not check(printed, points=1).ok


@pytest.mark.parametrize("rule", RECORDS, **named)
def test_the_jacobian_is_nested_as_jax_nests_it(rule):
    args = rule.sample(1, np.float32)
    closed = jax.eval_shape(rule.jacobian, *args)
    automatic = jax.eval_shape(jax.jacfwd(rule.f, rule.argnum), *args)
    maps, tree = jax.tree.flatten(closed, is_leaf=lambda leaf: hasattr(leaf, "out_shape"))
    arrays = jax.tree.leaves(automatic)
    assert tree == jax.tree.structure(automatic)
    assert [(J.out_shape + J.in_shape, J.dtype) for J in maps] == [(a.shape, a.dtype) for a in arrays]
