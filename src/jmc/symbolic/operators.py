"""Operations on whole arrays and their derivatives as formulas: softmax and its kin, inverse, determinant."""

from collections.abc import Callable
from fractions import Fraction

from jmc.symbolic.algebra import ONE, add, full, permuted, power, product, scale, times
from jmc.symbolic.tensor import Op, Tensor

HALF = Fraction(1, 2)
SIDES = "left", "right"


def softmax(z: Tensor) -> Tensor:
    """exp(z) / Σ exp(z) over the last axis."""
    return Op(z.shape, "softmax", (z,))


def logsumexp(z: Tensor) -> Tensor:
    """ln Σ exp(z) over the last axis."""
    return Op(z.shape[:-1], "logsumexp", (z,))


def inverse(A: Tensor) -> Tensor:
    """A⁻¹; (A⁻¹)⁻¹ is A."""
    return A.args[0] if isinstance(A, Op) and A.name == "inv" else Op(A.shape, "inv", (A,))


def expanded(op: Op) -> Tensor:
    """The covariance of a softmax written out: diag(p) − p pᵀ."""
    *batch, i, j = range(len(op.shape))
    dims = dict(enumerate(op.shape))
    p = softmax(op.args[0])
    diagonal = product(ONE, [(p, (*batch, i))], (*batch, i, i), dims)
    return add([diagonal, product(-ONE, [(p, (*batch, i)), (p, (*batch, j))], (*batch, i, j), dims)])


def _of_softmax(op: Op) -> Tensor:
    *batch, i = range(len(op.shape))
    j = i + 1
    dims = dict(enumerate(op.shape)) | {j: op.shape[-1]}
    covariance = Op((*op.shape, op.shape[-1]), "covariance", op.args)
    return product(ONE, [(covariance, (*batch, i, j))], (*batch, i, *batch, j), dims)


def _of_log_softmax(op: Op) -> Tensor:
    *batch, i = range(len(op.shape))
    j = i + 1
    dims = dict(enumerate(op.shape)) | {j: op.shape[-1]}
    one = product(ONE, [], (*batch, i, *batch, i), dict(enumerate(op.shape)))
    return add([one, product(-ONE, [(softmax(op.args[0]), (*batch, j))], (*batch, i, *batch, j), dims)])


def _of_logsumexp(op: Op) -> Tensor:
    z = op.args[0]
    *batch, j = range(len(z.shape))
    return product(ONE, [(softmax(z), (*batch, j))], (*batch, *batch, j), dict(enumerate(z.shape)))


def _of_inverse(op: Op) -> Tensor:
    i, j, a, b = range(4)
    n = op.shape[0]
    return product(-ONE, [(op, (i, a)), (op, (b, j))], (i, j, a, b), dict.fromkeys(range(4), n))


def _of_logdet(op: Op) -> Tensor:
    (A,) = op.args
    return product(ONE, [(inverse(A), (1, 0))], (0, 1), dict(enumerate(A.shape)))


def _of_det(op: Op) -> Tensor:
    return times(op, _of_logdet(op))


def _of_largest(op: Op) -> Tensor:
    *batch, j = range(len(op.args[0].shape))
    at = Op((*op.args[0].shape,), "onehot", (Op(op.shape, f"arg{op.name}", op.args),))
    return product(ONE, [(at, (*batch, j))], (*batch, *batch, j), dict(enumerate(op.args[0].shape)))


def _of_prod(op: Op) -> Tensor:
    *batch, j = range(len(op.args[0].shape))
    parts = [(op, tuple(batch)), (power(op.args[0], -1), (*batch, j))]
    return product(ONE, parts, (*batch, *batch, j), dict(enumerate(op.args[0].shape)))


def _of_eigenvalues(op: Op) -> Tensor:
    Q = Op(op.args[0].shape, "eigenvectors", op.args)
    return product(ONE, [(Q, (1, 0)), (Q, (2, 0))], (0, 1, 2), dict.fromkeys(range(3), op.shape[0]))


def _of_eigenvectors(op: Op) -> Tensor:
    i, k, a, b, j = range(5)
    gaps = Op(op.shape, "gaps", (Op(op.shape[:1], "eigenvalues", op.args),))
    parts = [(op, (i, j)), (gaps, (j, k)), (op, (a, j)), (op, (b, k))]
    return product(ONE, parts, (i, k, a, b), dict.fromkeys(range(5), op.shape[0]))


def _of_singular_values(op: Op) -> Tensor:
    (A,) = op.args
    left, right = (
        Op((size, *op.shape), f"{side} singular vectors", (A,)) for side, size in zip(SIDES, A.shape, strict=True)
    )
    dims = dict(enumerate((*op.shape, *A.shape)))
    return product(ONE, [(left, (1, 0)), (right, (2, 0))], (0, 1, 2), dims)


def _of_spectral_norm(op: Op) -> Tensor:
    (A,) = op.args
    left, right = (Op((size,), f"{side} singular vector", (A,)) for side, size in zip(SIDES, A.shape, strict=True))
    return product(ONE, [(left, (0,)), (right, (1,))], (0, 1), dict(enumerate(A.shape)))


def _of_sign(op: Op) -> Tensor:
    return full(0, op.args[0].shape)


def _of_cholesky(op: Op) -> Tensor:
    """dL = L Φ(L⁻¹ dA L⁻ᵀ), where Φ keeps what is below the diagonal and half of the diagonal, and dA is symmetric."""
    i, j, a, b, k = range(5)
    inner, halved = inverse(op), Op(op.shape, "halved", ())
    parts = [(op, (i, k)), (halved, (k, j)), (inner, (k, a)), (inner, (j, b))]
    found = product(ONE, parts, (i, j, a, b), dict.fromkeys(range(5), op.shape[0]))
    return scale(HALF, add([found, permuted(found, (0, 1, 3, 2))]))


def _of_exponential(op: Op) -> Tensor:
    return Op((*op.shape, *op.shape), "expm slope", op.args)


JACOBIANS: dict[str, Callable[[Op], Tensor]] = {
    "softmax": _of_softmax,
    "log_softmax": _of_log_softmax,
    "logsumexp": _of_logsumexp,
    "inv": _of_inverse,
    "logdet": _of_logdet,
    "det": _of_det,
    "max": _of_largest,
    "min": _of_largest,
    "prod": _of_prod,
    "eigenvalues": _of_eigenvalues,
    "eigenvectors": _of_eigenvectors,
    "sign of det": _of_sign,
    "cholesky": _of_cholesky,
    "expm": _of_exponential,
    "singular values": _of_singular_values,
    "spectral norm": _of_spectral_norm,
}
"""∂op/∂argument, of shape op.shape + argument.shape."""
