"""`LinearMap`: a Jacobian as a sum of einsums, with the operations that keep it one."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.linear import layout as layouts
from jmc.linear import structure
from jmc.linear.collapse import factored, limited, settled
from jmc.linear.contract import check_size
from jmc.linear.packing import pack, unpack
from jmc.linear.place import placed, summed, total
from jmc.linear.plan import flops
from jmc.linear.simplify import added, products, tidy
from jmc.linear.squares import row_squares
from jmc.linear.term import Factor, Term, dense, itemsize, labels_on, row
from jmc.linear.unify import unified

MAX_BYTES = 4 * 2**30


@jax.tree_util.register_pytree_node_class
class LinearMap:
    """A linear map from arrays of ``in_shape`` to arrays of ``out_shape``: J[o…, i…] = Σ_terms Π factors[labels].

    A pytree whose leaves are the arrays of the factors, so that it crosses ``jit``, ``scan`` and ``grad``; equal
    structure is an equal tree definition. Entries that the structure skips are exact zeros, also where a factor
    holds inf or nan elsewhere.

    Attributes:
        out_shape, in_shape: shapes of what comes out and goes in.
        dtype: of the entries.
    """

    __slots__ = ("_packed", "_terms", "dtype", "in_shape", "out_shape")
    __array_ufunc__ = None  # NumPy hands `array @ map` on to __rmatmul__

    def __init__(self, terms: Iterable[Term], out_shape: Sequence[int], in_shape: Sequence[int], dtype: Any):
        self._terms: tuple[Term, ...] | None = tuple(terms)
        self._packed: tuple[Sequence[Any], Any] | None = None
        self.out_shape = tuple(out_shape)
        self.in_shape = tuple(in_shape)
        self.dtype = jnp.dtype(dtype)

    @property
    def terms(self) -> tuple[Term, ...]:
        """What is summed; none is the zero map."""
        if self._terms is None:
            assert self._packed is not None
            leaves, static = self._packed
            self._terms = unpack(leaves, static[0])
        return self._terms

    # to arrays

    def dense(self, max_bytes: int = MAX_BYTES) -> jax.Array:
        """The Jacobian as one array of shape ``out_shape + in_shape``, as ``jax.jacfwd`` has it.

        Raises TooLarge if it, or an array on the way to it, would need more than ``max_bytes``.
        """
        self._check()
        shape = self.out_shape + self.in_shape
        check_size(shape, self.dtype, max_bytes, "a dense Jacobian")
        return total(factored(self.terms, self.dtype, max_bytes), shape, self.dtype, max_bytes)

    def matrix(self, layout: str = "numerator", order: str = "row-major", max_bytes: int = MAX_BYTES) -> jax.Array:
        """The Jacobian as a two-dimensional table, of arrays stacked into vectors.

        Args:
            layout: ``"numerator"`` (the article's): a row per output, a column per input, so that scalar by vector is a
                row and vector by scalar a column. ``"denominator"`` is its transpose. ``"mixed"`` is the numerator
                layout, but the gradient of a scalar is a column.
            order: in which arrays with several axes are stacked: ``"row-major"`` (``"C"``), or ``"column-major"``
                (``"F"``), the books' vec.
            max_bytes: as in :meth:`dense`.
        """
        return layouts.matrix(self.dense(max_bytes), len(self.out_shape), layout, order)

    def table(self, layout: str = "numerator", max_bytes: int = MAX_BYTES) -> jax.Array:
        """The table that books print, as :meth:`matrix`, but with a scalar by a matrix, or the reverse, as a matrix.

        ∂y/∂X has the shape of Xᵀ in the numerator layout, that of X in the others; ∂Y/∂x that of Y, or of Yᵀ in the
        denominator layout. Raises ValueError for more axes than that.
        """
        return layouts.table(self.dense(max_bytes), len(self.out_shape), layout)

    def mv(self, v: jax.Array) -> jax.Array:
        """J v: the tangent of the output, of ``out_shape``, for a tangent ``v`` of ``in_shape``."""
        v = self._argument("v", v, self.in_shape)
        return (self @ _column(v, self.dtype)).dense()

    def vm(self, u: jax.Array) -> jax.Array:
        """uᵀ J: the cotangent of the input, of ``in_shape``, for a cotangent ``u`` of ``out_shape``."""
        u = self._argument("u", u, self.out_shape)
        return (_column(u, self.dtype).T @ self).dense()

    def diagonal(self) -> jax.Array:
        """The entries J[i, i], an array of ``out_shape``. Raises ValueError unless the map is square."""
        self._square("diagonal")
        found = [self._on_diagonal(term) for term in self.terms]
        arrays = [placed(term, term.out, self.dtype, MAX_BYTES) for term in found if term is not None]
        return summed(arrays, self.out_shape, self.dtype)

    def trace(self) -> jax.Array:
        """Σ J[i, i]. Raises ValueError unless the map is square."""
        self._square("trace")
        return jnp.sum(self.diagonal())

    def row_norms(self) -> jax.Array:
        """The Euclidean norm of each output's row, an array of ``out_shape``; no row is materialised.

        For per-example losses these are the norms of the per-example gradients.
        """
        return jnp.sqrt(self.row_squares())

    def row_squares(self) -> jax.Array:
        """The squares of :meth:`row_norms`, Σ |J[o, i]|² over i."""
        self._check()
        return row_squares(self.terms, self.out_shape, self.in_shape, self.dtype, MAX_BYTES)

    def to_bcoo(self, max_bytes: int = MAX_BYTES) -> Any:
        """The same entries as a ``jax.experimental.sparse.BCOO`` array of shape ``out_shape + in_shape``.

        One stored entry for each value of a term's labels; places that occur in several terms are repeated.
        """
        from jmc.linear.sparse import to_bcoo

        self._check()
        return to_bcoo(self.terms, self.out_shape + self.in_shape, self.dtype, max_bytes)

    # to maps

    @property
    def T(self) -> "LinearMap":  # noqa: N802 - the name that arrays have for it
        """The transpose, from ``out_shape`` to ``in_shape`` (no conjugate)."""
        return LinearMap([term.T for term in self.terms], self.in_shape, self.out_shape, self.dtype)

    def __matmul__(self, other: Any) -> Any:
        """The product of two maps; with an array, :meth:`mv`."""
        if not isinstance(other, LinearMap):
            return self.mv(other)
        self._check()
        other._check()
        if self.in_shape != other.out_shape:
            raise ValueError(f"`other` must have out_shape {self.in_shape}, but got {other.out_shape}")
        dtype = _wider(self.dtype, other.dtype)
        terms = limited(added(products(self.terms, other.terms), dtype), dtype, MAX_BYTES)
        return LinearMap(terms, self.out_shape, other.in_shape, dtype)

    def __rmatmul__(self, other: Any) -> jax.Array:
        return self.vm(other)

    def __add__(self, other: "LinearMap") -> "LinearMap":
        if not isinstance(other, LinearMap):
            return NotImplemented
        shapes = (other.out_shape, other.in_shape)
        if shapes != (self.out_shape, self.in_shape):
            raise ValueError(
                f"`other` must map {self.in_shape} to {self.out_shape}, but got one from {shapes[1]} to {shapes[0]}"
            )
        self._check()
        other._check()
        dtype = _wider(self.dtype, other.dtype)
        return LinearMap(added((*self.terms, *other.terms), dtype), self.out_shape, self.in_shape, dtype)

    def __neg__(self) -> "LinearMap":
        return self * -1

    def __sub__(self, other: "LinearMap") -> "LinearMap":
        return self + -other if isinstance(other, LinearMap) else NotImplemented

    def __mul__(self, scalar: Any) -> "LinearMap":
        self._check()
        if isinstance(scalar, (int, float, complex)):
            terms = [Term(t.coefficient * scalar, t.factors, t.out, t.in_) for t in self.terms if scalar]
            return LinearMap(terms, self.out_shape, self.in_shape, self.dtype)
        array = jnp.asarray(scalar)
        if array.shape != ():
            raise ValueError(f"`scalar` must be a number, but got shape {array.shape}; the product of maps is @")
        factor = Factor(array, ())
        terms = [tidy(Term(t.coefficient, (*t.factors, factor), t.out, t.in_)) for t in self.terms]
        return LinearMap(terms, self.out_shape, self.in_shape, self.dtype)

    __rmul__ = __mul__

    def __truediv__(self, scalar: Any) -> "LinearMap":
        return self * (1 / scalar)

    def gram(self) -> "LinearMap":
        """JᵀJ, on ``in_shape``."""
        return self.T @ self

    def row_gram(self) -> "LinearMap":
        """JJᵀ, on ``out_shape``; for the outputs of a network, its empirical neural tangent kernel."""
        self._check()
        small = LinearMap(settled(self.terms, self.dtype), self.out_shape, self.in_shape, self.dtype)
        return small @ small.T

    def as_dense_map(self, max_bytes: int = MAX_BYTES) -> "LinearMap":
        """The same map with one factor on all axes: the tree definition depends on the shapes alone.

        For carries of ``scan`` and branches of ``cond`` whose structures differ. Raises TooLarge as :meth:`dense`.
        """
        return LinearMap([dense(self.dense(max_bytes), len(self.out_shape))], self.out_shape, self.in_shape, self.dtype)

    # what it is

    @property
    def structure(self) -> str:
        """A readable name, as ``diagonal(1000) + rank 1`` or ``kronecker(I₅₀ ⊗ dense(5×5))``; exact also for size 1."""
        return structure.name(self.terms, self.out_shape, self.in_shape)

    @property
    def stored(self) -> int:
        """How many numbers jmc computed for it; inputs and constants of the function are references and count 0."""
        found = {id(f.array): itemsize(f) for term in self.terms for f in term.factors if f.computed}
        return sum(found.values())

    @property
    def flops(self) -> int:
        """Additions and multiplications of the contractions that :meth:`dense` plans."""
        return sum(flops(t.factors, labels_on(t.axes)) for t in self.terms)

    def __repr__(self) -> str:
        shape = f"{self.in_shape} → {self.out_shape}"
        mapped = ", of each example: it went through `vmap`" if self._batched else ""
        return f"LinearMap({shape}, {self.dtype}: {self.structure}, stored {self.stored:,}{mapped})"

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("a LinearMap is no array: call `.dense()` for its entries, `.mv(v)` or `.vm(u)` for products")

    # within

    @property
    def _batched(self) -> bool:
        return any(np.ndim(f.array) != len(f.labels) for term in self.terms for f in term.factors)

    def _check(self) -> None:
        if self._batched:
            raise ValueError(
                "this LinearMap went through `vmap`: its factors have an axis more than its labels say; use it "
                "inside the mapped function, or take the Jacobian of the mapped function instead"
            )

    def _square(self, what: str) -> None:
        self._check()
        if self.in_shape != self.out_shape:
            raise ValueError(
                f"`{what}` needs a map with equal shapes, but got one from {self.in_shape} to {self.out_shape}"
            )

    def _on_diagonal(self, term: Term) -> Term | None:
        return unified(Term(term.coefficient, term.factors, term.out, ()), list(zip(term.out, term.in_, strict=True)))

    def _argument(self, name: str, array: Any, shape: tuple[int, ...]) -> jax.Array:
        self._check()
        if isinstance(array, LinearMap) or np.shape(array) != shape:
            raise ValueError(f"`{name}` must have shape {shape}, but got {np.shape(array)}")
        return jnp.asarray(array)

    def tree_flatten(self) -> tuple[Sequence[Any], Any]:
        """Leaves: each array once. Static: labels as small integers, in the order in which they occur."""
        if self._packed is None:
            leaves, spec = pack(self.terms)
            self._packed = leaves, (spec, self.out_shape, self.in_shape, self.dtype)
        return self._packed

    @classmethod
    def tree_unflatten(cls, static: Any, leaves: Iterable[Any]) -> "LinearMap":
        """The inverse of :meth:`tree_flatten`; checks nothing, and builds the terms when they are asked for."""
        made = object.__new__(cls)
        _, made.out_shape, made.in_shape, made.dtype = static
        made._packed = tuple(leaves), static
        made._terms = None
        return made


def _column(v: Any, dtype: Any) -> LinearMap:
    """The map from a scalar that has ``v`` as its only column."""
    return LinearMap([row(v).T], v.shape, (), _wider(v.dtype, dtype))


def _wider(a: Any, b: Any) -> Any:
    with jax.numpy_dtype_promotion("standard"):
        return jnp.promote_types(a, b)
