"""Products of terms: what is composed with what, and that structure is kept, not a factor made of zeros and ones."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal

from jmc.linear.linear_map import LinearMap
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, dense, identity, plain, plains, row
from jmc.linear.unify import compose, unified


def compiled(f):
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def of(term):
    shapes = [tuple(axis.size for axis in side) for side in (term.out, term.in_)]
    return LinearMap([term], *shapes, "float32")


def index(n, *positions):
    label = Label(len(positions))
    where = jnp.asarray([NOWHERE if k is None else k for k in positions], "int32")
    return label, Axis(n, ((label, 0),), 0, where)


def take(n, *positions):
    """out[k] = in[positions[k]]"""
    label, axis = index(n, *positions)
    return Term(1, (), (plain(label),), (axis,))


def cut(n, count, stride, start):
    """out[k] = in[start + stride k], also from beyond the ends."""
    label = Label(count)
    return Term(1, (), (plain(label),), (Axis(n, ((label, stride),), start),))


def shaped(*sizes):
    """A matrix of these sizes, read in row-major order as a vector."""
    labels = [Label(n) for n in sizes]
    strides = [math.prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return Term(1, (), (Axis(math.prod(sizes), tuple(zip(labels, strides, strict=True))),), plains(labels))


def window(n, count, width, low):
    """out[o] = Σ_w weights[w] in[o + w − low]"""
    o, w = Label(count), Label(width)
    return Term(1, (Factor(normal(width), (w,)),), (plain(o),), (Axis(n, ((o, 1), (w, 1)), -low),))


def turned():
    a, b = Label(3), Label(4)
    return Term(1, (), plains((a, b)), plains((b, a)))


def diagonal(n):
    label = Label(n)
    return Term(-2, (Factor(normal(n), (label,)),), (plain(label),), (plain(label),))


SIX = {
    "dense": lambda: dense(normal(6, 6), 1),
    "diagonal": lambda: diagonal(6),
    "identity": lambda: identity((6,)),
    "row": lambda: row(normal(6)),
    "flip": lambda: cut(6, 6, -1, 5),
    "every second": lambda: cut(6, 3, 2, 1),
    "every third, backwards": lambda: cut(6, 2, -3, 4),
    "shift": lambda: cut(6, 6, 1, 2),
    "shift beyond the ends": lambda: cut(6, 9, 1, -2),
    "one entry": lambda: Term(1, (), (), (Axis(6, (), 4),)),
    "outside": lambda: Term(1, (), (), (Axis(6, (), 6),)),
    "gather": lambda: take(6, 5, 0, None, 5),
    "2×3": lambda: shaped(2, 3).T,
    "3×2": lambda: shaped(3, 2).T,
    "6×1": lambda: shaped(6, 1).T,
    "1×3×2": lambda: shaped(1, 3, 2).T,
    "window": lambda: window(6, 6, 3, 1),
    "long window": lambda: window(6, 3, 6, 2),
    "a vector as a diagonal matrix": lambda: Term(1, (), (lambda p: (p, p))(plain(label := Label(6))), (plain(label),)),
    "ones": lambda: Term(1, (), (plain(Label(2)),), (plain(Label(6)),)),
}


def test_products_of_all_pairs():
    """A Bᵀ, for all A and B on vectors of six, as one program."""
    left, right = ({name: make() for name, make in SIX.items()} for _ in range(2))
    pairs = itertools.combinations_with_replacement(SIX, 2)
    products = {(a, b): compose(left[a], right[b].T) for a, b in pairs}

    def everything(parts):
        return [J.dense() for J in parts]

    found = compiled(everything)([of(term) for term in products.values() if term is not None])
    denses = dict(zip(SIX, map(np.asarray, compiled(everything)([of(term) for term in left.values()])), strict=True))
    found = iter(found)
    for (a, b), term in products.items():
        A, B = denses[a], denses[b]
        wanted = np.tensordot(A, B, (A.ndim - 1, B.ndim - 1))
        array = np.zeros_like(wanted) if term is None else next(found)
        np.testing.assert_allclose(array, wanted, rtol=1e-4, atol=1e-5, err_msg=f"{a} · ({b})ᵀ")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("flip", "flip"), ("every second", "flip"), ("flip", "every third, backwards"), ("2×3", "3×2"), ("2×3", "1×3×2"),
        ("one entry", "flip"), ("gather", "flip"), ("every second", "shift"), ("6×1", "2×3"),
    ],
)  # fmt: skip
def test_what_only_moves_entries_makes_no_factor(left, right):
    product = compose(SIX[left](), SIX[right]().T)
    assert product is not None
    assert product.factors == ()


def test_what_never_meets_is_nothing():
    assert compose(SIX["outside"](), dense(normal(6, 6), 1)) is None
    assert compose(SIX["one entry"](), SIX["every second"]().T) is None  # 4 is not odd
    assert compose(cut(6, 2, 1, 0), cut(6, 3, 1, 3).T) is None


def test_factors_are_read_where_the_slice_is():
    product = compose(cut(6, 2, -3, 4), dense(normal(6, 6), 1))
    (factor,) = product.factors
    assert factor.array.shape == (2, 6)
    np.testing.assert_array_equal(factor.array, normal(6, 6)[4::-3])


def test_a_plain_product_is_lazy_and_keeps_the_arrays():
    A, B = normal(3, 4), normal(4, 5)
    product = compose(dense(A, 1), dense(B, 1))
    assert {id(f.array) for f in product.factors} == {id(A), id(B)}


def test_a_term_times_itself_has_labels_of_its_own():
    term = dense(normal(4, 4), 1)
    np.testing.assert_allclose(of(compose(term, term)).dense(), normal(4, 4) @ normal(4, 4), rtol=1e-5, atol=1e-6)
    squared = compose(compose(term, term), compose(term, term.T))
    A = np.asarray(normal(4, 4))
    np.testing.assert_allclose(of(squared).dense(), A @ A @ A @ A.T, rtol=1e-4, atol=1e-5)


def test_labels_that_are_nowhere_count_their_values():
    ones = Term(1, (), (plain(Label(3)),), (plain(Label(5)),))
    product = compose(ones, Term(1, (), (plain(Label(5)),), (plain(Label(2)),)))
    assert (product.coefficient, product.factors) == (5, ())
    empty = compose(
        Term(1, (), (plain(Label(3)),), (plain(Label(0)),)), Term(1, (), (plain(Label(0)),), (plain(Label(2)),))
    )
    assert empty is None


def test_transposed_twice_over_two_axes():
    term = turned()
    product = compose(term.T, term)
    assert of(product).structure == "identity(12)"
    assert product.factors == ()


def test_a_trace_of_a_product():
    A = dense(normal(3, 4).reshape(3, 4), 2)
    a = Label(3)
    trace = Term(1, (), (), (plain(a), plain(a)))
    outer = compose(
        trace,
        Term(1, (Factor(normal(3), (b := Label(3),)), Factor(normal(3, seed=1), (c := Label(3),))), plains((b, c)), ()),
    )
    np.testing.assert_allclose(of(outer).dense(), normal(3) @ normal(3, seed=1), rtol=1e-5)
    assert of(A).dense().shape == (3, 4)


def test_equations_within_a_term():
    """The diagonal of a matrix, and of a band of it."""
    term = dense(normal(4, 4), 1)
    on = unified(Term(1, term.factors, term.out, ()), list(zip(term.out, term.in_, strict=True)))
    np.testing.assert_array_equal(of(on).dense(), jnp.diagonal(normal(4, 4)))
    shifted = cut(4, 4, 1, 1)
    assert unified(Term(1, (), shifted.out, ()), list(zip(shifted.out, shifted.in_, strict=True))) is None


def test_a_window_at_the_edge_counts_only_what_is_inside():
    edge = compose(Term(1, (), (), (Axis(6, (), 0),)), window(6, 6, 3, 1))
    D = np.asarray(of(edge).dense())
    np.testing.assert_allclose(of(compose(edge, edge.T)).dense(), D @ D, rtol=1e-5)
    np.testing.assert_allclose(of(edge).row_norms(), np.linalg.norm(D), rtol=1e-5)
