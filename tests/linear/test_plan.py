"""The order of a contraction: the fewest operations."""

import itertools

import numpy as np

from jmc.linear.plan import flops
from jmc.linear.term import Factor, fresh

i, j = fresh((3, 4))


def cost(operands, keep):
    return flops([Factor(None, tuple(labels)) for labels in operands], keep)


def test_a_vector_goes_through_a_chain_of_matrices():
    a, b, c, d = fresh((50, 60, 70, 80))
    assert cost([(a, b), (b, c), (c, d), (d,)], [a]) == 2 * (70 * 80 + 60 * 70 + 50 * 60)
    assert cost([(a,), (a, b), (b, c), (c, d)], [d]) == 2 * (50 * 60 + 60 * 70 + 70 * 80)


def test_the_bottleneck_of_a_network_is_multiplied_first():
    """500-20-500-20-500: forward and reverse mode take 2·500·20·500·3 operations; cross-country far fewer."""
    layers = fresh((500, 20, 500, 20, 500))
    chain = list(itertools.pairwise(layers))
    assert cost(chain, [layers[0], layers[-1]]) <= 1.2e7


def test_few_factors_are_planned_no_worse_than_pairwise_from_either_side():
    rng = np.random.default_rng(0)
    for _ in range(30):
        layers = fresh(rng.integers(2, 50, 6).tolist())
        chain = list(itertools.pairwise(layers))
        sizes = [label.size for label in layers]
        forward = sum(2 * sizes[0] * sizes[n] * sizes[n + 1] for n in range(1, 5))
        reverse = sum(2 * sizes[-1] * sizes[n] * sizes[n + 1] for n in range(4))
        assert cost(chain, [layers[0], layers[-1]]) <= min(forward, reverse)


def test_a_long_chain_is_planned_quickly():
    layers = fresh([7] * 40)
    chain = list(itertools.pairwise(layers))
    assert cost(chain, [layers[0], layers[-1]]) == 38 * 2 * 7**3


def test_one_operand_or_none():
    assert cost([], []) == 0
    assert cost([(i, j)], [i, j]) == 0
    assert cost([(i, j)], [i]) == 12
    assert cost([(i, j), (i, j), (j, i)], [i, j]) == 24


def test_the_last_steps_of_many_are_the_best():
    """The Hessian of a deep network: Σ_n F_nij X_nk X_nl, F a product of ten layers, each with a mask, from the left."""
    n, i, k, m, classes = fresh((64, 32, 32, 32, 10))
    layers = [classes, *fresh([32] * 10)]
    chain = [(n, i, classes)]
    for pair in itertools.pairwise(layers):
        chain += [pair, (n, pair[1])]
    last = [n, i, layers[-1]]
    outer = [(n, k), (n, m)]
    alone = cost(chain, last) + cost([last, *outer], [layers[-1], k, i, m])
    assert cost([outer[0], *chain, outer[1]], [layers[-1], k, i, m]) <= alone
