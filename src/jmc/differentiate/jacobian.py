"""`jacobian`, `hessian`, `value_and_jacobian`: JAX's signatures and nesting, each leaf a LinearMap."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jmc.differentiate.accumulate import Maps, backward, forward, pull
from jmc.differentiate.gradient import as_gradient
from jmc.differentiate.opaque import Pointwise
from jmc.differentiate.pins import check_pins
from jmc.differentiate.program import Program, Traceable, array
from jmc.linear.collapse import finished
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import identity


def value_and_jacobian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    require: str | None = None,
    on_dense: str | None = None,
) -> Callable[..., tuple[Any, Any]]:
    """The function ``(*args, **kwargs) -> (f's value, its Jacobian)``; see :func:`jacobian`."""
    traceable = Traceable(f, argnums, has_aux, holomorphic)
    if on_dense not in (None, "raise"):
        raise ValueError(f"`on_dense` must be None or 'raise', but got {on_dense!r}")

    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        program = traceable.program(args, kwargs)
        _check_outputs(program, holomorphic)
        rows = jacobians(program)
        check_pins(program, rows, require, on_dense)
        nested = [traceable.nested(program.tree, row) for row in rows]
        J = jax.tree.unflatten(program.out_tree, nested)
        return (program.value, program.aux) if has_aux else program.value, J

    return traceable.named(call, "value_and_jacobian")


def jacobian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    require: str | None = None,
    on_dense: str | None = None,
) -> Callable[..., Any]:
    """The Jacobian of ``f`` as :class:`jmc.LinearMap`, with the structure that its formula has.

    Exact, for any function that JAX can differentiate, with JAX's conventions at kinks. Works under ``jax.jit`` and
    inside ``jax.vmap``; ``jacobian(jax.vmap(f))`` shares what the examples share, ``jax.vmap`` of a function that
    returns a LinearMap gives one that can only be handed on.

    Args:
        f: a function of pytrees of arrays that returns a pytree of floating-point arrays.
        argnums: which positional arguments to differentiate.
        has_aux: whether ``f`` returns a pair ``(value, aux)``.
        holomorphic: differentiate a holomorphic function of complex arguments.
        require: a structure that every leaf must have, as ``"diagonal"`` or ``"block_diagonal"``.
        on_dense: ``"raise"`` to refuse leaves without structure.

    Returns:
        A function with the arguments of ``f`` that returns the Jacobian (with aux: a pair), nested as
        ``jax.jacobian`` nests it, the output's tree outside and the argument's inside; each leaf maps tangents of the
        argument to tangents of the output, and ``leaf.dense()`` has the shape and dtype of ``jax.jacfwd``'s.

    Raises:
        NotDifferentiable: (when called) JAX has no derivative of an operation; it is named with its line.
        TooLarge: (when called) an array that has to be formed would exceed 4 GiB.
        StructureError: (when called) ``require`` or ``on_dense`` is not met; the message names the equation.
        TypeError, ValueError: (when called) an argument or value has no real floating-point type (complex with
            ``holomorphic``), or ``argnums`` does not fit.
    """
    both = value_and_jacobian(f, argnums, has_aux, holomorphic, require, on_dense)

    def call(*args: Any, **kwargs: Any) -> Any:
        value, J = both(*args, **kwargs)
        return (J, value[1]) if has_aux else J

    return Traceable(f, argnums, has_aux).named(call, "jacobian")


def hessian(
    f: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    require: str | None = None,
    on_dense: str | None = None,
) -> Callable[..., Any]:
    """The Hessian of ``f`` as :class:`jmc.LinearMap`: the Jacobian of its gradient.

    Arguments and errors as :func:`jacobian`; nested as ``jax.hessian`` nests it (output, argument, argument). A leaf
    maps ``in_shape`` of the second argument to ``out_shape + in_shape`` of the first.
    """
    traceable = Traceable(f, argnums, has_aux, holomorphic)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        program = traceable.program(args, kwargs)
        _check_outputs(program, holomorphic)
        scalar = all(aval.shape == () for aval in program.out_avals)
        rows = _gradients(program) if scalar else [[J.dense() for J in row] for row in jacobians(program)]
        nested = [traceable.nested(program.tree, row) for row in rows]
        found = jax.tree.unflatten(program.out_tree, nested)
        return (found, program.aux) if has_aux else found

    gradient.__name__ = f"grad({traceable.name})"
    call = jacobian(gradient, argnums, has_aux, holomorphic, require, on_dense)
    return traceable.named(call, "hessian")


def _gradients(program: Program) -> list[list[Any]]:
    """For each scalar output its gradients with respect to each leaf."""
    rows = []
    for node in program.outputs:
        start = {node: jnp.ones_like(array(node))} if node.active else {}
        cotangents = pull(program.tape, start, program.inputs)
        rows.append([as_gradient(u, leaf) for u, leaf in zip(cotangents, program.leaves, strict=True)])
    return rows


def jacobians(program: Program) -> list[list[LinearMap]]:
    """For each output its Jacobians with respect to each leaf: accumulated from the smaller side."""
    for node in program.outputs:
        node.uses += 1
    sizes = [math.prod(aval.shape) for aval in program.out_avals]
    fewer_in = sum(leaf.size for leaf in program.leaves) <= sum(sizes)
    if fewer_in or any(_columns_only(step.opaque) for step in program.tape.steps):
        start = {
            node: _unit(k, leaf.shape, leaf.dtype, len(program.leaves))
            for k, (node, leaf) in enumerate(zip(program.inputs, program.leaves, strict=True))
        }
        rows = forward(program.tape, start, program.outputs)
    else:
        rows = _from_outputs(program)
    return [
        [
            LinearMap(() if J is None else finished(J.terms, aval.dtype), aval.shape, leaf.shape, aval.dtype)
            for J, leaf in zip(row, program.leaves, strict=True)
        ]
        for aval, row in zip(program.out_avals, rows, strict=True)
    ]


def _columns_only(opaque: Any) -> bool:
    return isinstance(opaque, Pointwise) or (opaque is not None and opaque.columns_only)


def _from_outputs(program: Program) -> list[Maps]:
    count = len(program.outputs)
    start: dict[Any, Maps] = {}
    for j, (node, aval) in enumerate(zip(program.outputs, program.out_avals, strict=True)):
        if node.active:
            unit = _unit(j, aval.shape, aval.dtype, count)
            start[node] = [a or b for a, b in zip(start[node], unit, strict=True)] if node in start else unit
    if not start:
        return [[None] * len(program.leaves) for _ in range(count)]
    columns = backward(program.tape, start, program.inputs)
    return [[column[j] for column in columns] for j in range(count)]


def _unit(k: int, shape: Sequence[int], dtype: Any, count: int) -> Maps:
    row: Maps = [None] * count
    row[k] = LinearMap([identity(shape)], shape, shape, dtype)
    return row


def _check_outputs(program: Program, holomorphic: bool) -> None:
    for aval in program.out_avals:
        if not jnp.issubdtype(aval.dtype, jnp.inexact):
            raise TypeError(f"`f` must return real floating-point arrays, but got {aval.dtype}{list(aval.shape)}")
        if holomorphic and not jnp.issubdtype(aval.dtype, jnp.complexfloating):
            raise TypeError(f"`f` must return complex arrays with holomorphic=True, but got {aval.dtype}")
