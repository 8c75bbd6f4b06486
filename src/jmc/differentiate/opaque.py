"""Functions whose Jacobian is swept: what has no rule is still right.

An opaque step knows a function and where it is evaluated. Its Jacobian is swept by columns (JVPs) or by rows (VJPs),
whichever are fewer; or, if what arrives has fewer columns than that, those are pushed through it. Batch axes that
operands and results share are swept once for all.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import primitives

from jmc.linear.collapse import collapsed
from jmc.linear.contract import check_size
from jmc.linear.linear_map import MAX_BYTES, LinearMap
from jmc.linear.term import Factor, Term, dense, fresh, plains


class Pointwise:
    """A function of one operand that is real-linear and acts on each entry: real, imag, conj."""

    def __init__(self, f: Callable[[Any], Any], dtype: Any):
        self.f = f
        self.dtype = dtype

    def forward(self, arriving: LinearMap) -> LinearMap:
        """f of every entry of the Jacobian, whose structure stays."""
        terms = []
        for term in collapsed(arriving.terms, arriving.dtype, MAX_BYTES):
            array = jnp.asarray(term.coefficient, arriving.dtype)
            labels: tuple[Any, ...] = ()
            if term.factors:
                (factor,) = term.factors
                array, labels = jnp.asarray(factor.array).astype(arriving.dtype) * array, factor.labels
            terms.append(Term(1, (Factor(self.f(array), labels),), term.out, term.in_))
        return LinearMap(terms, arriving.out_shape, arriving.in_shape, self.dtype)

    def pull(self, operand: Any, cotangent: Any) -> Any:
        """The cotangent of the operand, by JAX's convention for complex numbers."""
        (found,) = jax.vjp(self.f, operand)[1](cotangent)
        return found


def _refuse_custom_vjp(program: Any) -> None:
    """Raise TypeError if a function with a vjp alone is in the program of a JVP: JAX says so only when it runs."""
    for eqn in getattr(program, "jaxpr", program).eqns:
        if eqn.primitive is primitives.custom_lin_p:
            raise TypeError("forward mode through a function that has only a custom vjp")
        for inner in jax.tree.leaves(eqn.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            if hasattr(inner, "eqns"):
                _refuse_custom_vjp(inner)


def _each(f: Callable[[Any], Sequence[Any]], axis: int, basis: Any) -> Sequence[Any]:
    """``f`` of every row of ``basis``, the results along ``axis``; one by one where JAX cannot vectorize ``f``."""
    try:
        return jax.vmap(f, out_axes=axis)(basis)
    except NotImplementedError:
        return [jnp.moveaxis(array, 0, axis) for array in jax.lax.map(f, basis)]


class Opaque:
    """``f`` at ``args``, both lists of arrays; ``core`` trailing axes of each if the others are a shared batch."""

    def __init__(
        self,
        f: Callable[..., Sequence[Any]],
        args: Sequence[Any],
        core: int | None = None,
        mode: str | None = None,
        complex_linear: bool = False,
    ):
        self.f = f
        self._mode = mode
        # linear over the real numbers alone: nothing but columns says what it does to complex ones
        self.columns_only = not complex_linear and any(map(jnp.iscomplexobj, args))
        self.args = list(args)
        self.outs = list(jax.eval_shape(f, *args))
        shapes = [np.shape(a) for a in (*self.args, *self.outs)]
        batches = {shape[: len(shape) - core] for shape in shapes if len(shape) >= core} if core else set()
        shared = core is not None and len(batches) == 1 and all(len(shape) >= core for shape in shapes)
        self.batch: tuple[int, ...] = batches.pop() if shared else ()

    def check(self) -> None:
        """Raise what JAX raises if ``f`` can be differentiated in neither mode."""
        self.mode()

    def mode(self) -> str:
        """The modes that JAX has for ``f``: "both", "forward" or "reverse"."""
        if self._mode is None:
            forward = self._works(
                lambda: _refuse_custom_vjp(jax.make_jaxpr(lambda *a: jax.jvp(self.f, a, a))(*self.args))
            )
            reverse = self._works(lambda: jax.eval_shape(lambda *a: self._pull(a, self._ones()), *self.args))
            if forward is not None and reverse is not None:
                raise forward if isinstance(forward, NotImplementedError) else NotImplementedError(str(forward))
            self._mode = "both" if forward is reverse is None else "forward" if forward is None else "reverse"
        return self._mode

    def _works(self, attempt: Callable[[], Any]) -> Exception | None:
        try:
            attempt()
        except (TypeError, ValueError, NotImplementedError, AssertionError) as error:
            return error
        return None

    def _ones(self) -> list[Any]:
        return [jnp.ones(out.shape, out.dtype) for out in self.outs]

    def _pull(self, args: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        return jax.vjp(lambda *a: list(self.f(*a)), *args)[1](list(cotangents))

    def _push(self, tangents: Sequence[Any]) -> Sequence[Any]:
        return jax.jvp(lambda *a: list(self.f(*a)), self.args, list(tangents))[1]

    def pull(self, cotangents: Sequence[Any]) -> Sequence[Any]:
        """The cotangents of the operands."""
        if self.mode() == "forward":
            maps = self.local()
            return [
                sum(
                    LinearMap(maps[j, k], o.shape, np.shape(a), o.dtype).vm(u)
                    for j, (o, u) in enumerate(zip(self.outs, cotangents, strict=True))
                )
                for k, a in enumerate(self.args)
            ]
        return self._pull(self.args, cotangents)

    def local(self) -> dict[tuple[int, int], tuple[Term, ...]]:
        """The Jacobian of each result with respect to each operand, as one dense block per batch entry."""
        if not hasattr(self, "_local"):
            rank = len(self.batch)
            columns = sum(math.prod(np.shape(a)[rank:]) for a in self.args)
            rows = sum(math.prod(o.shape[rank:]) for o in self.outs)
            check_size((*self.batch, rows, columns), self.outs[0].dtype, MAX_BYTES, "the Jacobian of an operation")
            same = len({jnp.iscomplexobj(a) for a in (*self.args, *self.outs)}) == 1
            by_rows = self.mode() == "reverse" or (self.mode() == "both" and rows < columns and same)
            blocks = self._rows() if by_rows else self._columns()
            self._local = {key: (self._block(array, key),) for key, array in blocks.items()}
        return self._local

    def _block(self, array: Any, key: tuple[int, int]) -> Term:
        """The term of an array over (batch, rest of the result, rest of the operand)."""
        j, k = key
        rank = len(self.batch)
        batch = fresh(self.batch)
        out, in_ = fresh(self.outs[j].shape[rank:]), fresh(np.shape(self.args[k])[rank:])
        factor = Factor(array, (*batch, *out, *in_))
        return Term(1, (factor,), plains([*batch, *out]), plains([*batch, *in_]))

    def _columns(self) -> dict[tuple[int, int], Any]:
        rank = len(self.batch)
        blocks = {}
        for k, arg in enumerate(self.args):
            shape, dtype = np.shape(arg)[rank:], arg.dtype
            size = math.prod(shape)

            def column(basis: Any, k: int = k) -> Sequence[Any]:
                tangents = [jnp.zeros_like(a) for a in self.args]
                tangents[k] = jnp.broadcast_to(basis, tangents[k].shape)
                return self._push(tangents)

            found = _each(column, -1, jnp.eye(size, dtype=dtype).reshape(size, *shape))
            for j, array in enumerate(found):
                blocks[j, k] = array.reshape(*self.outs[j].shape, *shape)
        return blocks

    def _rows(self) -> dict[tuple[int, int], Any]:
        rank = len(self.batch)
        blocks = {}
        for j, out in enumerate(self.outs):
            shape = out.shape[rank:]
            size = math.prod(shape)

            def row(basis: Any, j: int = j) -> Sequence[Any]:
                cotangents = [jnp.zeros(o.shape, o.dtype) for o in self.outs]
                cotangents[j] = jnp.broadcast_to(basis, cotangents[j].shape)
                return self._pull(self.args, cotangents)

            found = _each(row, rank, jnp.eye(size, dtype=out.dtype).reshape(size, *shape))
            for k, array in enumerate(found):
                blocks[j, k] = array.reshape(*self.batch, *shape, *np.shape(self.args[k])[rank:])
        return blocks

    def sweeps(self) -> int:
        """How many columns or rows a sweep of the local Jacobian takes."""
        rank = len(self.batch)
        columns = sum(math.prod(np.shape(a)[rank:]) for a in self.args)
        rows = sum(math.prod(o.shape[rank:]) for o in self.outs)
        return {"both": min(columns, rows), "forward": columns, "reverse": rows}[self.mode()]

    def push_columns(self, arriving: Sequence[LinearMap | None], in_shape: tuple[int, ...]) -> list[LinearMap]:
        """The results' Jacobians, from the columns of the operands'."""
        size = math.prod(in_shape)
        columns = [
            jnp.zeros((*np.shape(a), size), a.dtype)
            if J is None
            else J.dense().reshape(*np.shape(a), size).astype(a.dtype)
            for J, a in zip(arriving, self.args, strict=True)
        ]
        found = jax.vmap(lambda *tangents: self._push(tangents), in_axes=-1, out_axes=-1)(*columns)
        return [
            LinearMap([dense(array.reshape(*o.shape, *in_shape), len(o.shape))], o.shape, in_shape, o.dtype)
            for array, o in zip(found, self.outs, strict=True)
        ]

    def pull_rows(self, arriving: Sequence[LinearMap | None], out_shape: tuple[int, ...]) -> list[LinearMap]:
        """The operands' Jacobians, from the rows of the results'."""
        size = math.prod(out_shape)
        rows = [
            jnp.zeros((size, *o.shape), o.dtype) if J is None else J.dense().reshape(size, *o.shape).astype(o.dtype)
            for J, o in zip(arriving, self.outs, strict=True)
        ]
        found = jax.vmap(lambda *cotangents: self._pull(self.args, cotangents))(*rows)
        return [
            LinearMap(
                [dense(array.reshape(*out_shape, *np.shape(a)), len(out_shape))], out_shape, np.shape(a), array.dtype
            )
            for array, a in zip(found, self.args, strict=True)
        ]
