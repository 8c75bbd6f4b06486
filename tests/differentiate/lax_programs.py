"""Programs that JAX differentiates: factorisations, complex numbers, control flow, functions with rules of their own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from differentiate.lax_table import DEFINITE, LOW, POSITIVE, A, B, S, V, W, draw, whole
from jax import custom_batching, lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend.random import threefry_2x32
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.sharding import Mesh, NamedSharding, PartitionSpec

MESH = Mesh(jax.devices()[:1], "i")


def fft(kind, lengths, back):
    return lambda x: back(lax.fft(x, kind, lengths))


def cho(_, b):
    return cho_solve((jnp.linalg.cholesky(DEFINITE), True), b)


def in_shard_map(f):
    """`f` as the only device of a mesh runs it."""
    replicated = PartitionSpec()
    return jax.shard_map(f, mesh=MESH, in_specs=replicated, out_specs=replicated, check_vma=False)


@jax.custom_jvp
def doubled_jvp(x, y):
    return jnp.sin(x) * y


@doubled_jvp.defjvp
def _(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return doubled_jvp(x, y), 2 * jnp.cos(x) * y * dx + jnp.sin(x) * dy


@jax.custom_vjp
def doubled_vjp(x, y):
    return jnp.sin(x) * y


doubled_vjp.defvjp(
    lambda x, y: (doubled_vjp(x, y), (x, y)), lambda r, u: (2 * jnp.cos(r[0]) * r[1] * u, jnp.sin(r[0]) * u)
)


@functools.partial(custom_batching.custom_vmap)
def with_batching(x):
    return jnp.sin(x) * x


@with_batching.def_vmap
def _(size, batched, x):
    return jnp.sin(x) * x, batched[0]


def newton(a):
    def solve(f, x):
        return lax.fori_loop(0, 20, lambda _, x: x - f(x) / (3 * x * x), x)

    return lax.custom_root(lambda x: x**3 - a, 1.0 + 0 * a, solve, lambda g, y: y / g(jnp.ones_like(y)))


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def in_place(x):
    ref = jax.new_ref(x)
    ref[...] = jnp.sin(ref[...]) * x
    return ref[...]


def printed(x):
    jax.debug.callback(lambda _: None, x)
    return jnp.sin(x)


def sunk(x):
    lax.dce_sink(jnp.sin(x))
    return x * x


def det_by_lu(x):
    triangles, pivots, order = lax.linalg.lu(x)
    return (
        jnp.prod(jnp.diagonal(triangles)),
        triangles[order],
        triangles[lax.linalg.lu_pivots_to_permutation(pivots, 5)],
    )


MATRICES = {
    "cholesky": (jnp.linalg.cholesky, DEFINITE),
    "cholesky of a batch": (jnp.linalg.cholesky, np.stack([DEFINITE, 2 * DEFINITE])),
    "solve": (jnp.linalg.solve, S, draw(5, 2)),
    "solve of a vector": (jnp.linalg.solve, S, V[:5]),
    "inv": (jnp.linalg.inv, S),
    "det": (jnp.linalg.det, S),
    "det of 2 by 2 and of 3 by 3": (lambda x: (jnp.linalg.det(x[:2, :2]), jnp.linalg.det(x[:3, :3])), S),
    "slogdet": (lambda x: jnp.linalg.slogdet(x)[1], S),
    "triangular_solve": (lambda a, b: solve_triangular(a, b, lower=True), LOW, draw(5, 2)),
    "triangular_solve, transposed, from the right": (
        lambda a, b: lax.linalg.triangular_solve(a, b, lower=True, transpose_a=True),
        LOW,
        draw(2, 5),
    ),
    "triangular_solve, unit diagonal": (
        lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, unit_diagonal=True),
        LOW.T,
        draw(5, 2),
    ),
    "tridiagonal_solve": (lambda a, b, c, y: lax.linalg.tridiagonal_solve(a, b + 5, c, y), V, W, V[::-1], draw(7, 2)),
    "cho_solve": (lambda a, b: cho_solve((jnp.linalg.cholesky(a), True), b), DEFINITE, V[:5]),
    "norms": (lambda x: (jnp.linalg.norm(x), jnp.linalg.norm(x, axis=1), jnp.linalg.norm(x, 1)), A),
    "nuclear and spectral norm": (lambda x: (jnp.linalg.norm(x, "nuc"), jnp.linalg.norm(x, 2)), A),
    "eigh": (lambda x: jnp.linalg.eigh(x + x.T), S[:3, :3]),
    "eigvalsh": (jnp.linalg.eigvalsh, DEFINITE),
    "eig": (lambda x: jnp.abs(jnp.linalg.eigvals(x)), S[:3, :3]),
    "svd": (lambda x: jnp.linalg.svd(x, full_matrices=False), A),
    "singular values": (lambda x: jnp.linalg.svd(x, compute_uv=False), A),
    "qr": (jnp.linalg.qr, draw(5, 3)),
    "qr of a wide matrix": (jnp.linalg.qr, A),
    "lu": (lambda x: lax.linalg.lu(x)[0] @ x.T, A),
    "determinant by lu": (det_by_lu, S),
    "pinv": (jnp.linalg.pinv, A),
    "lstsq": (lambda a, b: jnp.linalg.lstsq(a, b)[0], draw(5, 3), V[:5]),
    "matrix_power": (lambda x: jnp.linalg.matrix_power(x, 3), S[:3, :3]),
    "matrix_power, negative": (lambda x: jnp.linalg.matrix_power(x, -2), DEFINITE[:3, :3]),
    "multi_dot": (lambda x, y: jnp.linalg.multi_dot([x, y, x]), A, draw(5, 3)),
    "custom_linear_solve": (lambda b: lax.custom_linear_solve(lambda v: DEFINITE @ v, b, cho, symmetric=True), V[:5]),
    "conjugate gradients": (lambda a, b: jax.scipy.sparse.linalg.cg(lambda v: a @ v, b, tol=1e-12)[0], DEFINITE, V[:5]),
}

COMPLEX = {
    "complex, real, imag": (lambda x, y: lax.real(lax.exp(lax.complex(x, y))) + lax.imag(lax.complex(x, y) ** 3), V, W),
    "conj": (lambda x, y: lax.real(lax.conj(lax.complex(x, y)) * lax.complex(y, x * x)), V, W),
    "abs of a complex number": (lambda x, y: lax.abs(lax.complex(x, y)), V, W),
    "angle": (lambda x, y: jnp.angle(lax.complex(x, y)), V, W),
    "sign of a complex number, 0 by JAX's rule": (lambda x, y: x * lax.real(lax.sign(lax.complex(x, y))), V, W),
    "a constant complex matrix": (lambda x: jnp.abs((S + 1j * S.T) @ lax.complex(x, x * x)), V[:5]),
    "a complex solve": (lambda x: jnp.real(jnp.linalg.solve(lax.complex(x, x.T), V[:5] + 0j)), DEFINITE),
    "a Hermitian eigenproblem": (lambda x: jnp.linalg.eigvalsh(lax.complex(x, x - x.T)), DEFINITE),
    "fft": (fft("fft", (7,), lambda z: jnp.abs(z)), V),
    "ifft": (lambda x, y: jnp.imag(jnp.fft.ifft(lax.complex(x, y))), A, B),
    "rfft": (fft("rfft", (7,), jnp.real), V),
    "rfft of even length": (lambda x: jnp.imag(jnp.fft.rfft(x)), draw(6)),
    "irfft": (lambda x, y: jnp.fft.irfft(lax.complex(x, y), n=8), A, B),
    "irfft of odd length": (lambda x, y: jnp.fft.irfft(lax.complex(x, y), n=9), A, B),
    "fft in 2 d": (lambda x: jnp.abs(jnp.fft.fft2(x)) ** 2, A),
    "convolution by fft": (lambda x, y: jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(y), n=7), V, W),
}

CONTROL = {
    "jit": (jax.jit(lambda x, y: jax.jit(jnp.sin)(x) * y), V, W),
    "remat": (jax.checkpoint(lambda x, y: jnp.sin(x @ y) @ y.T), A, draw(5, 2)),
    "custom_jvp": (doubled_jvp, V, W),
    "custom_jvp of a batch": (jax.vmap(doubled_jvp, (0, None)), V, W[0]),
    "custom_vjp": (doubled_vjp, V, W),
    "custom_vjp of a batch": (jax.vmap(doubled_vjp, (0, None)), V, W[0]),
    "custom_gradient": (jax.custom_gradient(lambda x: (x * x, lambda u: 3 * u * x)), V),
    "custom_vmap": (jax.vmap(with_batching), V),
    "custom_root": (newton, POSITIVE),
    "relu, silu, gelu": (lambda x: jax.nn.relu(x) * jax.nn.silu(x) + jax.nn.gelu(x), V),
    "cond": (lambda x: lax.cond(x[0] > 0, lambda x: x * x, jnp.sin, x), V),
    "cond of a batch": (jax.vmap(lambda x: lax.cond(x > 0, lambda x: x * x, jnp.sin, x)), V),
    "switch": (lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda x: x], x), whole(1)[0], V),
    "a constant in one branch": (lambda x: lax.cond(x[0] < 9, lambda x: x * x, lambda _: V * 3, x), V),
    "platform_dependent": (lambda x: lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos), V),
    "scan": (lambda x, y: lax.scan(lambda c, a: (jnp.sin(c) * a, c @ c), x, y), V[:3], draw(5, 3)),
    "scan in reverse": (lambda x, y: lax.scan(lambda c, a: (c * a + x, c), x, y, reverse=True), V[:3], draw(5, 3)),
    "scan, long": (lambda x: lax.scan(lambda c, _: (jnp.tanh(c @ S / 3) + 0.1 * x, None), x, length=300)[0], V[:5]),
    "scan over constants": (lambda x: lax.scan(lambda c, a: (c * a, c.sum()), x, draw(5, 3)), V[:3]),
    "scan of an element-wise carry": (lambda x: lax.scan(lambda c, a: (c * jnp.cos(c), c), x, None, 67)[0], V),
    "scan with a carry that becomes dense": (
        lambda x: lax.scan(lambda c, _: (c[::-1] + c.sum(), None), x, None, 3)[0],
        V,
    ),
    "nested scans": (
        lambda x: lax.scan(lambda c, a: lax.scan(lambda d, b: (jnp.sin(d) * b, d), c, a), x[0, 0], x)[1],
        A,
    ),
    "map": (lambda x: lax.map(lambda row: row @ row * row, x), A),
    "associative_scan": (lambda x: lax.associative_scan(jnp.matmul, x), draw(5, 2, 2)),
    "while": (lambda x: lax.while_loop(lambda c: c.sum() < 30, lambda c: c * 1.5 + x, x * x), POSITIVE),
    "while with a counter": (
        lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, jnp.sin(c[1])), (0, x))[1],
        V,
    ),
    "while of a batch": (jax.vmap(lambda x: lax.while_loop(lambda c: c < 3, lambda c: c * (1.5 + x), x)), POSITIVE),
    "fori_loop": (lambda x: lax.fori_loop(0, 3, lambda i, c: c.at[i].multiply(c[i + 1], unique_indices=True), x), V),
    "fori_loop without a known end": (lambda x, n: lax.fori_loop(0, n, lambda i, c: jnp.sin(c) * x, x), V, whole(3)[0]),
    "gradient inside": (lambda x: jax.grad(rosenbrock)(x), V),
    "Hessian inside": (lambda x: jax.hessian(rosenbrock)(x), V[:3]),
    "jvp inside": (lambda x, t: jax.jvp(jnp.tanh, (x,), (t,)), V, W),
    "linearize inside": (lambda x: jax.linearize(jnp.tanh, x)[1](x * x), V),
    "add_any": (lambda x: jax.vjp(lambda y: (y, y * y, y), x)[1]((x, x, x)), V),
    "vmap of everything": (jax.vmap(jax.vmap(jnp.dot, (None, 0)), (0, None)), A, B),
    "name": (lambda x: checkpoint_name(x * x, "square") * x, V),
    "with_sharding_constraint": (
        lambda x: lax.with_sharding_constraint(x * x, NamedSharding(MESH, PartitionSpec())),
        V,
    ),
    "optimization_barrier": (lambda x: lax.optimization_barrier(jnp.sin(x)) * x, V),
    "device_put": (lambda x: jnp.add(*jax.device_put((2 * x, x * x))), V),
    "collectives": (
        in_shard_map(
            lambda x: (
                lax.psum(x * x, "i") + lax.all_gather(jnp.sin(x), "i").sum(0) * lax.axis_index("i").astype(x.dtype)
            )
        ),
        V,
    ),
    "exchanges": (
        in_shard_map(lambda x: lax.ppermute(x * x, "i", [(0, 0)]) + lax.all_to_all(x[None], "i", 0, 0)[0]),
        V,
    ),
    "random numbers": (
        lambda x: x * jax.random.normal(jax.random.fold_in(jax.random.split(jax.random.key(0))[0], 1), (7,)),
        V,
    ),
    "random bits of threefry": (
        lambda x: (
            x
            * (threefry_2x32(np.arange(2, dtype=np.uint32), np.arange(7, dtype=np.uint32)) % np.uint32(5)).astype(
                x.dtype
            )
        ),
        V,
    ),
    "random bits of the generator": (
        lambda x: x * (lax.rng_bit_generator(np.arange(4, dtype=np.uint32), (7,))[1] % np.uint32(5)).astype(x.dtype),
        V,
    ),
    "random_gamma": (lambda a: jax.random.gamma(jax.random.key(0), a), POSITIVE),
    "in place": (in_place, V),
    "a callback that looks": (printed, V),
    "a sink": (sunk, V),
    "ragged_dot": (lambda x, y: lax.ragged_dot(x, y, whole(3, 2, 2)), draw(7, 3), draw(3, 3, 2)),
}
