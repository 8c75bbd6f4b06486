"""A user's function as a traced program of arrays: what `jacobian` and `grad` have in common."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.differentiate.node import Node
from jmc.differentiate.operation import value
from jmc.differentiate.tape import Tape

_ARRAYS = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)


@dataclass(frozen=True)
class Program:
    """A function, traced and evaluated at arguments.

    Attributes:
        tape: the steps that depend on the differentiated arguments.
        leaves, inputs, tree: the arrays in these arguments, their nodes, and how they nest.
        outputs, out_avals, out_tree: the same of the value.
        aux: the auxiliary output, with its arrays.
    """

    tape: Tape
    leaves: list[jax.Array]
    inputs: list[Node]
    tree: Any
    outputs: list[Node]
    out_avals: list[Any]
    out_tree: Any
    aux: Any

    @property
    def value(self) -> Any:
        """What the function returned, without aux."""
        return jax.tree.unflatten(self.out_tree, [array(node) for node in self.outputs])


def array(node: Node) -> Any:
    """The array of a node whose value is known."""
    assert node.value is not None
    return node.value.array


class Traceable:
    """``f`` with the arguments to differentiate chosen; ``program(args, kwargs)`` traces it."""

    def __init__(self, f: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool, holomorphic: bool = False):
        self.single = not isinstance(argnums, Sequence)
        try:
            self.numbers = [operator.index(n) for n in ([argnums] if self.single else argnums)]  # pyright: ignore[reportGeneralTypeIssues, reportArgumentType] - what is no integer raises here
        except TypeError:
            raise TypeError(f"`argnums` must be an integer or a sequence of integers, but got {argnums!r}") from None
        if not callable(f):
            raise TypeError(f"`f` must be callable, but got {type(f).__name__}")
        self.f, self.argnums, self.has_aux, self.holomorphic = f, argnums, has_aux, holomorphic
        self.name = getattr(f, "__name__", "f")

    def program(
        self,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        check: Callable[[Any], None] | None = None,
        gradient: bool = False,
    ) -> Program:
        """The traced and evaluated program; ``check`` sees what ``f`` returned (without aux) before it is flattened."""
        positions = _positions(self.numbers, len(args), self.argnums)
        leaves, tree = jax.tree.flatten(tuple(args[position] for position in positions))
        leaves = [_differentiable(leaf, self.holomorphic) for leaf in leaves]
        found: list[Any] = []  # how to put the parts back, once f has run

        def flat(*leaves: Any) -> Any:
            filled = list(args)
            for position, arg in zip(positions, jax.tree.unflatten(tree, leaves), strict=True):
                filled[position] = arg
            out, aux = self._split(self.f(*filled, **kwargs))
            if check is not None:
                check(out)
            outs, out_tree = jax.tree.flatten(out)
            for leaf in outs:
                if not isinstance(leaf, _ARRAYS) and not hasattr(leaf, "__jax_array__"):
                    raise TypeError(f"`f` must return arrays, but got {kind(leaf)}")
            arrays, restore = _partition(aux)
            found[:] = [out_tree, restore]
            return outs, arrays

        flat.__name__ = flat.__qualname__ = self.name  # the name in JAX's own messages
        closed, shapes = jax.make_jaxpr(flat, return_shape=True)(*leaves)
        count = len(shapes[0])
        out_tree, restore = found
        tape = Tape(gradient)
        nodes = [Node(value(leaf, computed=False), active=True, aval=jax.typeof(leaf)) for leaf in leaves]
        ends = tape.walk(closed.jaxpr, closed.consts, nodes)
        aux = restore([array(node) for node in ends[count:]])
        return Program(tape, leaves, nodes, tree, ends[:count], list(closed.out_avals[:count]), out_tree, aux)

    def _split(self, out: Any) -> tuple[Any, Any]:
        if not self.has_aux:
            return out, ()
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(f"`f` must return a pair (value, aux) with has_aux, but got {kind(out)}")
        return out

    def nested(self, tree: Any, leaves: Sequence[Any]) -> Any:
        """What belongs to each leaf, nested as the differentiated arguments are."""
        nest = jax.tree.unflatten(tree, leaves)
        return nest[0] if self.single else nest

    def named(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        """``call`` under a name that says what it is."""
        call.__name__ = f"{what}({self.name})"
        call.__doc__ = f"{what} of {self.name}, in closed form."
        return call


def kind(value: Any) -> str:
    """What a value that is not an array is, for messages."""
    if value is None or isinstance(value, jax.Array):
        return "None" if value is None else "an array"
    return f"a {type(value).__name__}"


def _positions(numbers: Sequence[int], count: int, argnums: Any) -> list[int]:
    for number in numbers:
        if not -count <= number < count:
            raise ValueError(
                f"`argnums` must be below the number of arguments passed by position, {count}, but got {number}"
            )
    positions = [number % count for number in numbers]
    if not positions or len(set(positions)) < len(positions):
        raise ValueError(f"`argnums` must name one argument or several distinct ones, but got {argnums!r}")
    return positions


def _differentiable(leaf: Any, holomorphic: bool) -> jax.Array:
    wanted = "complex" if holomorphic else "real floating-point"
    try:
        found = jnp.asarray(leaf)
    except TypeError:
        raise TypeError(f"`argnums` must name {wanted} arguments, but got {type(leaf).__name__}") from None
    if not jnp.issubdtype(found.dtype, jnp.complexfloating if holomorphic else jnp.floating):
        hint = "; holomorphic=True takes complex ones" if jnp.iscomplexobj(found) else ""
        raise TypeError(f"`argnums` must name {wanted} arguments, but got {found.dtype}{hint}")
    return found


def _partition(aux: Any) -> tuple[list[jax.Array], Callable[[list[Any]], Any]]:
    """The arrays in ``aux``, and the function that puts arrays in their places; the rest stays as it is."""
    parts, tree = jax.tree.flatten(aux)
    is_array = [isinstance(part, jax.Array) for part in parts]
    others = [None if array else part for part, array in zip(parts, is_array, strict=True)]

    def restore(arrays: list[Any]) -> Any:
        found = iter(arrays)
        return tree.unflatten(next(found) if array else x for x, array in zip(others, is_array, strict=True))

    return [part for part, array in zip(parts, is_array, strict=True) if array], restore
