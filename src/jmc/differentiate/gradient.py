"""`grad` and `value_and_grad`, with JAX's signatures, from the closed forms."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import primitives

from jmc.differentiate.reverse import backward


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function ``(*args, **kwargs) -> (f's value, its gradient)``, every derivative in closed form.

    Takes compositions of jmc's functions (activations, ``affine``, ``neuron``, ``network``, losses, …) with sums,
    products, slices and reshapes; the closed forms are assembled by the vector chain rule. Works under ``jax.jit``
    and ``jax.vmap``, in f32, f64 and bf16, and can itself be differentiated by JAX. ``f`` is always traced: Python
    branches on a differentiated argument raise JAX's concretization error.

    Args:
        f: returns a real floating-point scalar, or a pair ``(scalar, aux)`` with ``has_aux``.
        argnums: which positional arguments to differentiate, pytrees of real floating-point arrays.
        has_aux: whether ``f`` returns auxiliary output, which is handed on.

    Returns:
        A function with the arguments of ``f`` that returns ``(value, gradient)`` or ``((value, aux), gradient)``;
        the gradient has the structure, shapes and dtypes of the argument (a tuple for a sequence of argnums).

    Raises:
        NoClosedForm: (when called) an operation on the differentiated arguments has no closed form; it is named
            with its line.
        TypeError, ValueError: (when called) ``f`` is not a real scalar, an argument is not real floating-point,
            or ``argnums`` does not fit.
    """
    single = not isinstance(argnums, Sequence)
    try:
        numbers = [operator.index(argnums)] if single else [operator.index(number) for number in argnums]
    except TypeError:
        raise TypeError(f"`argnums` must be an integer or a sequence of integers, but got {argnums!r}") from None
    if not callable(f):
        raise TypeError(f"`f` must be callable, but got {type(f).__name__}")

    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        positions = _positions(numbers, len(args), argnums)
        leaves, tree = jax.tree.flatten([args[position] for position in positions])
        leaves = [_real(leaf) for leaf in leaves]
        aux_of: list[Callable[[list[Any]], Any]] = []  # how to put the traced parts of aux back, once f has run

        def flat(*leaves: Any) -> tuple[Any, list[Any]]:
            filled = list(args)
            for position, arg in zip(positions, jax.tree.unflatten(tree, leaves), strict=True):
                filled[position] = arg
            value, aux = _split(f(*filled, **kwargs), has_aux)
            arrays, restore = _partition(aux)
            aux_of.append(restore)
            return value, arrays

        flat.__name__ = flat.__qualname__ = getattr(f, "__name__", "f")  # the name in JAX's own messages
        closed = jax.make_jaxpr(flat)(*leaves)
        _check_scalar(closed.out_avals[0])
        outs, _, pull = backward(closed.jaxpr, closed.consts, leaves, [True] * len(leaves))
        value, *arrays = outs
        cotangents = pull([jnp.ones_like(value), *[None] * len(arrays)])
        gradients = [_as_gradient(u, leaf) for u, leaf in zip(cotangents, leaves, strict=True)]
        gradient = tuple(jax.tree.unflatten(tree, gradients))
        return (value, aux_of[-1](arrays)) if has_aux else value, gradient[0] if single else gradient

    return _named(call, f, "value_and_grad")


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of ``f`` in closed form: as :func:`value_and_grad`, without the value.

    Returns a function with the arguments of ``f`` that returns the gradient, or ``(gradient, aux)``.
    """
    both = value_and_grad(f, argnums, has_aux)

    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return _named(call, f, "grad")


def _named(call: Callable[..., Any], f: Callable[..., Any], what: str) -> Callable[..., Any]:
    call.__name__ = f"{what}({getattr(f, '__name__', 'f')})"
    call.__doc__ = f"{what} of {getattr(f, '__name__', 'f')}, in closed form."
    return call


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


def _real(leaf: Any) -> jax.Array:
    try:
        array = jnp.asarray(leaf)
    except TypeError:
        raise TypeError(f"`argnums` must name real floating-point arguments, but got {type(leaf).__name__}") from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"`argnums` must name real floating-point arguments, but got {array.dtype}")
    return array


def _split(out: Any, has_aux: bool) -> tuple[Any, Any]:
    """The value and aux that ``f`` returned."""
    value, aux = out, ()
    if has_aux:
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(f"`f` must return a pair (value, aux) with has_aux, but got {_kind(out)}")
        value, aux = out
    if not jax.tree_util.all_leaves([value]):
        hint = "" if has_aux else "; has_aux takes (value, aux)"
        raise TypeError(f"`f` must return one scalar, but got {_kind(value)}{hint}")
    return value, aux


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def _partition(aux: Any) -> tuple[list[jax.Array], Callable[[list[Any]], Any]]:
    """The arrays in ``aux``, and the function that puts arrays in their places; the rest stays as it is."""
    parts, tree = jax.tree.flatten(aux)
    is_array = [isinstance(part, jax.Array) for part in parts]
    others = [None if array else part for part, array in zip(parts, is_array, strict=True)]

    def restore(arrays: list[Any]) -> Any:
        found = iter(arrays)
        return tree.unflatten(next(found) if array else x for x, array in zip(others, is_array, strict=True))

    return [part for part, array in zip(parts, is_array, strict=True) if array], restore


def _as_gradient(u: jax.Array | None, leaf: jax.Array) -> jax.Array:
    """The cotangent that arrived at ``leaf``, with the leaf's type."""
    if u is None:
        return jnp.zeros_like(leaf)
    aval = jax.typeof(leaf)
    # Inside shard_map, what is the same on every device of an axis collects from all of them.
    axes = tuple(jax.typeof(u).manual_axis_type.varying - aval.manual_axis_type.varying)
    if axes:
        u = jnp.asarray(jax.lax.psum(u, axes))
    if (u.dtype, jax.typeof(u).weak_type) == (aval.dtype, aval.weak_type):
        return u
    # astype makes a weak type strong: a Python number's gradient could not be added to its like
    return primitives.convert_element_type_p.bind(u, new_dtype=aval.dtype, weak_type=aval.weak_type, sharding=None)


def _check_scalar(aval: Any) -> None:
    if aval.shape != () or not jnp.issubdtype(aval.dtype, jnp.floating):
        raise TypeError(f"`f` must return a real floating-point scalar, but got {aval.dtype}{list(aval.shape)}")
