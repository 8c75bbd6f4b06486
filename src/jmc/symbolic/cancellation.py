"""Differences in which the digits cancel, as operations of their own: printed as they are, but computed otherwise.

σ(z) − y is (1 − y) σ(z) − y σ(−z), and p − y of probabilities is p ⊙ (1 − y) − y ⊙ (1 − p) if y is one-hot, where
1 − p_k is the sum of the other entries.
"""

from jmc.symbolic.algebra import ONE, add, delta, full, product
from jmc.symbolic.patterns import one_hot
from jmc.symbolic.rebuilt import rebuilt
from jmc.symbolic.tensor import Map, Op, Product, Sum, Tensor

PRINTED = {
    "error": ("{0} − {1}", "{0} - {1}"),
    "error turned": ("{1} − {0}", "{1} - {0}"),
    "logit error": ("{0} − {1}", "{0} - {1}"),
    "logit error turned": ("{1} − {0}", "{1} - {0}"),
    "others": ("𝟏 − {0}", r"\mathbf{{1}} - {0}"),
    "log_softmax slope": ("I − 𝟏 {0}ᵀ", r"I - \mathbf{{1}}\, {0}^{{\top}}"),
}
"""How each is written, of its operands."""


def kept(tensor: Tensor) -> Tensor:
    """The formula with such differences as operations."""
    tensor = rebuilt(tensor, kept)
    if not isinstance(tensor, Sum):
        return tensor
    for k, one in enumerate(tensor.terms):
        for other in tensor.terms[k + 1 :]:
            found = _pair(one, other) or _pair(other, one)
            if found is not None:
                rest = [term for term in tensor.terms if term is not one and term is not other]
                return add([found, *rest]) if rest else found
    return tensor


def _pair(one: Tensor, other: Tensor) -> Tensor | None:
    """Two terms as one operation, of which the first is a probability or 1, whatever its sign."""
    if isinstance(one, Op) and one.name == "softmax":
        y = _minus(other)
        return Op(one.shape, "error", (one, y)) if y is not None and one_hot(y) else None
    if isinstance(one, Map) and one.function == "sigmoid":
        y = _minus(other)
        return Op(one.shape, "logit error", (one, y)) if y is not None else None
    p = _minus(one)
    if isinstance(p, Op) and p.name == "softmax":
        if one_hot(other):
            return Op(p.shape, "error turned", (p, other))
        return Op(p.shape, "others", (p,)) if other == full(1, p.shape) else None
    if isinstance(p, Map) and p.function == "sigmoid" and not _is_number(other):
        return Op(p.shape, "logit error turned", (p, other))
    if isinstance(one, Product) and one.coefficient == -1 and len(one.factors) == 1 and len(one.shape) == 2:
        (p, labels), (i, j) = one.factors[0], one.out
        if isinstance(p, Op) and p.name == "softmax" and labels == (j,) != (i,) and other == delta(one.shape[0]):
            return Op(one.shape, "log_softmax slope", (p,))
    return None


def _minus(term: Tensor) -> Tensor | None:
    """y of −y, if that is an array by itself."""
    if isinstance(term, Product) and term.coefficient == -1 and term.factors:
        return product(ONE, term.factors, term.out, dict(enumerate(term.dims)))
    return None


def _is_number(tensor: Tensor) -> bool:
    return isinstance(tensor, Product) and not tensor.factors
