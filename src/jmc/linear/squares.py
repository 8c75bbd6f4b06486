"""The squared norms of a map's rows, from products of its terms: no row is materialised."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jmc.linear.collapse import collapsed, settled
from jmc.linear.place import placed, summed, total
from jmc.linear.term import Term, copied, dense, labels_on
from jmc.linear.unify import unified

# Terms of so many entries are added before they are squared, so that nothing cancels between the squares.
FEW_ENTRIES = 2**20


def row_squares(
    terms: Sequence[Term], out_shape: Sequence[int], in_shape: Sequence[int], dtype: Any, max_bytes: int
) -> Any:
    """Σ |J[o, i]|² over i, an array of ``out_shape``."""
    terms = settled(terms, dtype)
    if len(terms) > 1:
        shape = (*out_shape, *in_shape)
        if math.prod(shape) <= FEW_ENTRIES:
            terms = (dense(total(terms, shape, dtype), len(out_shape)),)
        elif max(math.prod(label.size for label in labels_on(t.axes)) for t in terms) <= FEW_ENTRIES:
            terms = collapsed(terms, dtype)
    arrays = []
    for k, one in enumerate(terms):
        for other in terms[: k + 1]:
            twin = _conjugate(copied(other))
            product = Term(one.coefficient * twin.coefficient, one.factors + twin.factors, one.out, ())
            squared = unified(product, list(zip(one.axes, twin.axes, strict=True)))
            if squared is not None:
                # the other half of the sum over pairs is the conjugate
                array = placed(squared, squared.out, dtype, max_bytes).real
                arrays.append(array if one is other else 2 * array)
    # where products of several terms cancel, what is left of them may be negative
    return jnp.maximum(summed(arrays, out_shape, jnp.finfo(dtype).dtype), 0)


def _conjugate(term: Term) -> Term:
    factors = tuple(f._replace(array=jnp.conj(f.array)) if jnp.iscomplexobj(f.array) else f for f in term.factors)
    return Term(term.coefficient.conjugate(), factors, term.out, term.in_)
