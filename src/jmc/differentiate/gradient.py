"""`grad` and `value_and_grad`, with JAX's signatures, from the closed forms."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmc.differentiate.reverse import backward


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function ``(*args, **kwargs) -> (f's value, its gradient)``, every derivative in closed form.

    Takes compositions of jmc's functions (activations, ``affine``, ``neuron``, ``network``, losses, …) with sums,
    products, indexing and reshapes; the closed forms are assembled by the vector chain rule. Works under
    ``jax.jit`` and ``jax.vmap``, in f32, f64 and bf16, and can itself be differentiated by JAX.

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
        positions = [_position(number, len(args)) for number in numbers]
        leaves, tree = jax.tree.flatten([args[position] for position in positions])
        leaves = [_real(leaf) for leaf in leaves]
        rest: list[Any] = []  # the structure of aux, and what in it is not an array

        def flat(*leaves: Any) -> tuple[Any, list[Any]]:
            filled = list(args)
            for position, arg in zip(positions, jax.tree.unflatten(tree, leaves), strict=True):
                filled[position] = arg
            value, aux = _split(f(*filled, **kwargs), has_aux)
            parts, aux_tree = jax.tree.flatten(aux)
            traced = [isinstance(part, jax.Array) for part in parts]
            rest[:] = [aux_tree, traced, parts]
            return value, [part for part, keep in zip(parts, traced, strict=True) if keep]

        closed = jax.make_jaxpr(flat)(*leaves)
        _check_scalar(closed.out_avals[0])
        outs, _, pull = backward(closed.jaxpr, closed.consts, leaves, [True] * len(leaves))
        value, *arrays = outs
        cotangents = pull([jnp.ones_like(value), *[None] * len(arrays)])
        gradients = [
            jnp.zeros_like(leaf) if u is None else u.astype(leaf.dtype)
            for u, leaf in zip(cotangents, leaves, strict=True)
        ]
        gradient = tuple(jax.tree.unflatten(tree, gradients))
        aux_tree, traced, parts = rest
        restored = iter(arrays)
        aux = aux_tree.unflatten(next(restored) if keep else x for x, keep in zip(parts, traced, strict=True))
        return (value, aux) if has_aux else value, gradient[0] if single else gradient

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


def _position(number: int, count: int) -> int:
    if not -count <= number < count:
        raise ValueError(f"`argnums` must be below the number of positional arguments, {count}, but got {number}")
    return number % count


def _real(leaf: Any) -> jax.Array:
    try:
        array = jnp.asarray(leaf)
    except TypeError:
        raise TypeError(f"`argnums` must name real floating-point arguments, but got {type(leaf).__name__}") from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(f"`argnums` must name real floating-point arguments, but got {array.dtype}")
    return array


def _split(out: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        if len(jax.tree.leaves(out)) != 1:
            raise TypeError(f"`f` must return one scalar, but got a {type(out).__name__}; has_aux takes (value, aux)")
        return out, ()
    if not (isinstance(out, tuple) and len(out) == 2):
        raise TypeError(f"`f` must return a pair (value, aux) with has_aux, but got {type(out).__name__}")
    return out


def _check_scalar(aval: Any) -> None:
    if aval.shape != () or not jnp.issubdtype(aval.dtype, jnp.floating):
        raise TypeError(f"`f` must return a real floating-point scalar, but got {aval.dtype}{list(aval.shape)}")
