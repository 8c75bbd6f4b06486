"""How cotangents pass the arithmetic and the reshaping between rules: one closed form per `jax.lax` primitive.

Each entry of ``PRIMITIVES`` maps a primitive, by identity, to a function ``(u, value, args, params) -> one thunk per
argument``; a thunk is called only if its argument depends on what is differentiated, None stands for no dependence.
``SEVERAL_RESULTS`` has those of several results, ``(us, args, params) -> …``.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.extend.core import primitives as p

Cotangents = Sequence[Callable[[], jax.Array] | None]
PRIMITIVES: dict[Primitive, Callable[..., Cotangents]] = {}
SEVERAL_RESULTS: dict[Primitive, Callable[..., Cotangents]] = {}


def _register(
    *primitives: Primitive | None, table: dict[Primitive, Callable[..., Cotangents]] = PRIMITIVES
) -> Callable[[Callable[..., Cotangents]], Callable[..., Cotangents]]:
    def register(rule: Callable[..., Cotangents]) -> Callable[..., Cotangents]:
        table.update((primitive, rule) for primitive in primitives if primitive is not None)
        return rule

    return register


def _like(u: jax.Array, x: jax.Array) -> jax.Array:
    """``u`` summed over the axes along which the operand ``x`` was repeated: a scalar's, or those of size 1."""
    shape = jnp.shape(x)
    if shape == u.shape:
        return u
    if shape == ():
        return jnp.sum(u)
    return jnp.sum(u, axis=tuple(i for i, n in enumerate(shape) if n != u.shape[i]), keepdims=True)


# arithmetic


@_register(p.add_p, p.add_jaxvals_p)
def _add(u, _, args, __):
    return [lambda x=x: _like(u, x) for x in args]


@_register(p.sub_p)
def _sub(u, _, args, __):
    x, y = args
    return [lambda: _like(u, x), lambda: _like(-u, y)]


@_register(p.neg_p)
def _neg(u, _, __, ___):
    return [lambda: -u]


@_register(p.mul_p)
def _mul(u, _, args, __):
    x, y = args
    return [lambda: _like(u * y, x), lambda: _like(u * x, y)]


@_register(p.div_p)
def _div(u, value, args, __):
    x, y = args
    return [lambda: _like(u / y, x), lambda: _like(-(u * value) / y, y)]


@_register(p.square_p)
def _square(u, _, args, __):
    return [lambda: 2 * u * args[0]]


@_register(p.integer_pow_p)
def _integer_pow(u, _, args, params):
    y = params["y"]
    return [lambda: jnp.zeros_like(u) if y == 0 else u * (y * lax.integer_pow(args[0], y - 1))]


@_register(p.convert_element_type_p, p.copy_p, p.name_p)
def _convert(u, _, args, __):
    return [lambda: u.astype(args[0].dtype)]


@_register(p.device_put_p, table=SEVERAL_RESULTS)
def _device_put(us, _, __):
    return [lambda u=u: u for u in us]


@_register(p.stop_gradient_p)
def _stop_gradient(_, __, ___, ____):
    return [None]


@_register(p.select_n_p)
def _select_n(u, _, args, __):
    which, *cases = args

    def case(i: int) -> Callable[[], jax.Array]:
        chosen = jnp.equal(which.astype("int32"), i)
        return lambda: lax.select(jnp.broadcast_to(chosen, u.shape), u, jnp.zeros_like(u))

    return [None, *(case(i) for i in range(len(cases)))]


# structure: the transpose of a linear map that only moves, repeats or sums entries


@_register(p.reduce_sum_p)
def _reduce_sum(u, _, args, params):
    x, axes = args[0], params["axes"]
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    return [lambda: lax.broadcast_in_dim(u, x.shape, kept)]


@_register(p.broadcast_in_dim_p)
def _broadcast_in_dim(u, _, args, params):
    x, dims = args[0], params["broadcast_dimensions"]
    repeated = [axis for axis in range(u.ndim) if axis not in dims]
    stretched = [axis for axis, dim in enumerate(dims) if x.shape[axis] == 1 != u.shape[dim]]

    def back() -> jax.Array:
        summed = jnp.sum(u, axis=tuple(repeated))
        return jnp.sum(summed, axis=tuple(stretched), keepdims=True)

    return [back, *[None] * (len(args) - 1)]


@_register(p.reshape_p, p.squeeze_p)
def _reshape(u, _, args, __):
    return [lambda: u.reshape(args[0].shape), *[None] * (len(args) - 1)]


@_register(p.rev_p)
def _rev(u, _, __, params):
    return [lambda: lax.rev(u, params["dimensions"])]


@_register(p.transpose_p)
def _transpose(u, _, __, params):
    permutation = params["permutation"]
    return [lambda: u.transpose(sorted(range(len(permutation)), key=permutation.__getitem__))]


@_register(p.slice_p)
def _slice(u, _, args, params):
    x, start = args[0], params["start_indices"]
    strides = params["strides"] or (1,) * x.ndim
    covered = [max(size - 1, 0) * stride + (size > 0) for size, stride in zip(u.shape, strides, strict=True)]
    padding = [
        (low, size - low - width, stride - 1)
        for low, size, width, stride in zip(start, x.shape, covered, strides, strict=True)
    ]
    return [lambda: lax.pad(u, jnp.zeros((), u.dtype), padding)]


@_register(p.concatenate_p)
def _concatenate(u, _, args, params):
    axis = params["dimension"]
    ends = [0]
    for x in args:
        ends.append(ends[-1] + x.shape[axis])
    return [
        lambda low=low, high=high: lax.slice_in_dim(u, low, high, axis=axis) for low, high in itertools.pairwise(ends)
    ]


@_register(p.pad_p)
def _pad(u, _, args, params):
    config = params["padding_config"]
    inner = [(-low, -high, 0) for low, high, _ in config]

    def padded() -> jax.Array:
        moved = lax.pad(u, jnp.zeros((), u.dtype), inner)
        return lax.slice(moved, (0,) * u.ndim, moved.shape, [between + 1 for _, _, between in config])

    return [padded, lambda: jnp.sum(u) - jnp.sum(padded())]


def _traced(f: Callable[..., Any], *args: Any, name: str) -> Primitive | None:
    """The primitive of this name that ``f`` applies, if it does: the way to one that JAX exports no name for."""
    found = (eqn.primitive for eqn in jax.make_jaxpr(f)(*args).eqns)
    return next((primitive for primitive in found if primitive.name == name), None)


@_register(_traced(lambda x: jnp.stack([x, x]), 0.0, name="stack"))
def _stack(u, _, args, params):
    return [lambda i=i: lax.index_in_dim(u, i, params["axis"], keepdims=False) for i in range(len(args))]


_PAIR = jax.ShapeDtypeStruct((2,), "float32")


@_register(_traced(lambda x: list(x), _PAIR, name="unstack"), table=SEVERAL_RESULTS)
def _unstack(us, _, params):
    return [lambda: jnp.stack(us, axis=params["axis"])]


@_register(
    _traced(lambda x: jnp.split(x, 2), jax.ShapeDtypeStruct((2,), "float32"), name="split"), table=SEVERAL_RESULTS
)
def _split(us, _, params):
    return [lambda: jnp.concatenate(us, axis=params["axis"])]


@_register(p.dot_general_p)
def _dot_general(u, _, args, params):
    """Both operands are one contraction of ``u`` with the other one; axes are (batch, free x, free y) in ``u``."""
    x, y = args
    (contract_x, contract_y), (batch_x, batch_y) = params["dimension_numbers"]
    precision = params["precision"]

    def operand(me: int) -> Callable[[], jax.Array]:
        mine, other = ((x, y), (y, x))[me]
        contract_m, contract_o = ((contract_x, contract_y), (contract_y, contract_x))[me]
        batch_m, batch_o = ((batch_x, batch_y), (batch_y, batch_x))[me]
        free_m = [a for a in range(mine.ndim) if a not in (*contract_m, *batch_m)]
        free_o = [a for a in range(other.ndim) if a not in (*contract_o, *batch_o)]
        batch_u = range(len(batch_m))
        first = len(batch_m) + (0 if me == 1 else len(free_m))
        free_o_in_u = range(first, first + len(free_o))

        def cotangent() -> jax.Array:
            numbers = ((tuple(free_o_in_u), tuple(free_o)), (tuple(batch_u), tuple(batch_o)))
            found = lax.dot_general(u, other, numbers, precision=precision)
            # its axes: batch, my free axes, then the contracted axes in the other operand's order
            order = sorted(range(len(contract_o)), key=contract_o.__getitem__)
            places = [*batch_m, *free_m, *(contract_m[i] for i in order)]
            return found.transpose(sorted(range(mine.ndim), key=places.__getitem__)).astype(mine.dtype)

        return cotangent

    return [operand(0), operand(1)]
