"""One equation seen by the rules: its operands' values, and the registry of rules for linear primitives.

A rule says, for a primitive that is linear in its operand k, the operand's Jacobian as terms. There is one rule per
primitive for everything: the same terms give Jacobians, and contracted with a cotangent, gradients.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive

from jmc.linear.term import Axis, Factor, Label, Term, fresh, plain, plains
from jmc.linear.unify import unified


class Value(NamedTuple):
    """An array that a rule may use as a factor; it may be a repeated or transposed view of a smaller one.

    Attributes:
        array: the array itself.
        base, dims: ``array[i] = base[i[dims]]``: axis k of ``base`` is axis ``dims[k]`` of ``array``.
        literal: the number that it is everywhere, if that is known.
        computed: whether jmc computed ``base``; inputs and constants of the function are not.
        place: for integers that count along axes, ``(offset, ((dim, stride), …))``, so that they are known as
            offset + Σ stride · index[dim].
        delta: for a mask that is true where two such are equal, both of them.
    """

    array: Any
    base: Any
    dims: tuple[int, ...]
    literal: float | complex | None = None
    computed: bool = True
    place: "Place | None" = None
    delta: "tuple[Place, Place] | None" = None


Place = tuple[int, tuple[tuple[int, int], ...]]
# What was evaluated, by what it was evaluated of; the operands are kept with it, so that their identities stay theirs.
Memo = dict[Any, tuple[Any, Sequence[Value]]]


def value(array: Any, computed: bool = True) -> Value:
    """An array as it is."""
    return Value(array, array, tuple(range(np.ndim(array))), None, computed)


def literal(number: Any) -> Value:
    """A literal of the program; a scalar of moderate size is known as a number."""
    if np.ndim(number) == 0 and isinstance(number, (int, float, complex, np.generic, np.ndarray)):
        plain_number = np.asarray(number).item()
        if isinstance(plain_number, (int, float, complex)) and not isinstance(plain_number, bool):
            # larger ones stay arrays, so that they are multiplied in the order in which the function does
            moderate = plain_number == 0 or 2.0**-20 <= abs(plain_number) <= 2.0**20
            return Value(number, number, (), plain_number if moderate else None, False)
    return value(number, False)


class Operation(NamedTuple):
    """An equation: how to apply it, its parameters, its operands' values and shapes, and the shapes of its results.

    ``memo`` holds what the program, and rules before this one, have evaluated.
    """

    primitive: Primitive
    bind: Callable[..., Any]

    params: dict[str, Any]
    values: Sequence[Value]
    in_shapes: Sequence[tuple[int, ...]]
    out_shapes: Sequence[tuple[int, ...]]
    dtype: Any
    memo: Memo

    def scaled(self, k: int, labels: Sequence[Label], coefficient: Any = 1, factors: tuple[Factor, ...] = ()) -> Term:
        """The element-wise Jacobian with respect to operand k, a diagonal of ``factors`` on ``labels``."""
        return Term(coefficient, factors, plains(labels), elementwise_axes(self.in_shapes[k], labels))

    def times(self, k: int, i: int) -> list[Term]:
        """The element-wise Jacobian diag(operand i) with respect to operand k."""
        labels = fresh(self.out_shapes[0])
        delta = self.values[i].delta
        if delta is not None and np.shape(self.values[i].array) == tuple(self.out_shapes[0]):
            both = unified(self.scaled(k, labels), [(_along(delta[0], labels), _along(delta[1], labels))])
            return [] if both is None else [both]
        return [self.scaled(k, labels, *self.weight(i, labels))]

    def weight(self, i: int, labels: Sequence[Label]) -> tuple[float | complex, tuple[Factor, ...]]:
        """Operand i as a coefficient and factors on ``labels``, one for each axis of the (broadcast) operand."""
        return weight(self.values[i], labels)


def operation(eqn: Any, values: Sequence[Value], memo: Memo) -> Operation:
    """The equation ``eqn`` at these values of its operands."""
    return Operation(
        eqn.primitive,
        functools.partial(eqn.primitive.bind, **eqn.primitive.get_bind_params(eqn.params)),
        eqn.params,
        values,
        [atom.aval.shape for atom in eqn.invars],
        [var.aval.shape for var in eqn.outvars],
        eqn.outvars[0].aval.dtype,
        memo,
    )


def weight(v: Value, labels: Sequence[Label]) -> tuple[float | complex, tuple[Factor, ...]]:
    """A value as a coefficient and factors, its axes (if it is no scalar) named by ``labels``."""
    if v.literal is not None:
        return v.literal, ()
    if np.ndim(v.array) == 0:
        labels = ()
    own = [labels[d] for d in v.dims]
    stretched = tuple(k for k, label in enumerate(own) if np.shape(v.base)[k] != label.size)
    if not stretched:
        return 1, (Factor(v.base, tuple(own), v.computed),)
    kept = tuple(label for k, label in enumerate(own) if k not in stretched)
    return 1, (Factor(lax.squeeze(jnp.asarray(v.base), stretched), kept, v.computed),)


def _along(place: Place, labels: Sequence[Label]) -> Axis:
    """An axis, long enough to both sides, at the position that ``place`` counts."""
    offset, strides = place
    return Axis(2**30, tuple((labels[dim], stride) for dim, stride in strides), 2**29 + offset)


def elementwise_axes(shape: Sequence[int], labels: Sequence[Label]) -> tuple[Axis, ...]:
    """The axes of an operand of this shape in an element-wise operation: axes of size 1 are repeated."""
    return tuple(
        plain(label) if n == label.size else Axis(1, ())
        for n, label in zip(shape, labels if shape else (), strict=True)
    )


Rule = Callable[[Operation, int], Iterable[Term]]
LINEAR: dict[Primitive, Rule] = {}
# Rules for primitives of several results give pairs (result, term).
SEVERAL: dict[Primitive, Callable[[Operation, int], Iterable[tuple[int, Term]]]] = {}


def linear(*primitives: Primitive | None, table: dict[Primitive, Any] = LINEAR) -> Callable[[Any], Any]:
    """Register a rule for these primitives; None stands for one that this version of JAX lacks."""

    def register(rule: Any) -> Any:
        table.update((primitive, rule) for primitive in primitives if primitive is not None)
        return rule

    return register


def traced(f: Callable[..., Any], *args: Any, name: str) -> Primitive | None:
    """The primitive of this name that ``f`` applies, if it does: the way to one that JAX exports no name for."""
    found = (eqn.primitive for eqn in jax.make_jaxpr(f)(*args).eqns)
    return next((primitive for primitive in found if primitive.name == name), None)
