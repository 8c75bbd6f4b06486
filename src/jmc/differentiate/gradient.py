"""`grad` and `value_and_grad`, with JAX's signatures, from the closed forms: a row of ones, pulled back."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import primitives

from jmc.differentiate.accumulate import pull
from jmc.differentiate.program import Traceable, array, kind


def value_and_grad(
    f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """The function ``(*args, **kwargs) -> (f's value, its gradient)``.

    Every rule of jmc that ``f`` uses contributes its closed form, sums, products and reshapes between them their terms,
    and what has neither is differentiated by JAX, equation by equation. Works under ``jax.jit`` and ``jax.vmap``, in
    f32, f64 and bf16, and can itself be differentiated by jmc and by JAX. ``f`` is always traced: Python branches on a
    differentiated argument raise JAX's concretization error.

    Args:
        f: returns a real floating-point scalar, or a pair ``(scalar, aux)`` with ``has_aux``.
        argnums: which positional arguments to differentiate, pytrees of real floating-point arrays.
        has_aux: whether ``f`` returns auxiliary output, which is handed on.

    Returns:
        A function with the arguments of ``f`` that returns ``(value, gradient)`` or ``((value, aux), gradient)``;
        the gradient has the structure, shapes and dtypes of the argument (a tuple for a sequence of argnums).

    Raises:
        NotDifferentiable: (when called) JAX has no derivative of an operation either; it is named with its line.
        TypeError, ValueError: (when called) ``f`` is not a real scalar, an argument is not real floating-point,
            or ``argnums`` does not fit.
    """
    traceable = Traceable(f, argnums, has_aux)

    def check(out: Any) -> None:
        if not jax.tree_util.all_leaves([out]):
            hint = "" if has_aux else "; has_aux takes (value, aux)"
            raise TypeError(f"`f` must return one scalar, but got {kind(out)}{hint}")
        aval = jax.typeof(jnp.asarray(out))
        if aval.shape != () or not jnp.issubdtype(aval.dtype, jnp.floating):
            raise TypeError(f"`f` must return a real floating-point scalar, but got {aval.dtype}{list(aval.shape)}")

    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        program = traceable.program(args, kwargs, check, gradient=True)
        (end,) = program.outputs
        cotangents = pull(program.tape, {end: jnp.ones_like(array(end))}, program.inputs)
        gradients = [as_gradient(u, leaf) for u, leaf in zip(cotangents, program.leaves, strict=True)]
        gradient = traceable.nested(program.tree, gradients)
        return (program.value, program.aux) if has_aux else program.value, gradient

    return traceable.named(call, "value_and_grad")


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of ``f``: as :func:`value_and_grad`, without the value.

    Returns a function with the arguments of ``f`` that returns the gradient, or ``(gradient, aux)``.
    """
    both = value_and_grad(f, argnums, has_aux)

    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return Traceable(f, argnums, has_aux).named(call, "grad")


def as_gradient(u: jax.Array | None, leaf: jax.Array) -> jax.Array:
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
