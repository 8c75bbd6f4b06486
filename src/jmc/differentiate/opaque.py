"""Functions whose Jacobian is swept: what has no rule is still right.

An opaque step knows a function and where it is evaluated. Its Jacobian is swept by columns (JVPs) or by rows (VJPs),
whichever are fewer; or, if what arrives has fewer columns than that, those are pushed through it.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import primitives

from jmc.differentiate.links import Key, Links
from jmc.differentiate.sweep import block_size, plan, swept
from jmc.linear.collapse import collapsed
from jmc.linear.contract import check_size
from jmc.linear.linear_map import MAX_BYTES, LinearMap
from jmc.linear.term import Factor, Term


class Pointwise:
    """A function of one operand that is real-linear and acts on each entry: real, imag, conj."""

    links = None

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


class Opaque:
    """``f`` at ``args``, both lists of arrays, with what is known of the axes that go together.

    Attributes:
        columns_only: linear over the real numbers alone; nothing but columns says what it does to complex ones.
    """

    def __init__(
        self,
        f: Callable[..., Sequence[Any]],
        args: Sequence[Any],
        links: Links | None = None,
        mode: str | None = None,
        complex_linear: bool = False,
    ):
        self.f = f
        self._mode = mode
        self._vjp: Any = None
        self.columns_only = not complex_linear and any(map(jnp.iscomplexobj, args))
        self.args = list(args)
        self.outs = list(jax.eval_shape(f, *args))
        self._swept: dict[Key, tuple[Term, ...]] = {}
        pairs = itertools.product(range(len(self.outs)), range(len(self.args)))
        self.links: Links = dict.fromkeys(pairs, frozenset()) if links is None else links

    def mode(self) -> str:
        """The modes that JAX has for ``f``: "both", "forward" or "reverse"; raises what JAX raises if there is none."""
        if self._mode is None:
            forward = self._works(
                lambda: _refuse_custom_vjp(jax.make_jaxpr(lambda *a: jax.jvp(self.f, a, a))(*self.args))
            )
            reverse = self._works(lambda: jax.eval_shape(lambda *a: self._pull_at(a, self._ones()), *self.args))
            if forward is not None and reverse is not None:
                raise forward if isinstance(forward, NotImplementedError) else NotImplementedError(str(forward))
            self._mode = "both" if forward is reverse is None else "forward" if forward is None else "reverse"
        return self._mode

    def reverse_only(self) -> str:
        """Leave forward mode, which JAX cannot vectorize for references."""
        self._mode = "reverse"
        return self._mode

    def _works(self, attempt: Callable[[], Any]) -> Exception | None:
        try:
            attempt()
        except (TypeError, ValueError, NotImplementedError, AssertionError, AttributeError) as error:
            return error  # the last where a reference is differentiated twice in reverse
        return None

    def _ones(self) -> list[Any]:
        return [jnp.ones(out.shape, out.dtype) for out in self.outs]

    def push(self, tangents: Sequence[Any]) -> Sequence[Any]:
        """The tangents of the results."""
        return jax.jvp(lambda *a: list(self.f(*a)), self.args, list(tangents))[1]

    def _pull_at(self, args: Sequence[Any], cotangents: Sequence[Any]) -> Sequence[Any]:
        return jax.vjp(lambda *a: list(self.f(*a)), *args)[1](list(cotangents))

    def evaluated(self, both: Callable[..., tuple[list[Any], Any]]) -> Any:
        """What ``both`` gives beside f's results, from the evaluation through which cotangents are pulled back.

        So nothing is evaluated twice, and in higher derivatives a function with a vjp of its own is its forward part.
        """
        _, self._vjp, found = jax.vjp(both, *self.args, has_aux=True)
        return found

    def pull_back(self, cotangents: Sequence[Any]) -> Sequence[Any]:
        """The cotangents of the operands in reverse mode."""
        return self._pull_at(self.args, cotangents) if self._vjp is None else self._vjp(list(cotangents))

    def pull(self, cotangents: Sequence[Any]) -> Sequence[Any]:
        """The cotangents of the operands in any mode."""
        if self.mode() != "forward":
            return self.pull_back(cotangents)
        if any(map(jnp.iscomplexobj, (*self.args, *self.outs))):
            return [self._pulled(k, cotangents) for k in range(len(self.args))]
        found = [jnp.zeros_like(a) for a in self.args]
        for (j, k), terms in self.local(self.links).items():
            found[k] += LinearMap(terms, self.outs[j].shape, found[k].shape, self.outs[j].dtype).vm(cotangents[j])
        return found

    def _pulled(self, k: int, cotangents: Sequence[Any]) -> Any:
        """The cotangent of operand k, by JAX's convention for complex numbers: x + iy for Re((x + iy)(dx + i dy))."""
        arg = self.args[k]

        def along(direction: Any) -> Any:
            moved = self.push([direction if i == k else jnp.zeros_like(a) for i, a in enumerate(self.args)])
            return sum(jnp.sum((u * v).real) for u, v in zip(cotangents, moved, strict=True))

        basis = jnp.eye(arg.size, dtype=arg.dtype).reshape(arg.size, *arg.shape)
        slopes = jax.vmap(along)(basis)
        if jnp.iscomplexobj(arg):
            slopes = jax.lax.complex(slopes, -jax.vmap(along)(1j * basis))
        return slopes.reshape(arg.shape).astype(arg.dtype)

    def local(self, keys: Iterable[Key]) -> Mapping[Key, tuple[Term, ...]]:
        """The Jacobians of these results with respect to these operands, one block for every place on linked axes."""
        missing = [key for key in keys if key in self.links and key not in self._swept]
        for key in missing:
            check_size([block_size(self, key)], self.outs[key[0]].dtype, MAX_BYTES, "the Jacobian of an operation")
        self._swept.update(swept(self, missing))
        return self._swept

    def sweeps(self, keys: Iterable[Key]) -> int:
        """How many columns and rows these blocks take."""
        return sum(side.sweeps for side in plan(self, [key for key in keys if key in self.links]))
