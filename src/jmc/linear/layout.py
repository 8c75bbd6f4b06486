"""How entries of shape out + in are laid out as two-dimensional tables, by the conventions of books.

================  =================================  =======================  ===============================
layout            vector by vector                   scalar by vector/matrix  vector/matrix by scalar
================  =================================  =======================  ===============================
``numerator``     a row per output                   a row / transposed X     a column / the shape of Y
``denominator``   a row per input                    a column / shape of X    a row / transposed Y
``mixed``         a row per output                   a column / shape of X    a column / the shape of Y
================  =================================  =======================  ===============================

Arrays with several axes are stacked into vectors in row-major order (the last axis runs fastest), or in column-major
order: the books' vec, which stacks columns.
"""

import math

import jax

LAYOUTS = ("numerator", "denominator", "mixed")
ORDERS = {"row-major": False, "column-major": True, "C": False, "F": True}


def matrix(entries: jax.Array, out_rank: int, layout: str, order: str) -> jax.Array:
    """A row per output and a column per input, or as ``layout`` has it, of arrays stacked into vectors."""
    _check_layout(layout)
    if order not in ORDERS:
        raise ValueError(f"`order` must be 'row-major' (or 'C') or 'column-major' (or 'F'), but got {order!r}")
    out, in_ = range(out_rank), range(out_rank, entries.ndim)
    rows, columns = (math.prod(entries.shape[k] for k in side) for side in (out, in_))
    if ORDERS[order]:
        entries = entries.transpose(*reversed(out), *reversed(in_))
    table = entries.reshape(rows, columns)
    return table.T if layout == "denominator" or (layout == "mixed" and not out_rank) else table


def table(entries: jax.Array, out_rank: int, layout: str) -> jax.Array:
    """The table that books print: a derivative of a scalar by a matrix, or of a matrix by a scalar, has two axes."""
    _check_layout(layout)
    in_rank = entries.ndim - out_rank
    if max(out_rank, in_rank) <= 1:
        return matrix(entries, out_rank, layout, "row-major")
    if entries.ndim != 2:
        raise ValueError(
            f"`table` must be of at most a matrix by a scalar or a scalar by a matrix, but got {out_rank} axes by "
            f"{in_rank}; `.matrix(layout, order)` stacks arrays into vectors"
        )
    return entries.T if layout == ("denominator" if out_rank else "numerator") else entries


def _check_layout(layout: str) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"`layout` must be 'numerator', 'denominator' or 'mixed', but got {layout!r}")
