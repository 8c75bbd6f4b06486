"""Functions of `jax.lax` that JAX differentiates, continued: gathers, scatters and windows."""

import jax
import jax.numpy as jnp
import numpy as np
from differentiate.lax_table import APART, POSITIVE, A, B, C, V, W, draw, whole
from jax import lax


def pool(start, operation, window=(2, 3), strides=(1, 2), padding="SAME", **dilation):
    return lambda x: lax.reduce_window(x, start, operation, window, strides, padding, **dilation)


def convolve(strides, padding, layout, **options):
    return lambda x, k: lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=layout, **options)


def gather(indices, *, offset, collapsed, start, sizes, mode, operand_batch=(), indices_batch=()):
    numbers = lax.GatherDimensionNumbers(offset, collapsed, start, operand_batch, indices_batch)
    return lambda x: lax.gather(x, indices, numbers, sizes, mode=mode)


def scatter(operation, indices, *, window, inserted, to, mode="fill", unique=False):
    numbers = lax.ScatterDimensionNumbers(window, inserted, to)
    return lambda x, y: operation(x, indices, y, numbers, unique_indices=unique, mode=mode)


def update(indices, method, **options):
    return lambda x, y: getattr(x.at[indices], method)(y, **options)


INDICES = {
    "take": (lambda x: x[whole(4, 0, 4)], V),
    "take along axis 1": (lambda x: jnp.take(x, whole(3, 0, 3), axis=1), A),
    "take, clipped": (lambda x: jnp.take(x, whole(9, -1, 2), axis=1, mode="clip"), A),
    "take, filled": (lambda x: jnp.take(x, whole(9, 1, 2), axis=1, mode="fill", fill_value=0.5), A),
    "take, wrapped": (lambda x: jnp.take(x, whole(9, -1, 2), axis=1, mode="wrap"), A),
    "take, promised inside": (lambda x: x.at[whole(2, 0)].get(mode="promise_in_bounds"), A),
    "take_along_axis": (lambda x: jnp.take_along_axis(x, whole([3, 3], [1, 0], [2, 4]), 1), A),
    "pairs of indices": (lambda x: x[whole(2, 0, 2), whole(1, 4, 1)], A),
    "pairs of indices around a slice": (lambda x: x[whole(1, 0, 1), 1:, whole(1, 4, 1)], C),
    "a mask": (lambda x: x[np.array([True, False, True])], A),
    "an index that depends on the argument": (lambda x: x[jnp.argsort(x)[1:4]] * x[0], APART),
    "gather of windows": (
        gather(whole([0, 3], [2, 1]), offset=(1, 2), collapsed=(), start=(0, 1), sizes=(2, 3), mode="clip"),
        A,
    ),
    "gather of windows, filled": (
        gather(whole([0, 3], [1, 1]), offset=(0, 2), collapsed=(), start=(0, 1), sizes=(2, 3), mode="fill"),
        A,
    ),
    "gather, one axis collapsed": (
        gather(whole([4, 1], [2, 0]), offset=(1, 2), collapsed=(1,), start=(2, 1), sizes=(2, 1, 1), mode="clip"),
        C,
    ),
    "gather with batch axes": (jax.vmap(lambda x, i: x[i]), A, whole([3, 3], [1, 0], [2, 4])),
    "dynamic_slice": (lambda x: lax.dynamic_slice(x, (1, 9), (2, 3)), A),
    "dynamic_slice by the argument": (lambda x: lax.dynamic_slice(x, (jnp.argmax(x) - 4,), (3,)), APART),
    "dynamic_slice under vmap": (jax.vmap(lambda x, i: lax.dynamic_slice(x, (i,), (2,))), A, whole(0, 3, 9)),
    "dynamic_index_in_dim": (lambda x, i: lax.dynamic_index_in_dim(x, i, 1) * x[:, :1], A, whole(2)[0]),
    "dynamic_update_slice": (lambda x, y: lax.dynamic_update_slice(x, y * y, (1, 9)), A, B[:2, :3]),
    "dynamic_update_slice under vmap": (
        jax.vmap(lambda x, y, i: lax.dynamic_update_slice(x, y, (i,))),
        A,
        B[:, :2],
        whole(0, 3, 9),
    ),
    "at: set": (update(whole(4, 0, 2), "set"), V, W[:3]),
    "at: set twice the same": (update(whole(4, 0, 4), "set"), V, W[0]),
    "at: set a row": (update(1, "set"), A, V[:5]),
    "at: set a block": (update(np.s_[1:, ::2], "set"), A, B[1:, ::2]),
    "at: add": (update(whole(4, 0, 4), "add"), V, W[:3]),
    "at: add to columns, dropped outside": (update(np.s_[:, whole(4, 9, 0)], "add", mode="drop"), A, B[:, :3]),
    "at: add to columns, clipped": (update(np.s_[:, whole(4, 9, 0)], "add", mode="clip"), A, B[:, :3]),
    "at: add to columns, promised inside": (
        update(np.s_[:, whole(4, 1)], "add", mode="promise_in_bounds"),
        A,
        B[:, :2],
    ),
    "at: add to pairs": (update((whole(2, 0, 2), whole(1, 4, 1)), "add"), A, V[:3]),
    "at: subtract": (update(whole(4, 0, 4), "subtract"), V, W[:3]),
    "scatter_sub": (scatter(lax.scatter_sub, whole([4], [0]), window=(), inserted=(0,), to=(0,)), V, W[:2]),
    "at: multiply": (update(whole(4, 0, 2), "multiply", unique_indices=True), V, W[:3]),
    "at: divide": (update(whole(4, 0, 2), "divide", unique_indices=True), V, W[:3]),
    "at: power": (update(whole(4, 0, 2), "power", unique_indices=True), POSITIVE, W[:3]),
    "at: min": (update(whole(4, 0, 4), "min"), V, W[:3]),
    "at: max": (update(whole(4, 0, 4), "max"), V, W[:3]),
    "scatter_add of windows": (
        scatter(lax.scatter_add, whole([0, 3], [1, 1]), window=(1, 2), inserted=(), to=(0, 1)),
        A,
        draw(2, 2, 2),
    ),
    "scatter of a window": (scatter(lax.scatter, whole(1, 2), window=(0, 1), inserted=(), to=(0, 1)), A, draw(2, 2)),
    "segment_sum": (lambda x: jax.ops.segment_sum(x, whole(0, 2, 0, 1, 2, 2, 0), 3), draw(7, 2)),
    "scatter under vmap": (jax.vmap(lambda x, y, i: x.at[i].add(y)), A, B[:, :2], whole([3, 3], [1, 0], [2, 4])),
}

WINDOWS = {
    "convolution in 1 d": (convolve((1,), "SAME", ("NCH", "OIH", "NCH")), draw(2, 3, 7), draw(5, 3, 3)),
    "convolution in 1 d, strides": (convolve((2,), [(1, 2)], ("NHC", "HIO", "NHC")), draw(2, 7, 3), draw(3, 3, 5)),
    "convolution in 1 d, dilations": (
        convolve((2,), [(2, -1)], ("NCH", "OIH", "NCH"), lhs_dilation=(3,), rhs_dilation=(2,)),
        draw(2, 3, 5),
        draw(5, 3, 3),
    ),
    "convolution in 1 d, groups": (
        convolve((1,), "VALID", ("NCH", "OIH", "NCH"), feature_group_count=3),
        draw(2, 3, 5),
        draw(6, 1, 2),
    ),
    "convolution in 1 d, groups of the batch": (
        convolve((1,), "VALID", ("NCH", "OIH", "NCH"), batch_group_count=2),
        draw(2, 3, 5),
        draw(4, 3, 2),
    ),
    "convolution in 2 d": (
        convolve((2, 1), "SAME", ("NHWC", "HWIO", "NHWC"), rhs_dilation=(1, 2)),
        draw(2, 5, 3, 2),
        draw(3, 2, 2, 3),
    ),
    "convolution in 3 d": (
        convolve((1, 2, 1), "VALID", ("NCHWD", "OIHWD", "NCHWD")),
        draw(1, 2, 3, 5, 2),
        draw(3, 2, 2, 3, 1),
    ),
    "conv_transpose": (lambda x, k: lax.conv_transpose(x, k, (2,), "SAME"), draw(2, 5, 3), draw(3, 3, 2)),
    "convolution with a flipped kernel": (lambda x, k: jnp.convolve(x, k, "same"), V, W[:3]),
    "convolution, untied": (
        lambda x, k: lax.conv_general_dilated_local(x, k, (1,), "VALID", (2,)),
        draw(2, 3, 5),
        draw(2, 6, 4),
    ),
    "convolution's patches": (lambda x: lax.conv_general_dilated_patches(x, (2, 2), (1, 2), "SAME"), draw(1, 2, 3, 5)),
    "max pooling": (pool(-np.inf, lax.max), draw(5, 7)),
    "max pooling, dilated": (pool(-np.inf, lax.max, base_dilation=(2, 1), window_dilation=(1, 2)), draw(5, 7)),
    "min pooling": (pool(np.inf, lax.min, padding="VALID"), draw(5, 7)),
    "sum pooling": (pool(0.0, lax.add), draw(5, 7)),
    "sum pooling, dilated": (pool(0.0, lax.add, base_dilation=(2, 1), window_dilation=(1, 2)), draw(5, 7)),
    "pooling by products": (pool(1.0, lax.mul, (3,), (2,)), V),
    "gradient of max pooling": (lambda x, u: jax.vjp(pool(-np.inf, lax.max), x)[1](u)[0], draw(5, 7), draw(5, 4)),
    "jvp of max pooling": (lambda x, t: jax.jvp(pool(-np.inf, lax.max), (x,), (t,))[1], draw(5, 7), draw(5, 7, seed=1)),
    "select_and_scatter_add": (lambda u: jax.vjp(pool(-np.inf, lax.max), draw(5, 7))[1](u)[0], draw(5, 4)),
}
