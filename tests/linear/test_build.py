import jax
import jax.numpy as jnp
import numpy as np
import pytest
from linear.definition import reference

from jmc.linear import build
from jmc.linear.build import einsum

RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "shapes", "dense", "structure"),
    [
        ("ij,kl->il,jk", [(2, 3), (5, 7)], "ij,kl->iljk", "kronecker(dense(2×3) ⊗ dense(7×5))"),
        ("i->i,i", [(5,)], "i,ik->ik", "diagonal(5)"),
        ("i,j->i,j", [(5,), (3,)], "i,j->ij", "rank 1"),
        ("nij->ni,nj", [(2, 3, 5)], "nij,nm->nimj", "block_diagonal(2 × dense(3×5))"),
        ("ij,jk->i,k", [(7, 2), (2, 5)], "ij,jk->ik", "rank 2"),
    ],
)
def test_a_map_from_its_einsum(spec, shapes, dense, structure):
    arrays = [normal(*shape) for shape in shapes]
    J = build.einsum(spec, *arrays)
    if "ik->" in dense or "nm" in dense:
        arrays = [*arrays, np.eye(arrays[0].shape[0], dtype=np.float32)]
    np.testing.assert_allclose(J.dense(), np.einsum(dense, *arrays), rtol=1e-5, atol=1e-6)
    assert J.structure == structure


def test_labels_without_a_factor_have_their_sizes_said():
    A = normal(3, 5)
    J = build.einsum("ij->ik,jk", A, sizes={"k": 2})  # of A X with respect to X
    np.testing.assert_allclose(J.dense(), np.einsum("ij,kl->ikjl", A, np.eye(2)), rtol=1e-6)
    ones = build.einsum("->i,j", sizes={"i": 2, "j": 3})
    np.testing.assert_array_equal(ones.dense(), np.ones((2, 3)))


def test_dots_are_the_same_axes_everywhere():
    p = normal(2, 7, 3)
    J = build.einsum("...i,...j->...i,...j", p, p)
    assert (J.out_shape, J.in_shape) == (p.shape, p.shape)
    assert J.structure == "block_diagonal(14 × rank 1)"
    for shape in [(3,), (0, 3)]:
        assert build.einsum("...i,...j->...i,...j", normal(*shape), normal(*shape)).dense().shape == shape * 2


def test_plain_maps():
    v = normal(2, 3)
    np.testing.assert_array_equal(build.diagonal(v).mv(v), v * v)
    np.testing.assert_array_equal(build.identity((2, 3)).mv(v), v)
    np.testing.assert_array_equal(build.zeros((5,), (2, 3)).dense(), np.zeros((5, 2, 3)))
    np.testing.assert_array_equal(build.gradient(v).dense(), v)
    np.testing.assert_array_equal(build.dense(v, 1).dense(), v)
    assert (build.dense(v, 1).out_shape, build.dense(v, 0).in_shape) == ((2,), (2, 3))


def test_dtypes():
    with jax.enable_x64(True):
        assert build.identity((3,), "float32").dtype == "float32"
        assert build.identity((3,)).dtype == "float64"
        assert build.diagonal(jnp.ones(3, "float32")).dtype == "float32"


@pytest.mark.parametrize(
    ("spec", "arrays", "message"),
    [
        ("ij->ij", [normal(2, 3)], "`spec` must be like"),
        ("ij,j->i,j", [normal(2, 3)], "one for each of the 2 factors"),
        ("ij->i,j", [normal(2)], r"got shape \(2,\) for 'ij'"),
        ("ij,j->i,j", [normal(2, 3), normal(2)], "`j` in .* must have one size, but got 3 and 2"),
        ("i->i,k", [normal(2)], "`sizes` must say how large 'k'"),
    ],
)
def test_what_does_not_fit_is_refused(spec, arrays, message):
    with pytest.raises(ValueError, match=message):
        build.einsum(spec, *arrays)


@pytest.mark.parametrize("shapes", [((2, 3), (5, 7)), ((1, 3), (2, 1)), ((2, 0), (3, 2))])
def test_labels_in_parentheses_are_one_axis(shapes):
    X, Y = (normal(*shape) for shape in shapes)
    (m, n), (p, q) = shapes
    by_first = build.einsum("kl->(ik)(jl),ij", Y, sizes={"i": m, "j": n})
    by_second = build.einsum("ij->(ik)(jl),kl", X, sizes={"k": p, "l": q})
    for k, J in enumerate((by_first, by_second)):
        np.testing.assert_array_equal(J.dense(), jax.jacfwd(jnp.kron, k)(X, Y))
        np.testing.assert_allclose(J.mv((X, Y)[k]), jnp.kron(X, Y), rtol=1e-6)
    assert build.einsum("->(ij),ij", sizes={"i": 2, "j": 3}).structure == "identity(6)"


def test_an_axis_may_be_a_window():
    kernel = normal(3)
    J = einsum("k->i,(2i+k-1:6)", kernel, sizes={"i": 3})
    expected = np.zeros((3, 6), np.float32)
    for i, k in np.ndindex(3, 3):
        if 0 <= 2 * i + k - 1 < 6:
            expected[i, 2 * i + k - 1] = kernel[k]
    np.testing.assert_array_equal(J.dense(), expected)
    np.testing.assert_array_equal(reference(J), expected)
    assert einsum("k->i,(2i+3k)", kernel, sizes={"i": 2}).in_shape == (2 + 6 + 1,)


@pytest.mark.parametrize("spec", ["->(i+2:5),i", "->i,(i+2:5)", "->(2i:5),i", "->(i:5),i"])
def test_an_axis_may_be_a_slice(spec):
    J = einsum(spec, sizes={"i": 3})
    start, step = (2, 1) if "+" in spec else (0, 2) if "2" in spec else (0, 1)
    expected = np.eye(5, dtype=np.float32)[:, start::step][:, :3]
    np.testing.assert_array_equal(J.dense(), expected if J.out_shape == (5,) else expected.T)


def test_an_axis_may_be_a_number_of_digits():
    A = normal(2, 3)
    J = einsum("gk->(gk),(gk)", A)
    np.testing.assert_array_equal(J.dense(), np.diag(np.ravel(A)))
    np.testing.assert_array_equal(einsum("gk->(kg),gk", A).mv(jnp.ones((2, 3))), np.ravel(A.T))


def test_dots_may_be_given_by_their_sizes():
    J = einsum("ab->...a,...b", normal(2, 3), sizes={"...": (5, 7)})
    assert (J.out_shape, J.in_shape) == ((5, 7, 2), (5, 7, 3))
    assert einsum("a->...a,...", normal(2), sizes={"...": ()}).in_shape == ()


def test_a_selection_reads_nothing_outside():
    x = normal(4, 2)
    J = build.selection([[0, 3, 3], [4, -1, 1]], x.shape)
    expected = np.stack([x[0], x[3], x[3], 0 * x[0], 0 * x[0], x[1]]).reshape(2, 3, 2)
    np.testing.assert_array_equal(J.mv(x), expected)
    np.testing.assert_array_equal(J.dense(), reference(J))
