"""Every method of a map against its dense form, for terms of every kind drawn at random."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from linear.definition import reference

from jmc.linear.linear_map import LinearMap
from jmc.linear.term import NOWHERE, Axis, Factor, Label, Term, fresh, plain

ints = st.integers


def compiled(f):
    """`f` as one program, quick to compile rather than to run."""
    return jax.jit(f, compiler_options={"xla_backend_optimization_level": 0})


def close(found, wanted):
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10 * max(1, np.max(np.abs(wanted), initial=0)))


@st.composite
def axes(draw, n, labels):
    """An axis of size n: a label, an affine form of one or two, a product of labels, a number or an index array."""
    some = draw(st.lists(st.sampled_from(labels), min_size=1, max_size=2, unique=True))
    kind = draw(st.sampled_from(["label", "label", "label", "affine", "affine", "product", "index", "number"]))
    if kind == "label" or (kind == "product" and n not in (4, 6)):
        fits = [label for label in labels if label.size == n]
        label = draw(st.sampled_from(fits)) if fits and draw(st.booleans()) else Label(n)
        labels.append(label)
        return plain(label)
    if kind == "affine":
        strides = tuple((label, draw(st.sampled_from([1, 1, 2, -1, -2]))) for label in some)
        return Axis(n, strides, draw(ints(-1, n)))
    if kind == "product":
        high, low = fresh((2, n // 2))
        labels += [high, low]
        return Axis(n, ((high, n // 2), (low, 1)))
    if kind == "number":
        return Axis(n, (), draw(ints(0, max(n - 1, 0))))
    shape = [label.size for label in some]
    found = draw(st.lists(ints(0, n), min_size=math.prod(shape), max_size=math.prod(shape)))
    index = np.array([NOWHERE if k == n else k for k in found], "int32").reshape(shape)
    return Axis(n, tuple((label, 0) for label in some), 0, jnp.asarray(index))


@st.composite
def terms(draw, out_shape, in_shape):
    labels = fresh(draw(st.lists(ints(1, 3), min_size=1, max_size=2)))
    out = tuple(draw(axes(n, labels)) for n in out_shape)
    in_ = tuple(draw(axes(n, labels)) for n in in_shape)
    factors = []
    for k in range(draw(ints(0, 3))):
        own = draw(st.lists(st.sampled_from(list(dict.fromkeys(labels))), max_size=3, unique=True))
        array = normal(*(label.size for label in own), seed=draw(ints(0, 3)), dtype="float64")
        factors.append(Factor(array if k < 2 else array > 0, tuple(own), draw(st.booleans())))
    return Term(draw(st.sampled_from([1, 1, -2.5])), tuple(factors), out, in_)


SHAPES = [(), (4,), (2, 3), (6,), (3, 1), (0,), (2, 2)]


@st.composite
def maps(draw, out_shape, in_shape, most=2):
    found = [draw(terms(out_shape, in_shape)) for _ in range(draw(ints(0, most)))]
    return LinearMap(found, out_shape, in_shape, "float64")


@st.composite
def pairs(draw):
    """Two maps that can be multiplied, and one that can be added to the first."""
    a, b, c = (draw(st.sampled_from(SHAPES)) for _ in range(3))
    a = draw(st.sampled_from([a, b]))
    return draw(maps(a, b)), draw(maps(b, c)), draw(maps(a, b, most=1))


@settings(max_examples=28, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(pairs())
@pytest.mark.usefixtures("x64")
def test_every_method_of_drawn_maps(drawn):
    J, K, L = drawn
    v, u = normal(*J.in_shape, seed=8, dtype="float64"), normal(*J.out_shape, seed=9, dtype="float64")

    def methods(J, K, L, u, v):
        found = {
            "dense": J.dense(), "mv": J.mv(v), "vm": J.vm(u), "T": J.T.dense(), "gram": J.gram().dense(),
            "row_gram": J.row_gram().dense(), "row_norms": J.row_norms(), "@": (J @ K).dense(), "+": (J + L).dense(),
            "-": (J - L).dense(), "scaled": (2.5 * J).dense(), "by an array": (J * jnp.float64(0.5)).dense(),
            "/": (J / 4).dense(), "zero": (J - J).dense(), "matrix": J.matrix(), "as_dense_map": J.as_dense_map().mv(v),
            "to_bcoo": J.to_bcoo().todense(), "L": L.dense(), "J + L − J": (J + L - J).dense(), "T @": (J.T @ (J + L)).dense(),
        }  # fmt: skip
        return found | ({"diagonal": J.diagonal(), "trace": J.trace()} if J.in_shape == J.out_shape else {})

    found = jax.tree.map(np.asarray, compiled(methods)(J, K, L, u, v))
    dense, other, added = reference(J), reference(K), reference(L)
    m, n = math.prod(J.out_shape), math.prod(J.in_shape)
    D, E = dense.reshape(m, n), added.reshape(m, n)
    wanted = {
        "dense": dense, "mv": (D @ v.ravel()).reshape(u.shape), "vm": (u.ravel() @ D).reshape(v.shape),
        "T": D.T.reshape(v.shape + u.shape), "gram": (D.T @ D).reshape(v.shape * 2), "row_gram": (D @ D.T).reshape(u.shape * 2),
        "row_norms": np.linalg.norm(D, axis=1).reshape(u.shape), "+": dense + added, "-": dense - added, "scaled": 2.5 * dense,
        "@": (D @ other.reshape(n, math.prod(K.in_shape))).reshape(J.out_shape + K.in_shape), "/": dense / 4,
        "by an array": dense / 2, "zero": 0 * dense, "matrix": D, "as_dense_map": (D @ v.ravel()).reshape(u.shape),
        "to_bcoo": dense, "L": added, "J + L − J": added, "T @": (D.T @ (D + E)).reshape(v.shape * 2),
    }  # fmt: skip
    if m == n and J.in_shape == J.out_shape:
        wanted |= {"diagonal": np.diagonal(D).reshape(u.shape), "trace": np.trace(D)}
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        try:
            close(array, wanted[name])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from None
