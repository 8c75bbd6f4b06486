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
    """The Hessian of a deep network: Σ_nc p_nc G_nci G_ncj X_nk X_nl, where every G is a product of ten layers."""
    n, c, k, m = fresh((64, 10, 32, 32))
    sides = [[c, *fresh([32] * 10)] for _ in range(2)]
    chains = [[*itertools.pairwise(side), *((n, label) for label in side[1:])] for side in sides]
    (a, b), p, (x, y) = [side[-1] for side in sides], (n, c), [(n, k), (n, m)]
    S = [p, (n, c, a), (n, c, b)]
    parts = [(chains[0], S[1]), (chains[1], S[2]), (S, [n, a, b]), ([(n, a, b), x, y], [a, b, k, m])]
    assert cost([*chains[0], *chains[1], p, x, y], [a, b, k, m]) <= sum(cost(*part) for part in parts)
