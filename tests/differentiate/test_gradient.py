"""`jmc.grad` and `jmc.value_and_grad`: JAX's signatures, and JAX's values for compositions of jmc's functions."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from hypothesis import given, settings
from hypothesis import strategies as st

import jmc

X, y = normal(7, 5), normal(7)
labels = jnp.arange(7) % 3
w, b = normal(5), jnp.float32(0.3)
ACTIVATIONS = (jmc.relu, jmc.tanh, jmc.sigmoid, jmc.softplus, jmc.gelu, jmc.silu, jmc.identity)


def layers(*widths, dtype="float32", seed=0):
    shapes = list(zip(widths[1:], widths, strict=False))
    return [
        (normal(m, d, dtype=dtype, seed=seed + i), 0.1 * normal(m, dtype=dtype, seed=seed + i))
        for i, (m, d) in enumerate(shapes)
    ]


def same(closed, auto, rtol=2e-5, atol=1e-6):
    assert jax.tree.structure(closed) == jax.tree.structure(auto)

    def one(a, b):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), rtol=rtol, atol=atol)

    jax.tree.map(one, closed, auto)


def agree(f, *args, argnums=0, rtol=2e-5, atol=1e-6):
    """Closed form and autodiff of ``f``, values and gradients, compiled as one program."""
    both = jax.jit(lambda *args: (jmc.value_and_grad(f, argnums)(*args), jax.value_and_grad(f, argnums)(*args)))
    same(*both(*args), rtol, atol)


def cost(params):
    return jmc.mean_squared_error(jmc.neuron(params["w"], params["b"], X), y) + 0.01 * jmc.l2(params["w"])


@pytest.mark.parametrize(
    ("widths", "activation"),
    [*(((5, 2, 3), f) for f in ACTIVATIONS), ((5, 3), jmc.relu), ((5, 7, 2, 11, 3), jmc.relu), ((5, 1, 3), jmc.tanh)],
)
def test_networks_of_any_widths_and_activations(widths, activation):
    params = layers(*widths)

    def f(params):
        return jmc.softmax_cross_entropy_with_labels(jmc.network(params, X, activation), labels)

    agree(f, params)


def test_an_activation_per_layer_and_softmax_at_the_output(x64):
    params = layers(5, 7, 3, 2, dtype="float64")
    targets = jax.nn.one_hot(labels, 2, dtype="float64")
    inputs = X.astype("float64")

    def f(params):
        return jmc.mean_squared_error(jmc.network(params, inputs, [jmc.gelu, jmc.tanh], jmc.softmax), targets)

    agree(f, params, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("argnums", [0, 1, -1, (0,), (1, 0), (0, 1, 3), [2]])
def test_argnums_as_jax_has_them(argnums):
    args = (w, b, X, y)
    same(jmc.value_and_grad(jmc.neuron_loss, argnums)(*args), jax.value_and_grad(jmc.neuron_loss, argnums)(*args))


def test_pytrees_keywords_and_aux():
    params = {"w": w, "b": b}

    def f(params, scale, *, shift):
        prediction = jmc.neuron(params["w"], params["b"], X)
        value = scale * jmc.mean_squared_error(prediction, y) + shift
        return value, {"prediction": prediction, "note": "as it is", "constant": y}

    for argnums in (0, (0, 1)):
        closed = jmc.value_and_grad(f, argnums, has_aux=True)(params, 2.0, shift=1.0)
        auto = jax.value_and_grad(lambda *a, **k: (f(*a, **k)[0], ()), argnums, has_aux=True)(params, 2.0, shift=1.0)
        assert closed[0][1]["note"] == "as it is"
        np.testing.assert_allclose(closed[0][1]["prediction"], jmc.neuron(w, b, X), rtol=1e-6)
        same(closed[1], auto[1])
    gradient, aux = jmc.grad(f, has_aux=True)(params, 2.0, shift=1.0)
    assert set(aux) == {"prediction", "note", "constant"}
    same(gradient, jax.grad(lambda p: f(p, 2.0, shift=1.0)[0])(params))


def test_weak_scalars_and_no_dependence():
    assert jmc.grad(lambda x: jmc.sigmoid(x))(0.0) == 0.25
    value, gradient = jmc.value_and_grad(lambda x: 3.0)(w)
    assert value == 3.0
    np.testing.assert_array_equal(gradient, np.zeros(5))
    np.testing.assert_array_equal(jmc.grad(lambda x: jmc.l2(y))(w), np.zeros(5))
    np.testing.assert_array_equal(jmc.grad(lambda x: jnp.sum(jax.lax.stop_gradient(x) * x))(w), w)


def test_reused_parameters_collect_from_every_use():
    def f(W):
        hidden = jmc.tanh(jmc.affine(W, jnp.zeros(5), X))
        return jmc.mean_squared_error(jmc.affine(W, jnp.zeros(5), hidden) - hidden, X) + jnp.sum(W * W)

    W = normal(5, 5)
    agree(f, W)


def test_arithmetic_and_structure_between_rules():
    def f(w, X):
        X = jnp.concatenate([X[:, ::2], X[:, 1:4] / 2, -X[:, :1]], axis=1)
        z = jmc.affine(jnp.stack([w, 2 * w, w**3]), jnp.zeros(3), X[:, 1:6])
        mixed = jnp.where(z > 0, z, 0.1 * z).T.reshape(-1, 3)[1:, None] - 1 / (2 + z[0, 0] ** 2)
        return jnp.mean(jnp.square(mixed)) + jnp.sum(w) * jnp.einsum("ij,kj->ik", X, X).sum() / 50 + z.mean(0)[1]

    agree(f, w, X, argnums=(0, 1), rtol=1e-4, atol=1e-4)


def test_under_jit_vmap_grad_scan_and_nested_jit():
    params = {"w": w, "b": b}
    same(jmc.grad(cost)(params), jax.grad(cost)(params))  # and without any of them
    agree(lambda p: jax.jit(cost)(p) + jax.remat(cost)(p), params)

    def over_a_batch(gradient):
        return jax.vmap(gradient(cost))(jax.tree.map(lambda p: jnp.stack([p, -p, 2 * p]), params))

    def in_a_loop(gradient):
        def step(p, _):
            return jax.tree.map(lambda p, g: p - 0.1 * g, p, gradient(cost)(p)), None

        return jax.lax.scan(step, params, None, length=5)[0]

    def differentiated(gradient):
        return jax.grad(lambda p: sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient(cost)(p))))(params)

    for use in (over_a_batch, in_a_loop, differentiated):
        same(*jax.jit(lambda use=use: (use(jmc.grad), use(jax.grad)))(), rtol=1e-4)


def test_vmap_inside():
    def f(w):
        return jnp.sum(jax.vmap(jmc.neuron, (None, None, 0))(w, b, X) * y)

    agree(f, w)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_dtypes_are_kept(dtype):
    with jax.enable_x64(dtype == "float64"):
        params, inputs = layers(5, 4, 3, dtype=dtype), X.astype(dtype)

        def f(params):
            return jmc.softmax_cross_entropy_with_labels(jmc.network(params, inputs, jmc.silu), labels)

        tolerance = {"bfloat16": 0.05, "float32": 2e-5, "float64": 1e-12}[dtype]
        agree(f, params, rtol=tolerance, atol=tolerance)


def test_entry_points():
    params, targets = layers(5, 4, 3), normal(7, 3)
    W, c = layers(5, 3)[0]

    def by_jax(W, c):
        z = X @ W.T + c[None]
        return jnp.mean((jax.nn.relu(z) - targets) ** 2), -jax.nn.log_softmax(z)[jnp.arange(7), labels].mean()

    jacobian = jax.jit(jax.jacrev(by_jax, (0, 1)))(W, c)
    same(jmc.layer_loss_grad(W, c, X, targets), jacobian[0])
    entropy = jmc.layer_loss_grad(W, c, X, labels, jmc.identity, jmc.softmax_cross_entropy_with_labels)
    same(entropy, jacobian[1])
    closed = jmc.network_loss_grad(params, X, targets, jmc.tanh)
    same(closed, jax.jit(jax.grad(lambda p: jnp.mean((jmc.network(p, X, jmc.tanh) - targets) ** 2)))(params))
    stacked = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), params)
    per_net = jax.vmap(jmc.network_loss_grad, (0, None, None))(stacked, X, targets)
    same(jax.tree.map(lambda g: g[0], per_net), jmc.network_loss_grad(params, X, targets))
    with pytest.raises(ValueError, match="`target` of mean_squared_error must have shape"):
        jmc.network_loss_grad(params, X, targets[:, :2])


@pytest.mark.parametrize(
    "f",
    [
        lambda w: jnp.sum(jnp.sort(w) * jnp.arange(5.0)),
        lambda w: jnp.sum(jax.nn.relu(w) * jnp.exp(w)),
        lambda w: jnp.linalg.det(jnp.outer(w, w) + jnp.diag(w)),
        lambda w: jnp.sum(w[jnp.array([0, 3, 3])] ** 2) + jnp.cumsum(w)[2] * jnp.max(w),
        lambda w: jax.lax.scan(lambda c, x: (jmc.tanh(c * x), None), w[0], w)[0],
        lambda w: jax.lax.fori_loop(0, 3, lambda _, c: c + jnp.sin(w[0] * c), w[1]),
        lambda w: jax.lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * w[1]), (0, w[0]))[1],
        lambda w: jax.lax.cond(w[0] > 0, jmc.l2, jmc.l1, w),
        lambda w: jnp.sum(jnp.abs(jnp.fft.fft(w))),
        lambda w: jnp.sum(jax.lax.conv(w[None, None], w[None, None, :2], (1,), "SAME") ** 2),
    ],
)
def test_any_function_that_jax_can_differentiate(f):
    both = jax.jit(lambda w: (jmc.grad(f)(w), jax.jacfwd(f)(w)))
    same(*both(w))


def test_what_jax_cannot_differentiate_is_named():
    def f(w):
        return jnp.sum(jax.pure_callback(np.sin, w, w))

    with pytest.raises(jmc.NotDifferentiable, match=r"the primitive `pure_callback`.*test_gradient\.py:\d+"):
        jmc.grad(f)(w)


def test_anything_goes_where_nothing_is_differentiated():
    def f(w, x):
        scale = jax.lax.scan(lambda c, x: (c + jnp.exp(x), None), 0.0, jnp.sort(x))[0]
        return scale * jmc.l2(w)

    agree(f, w, y)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: jmc.grad(jmc.relu)(X), TypeError, r"`f` must return a real floating-point scalar, but got float32\[7, 5\]"),
        (lambda: jmc.grad(lambda w: 3)(w), TypeError, "real floating-point scalar, but got int32"),
        (lambda: jmc.grad(lambda w: (jmc.l2(w), 1))(w), TypeError, "`f` must return one scalar, but got a tuple"),
        (lambda: jmc.grad(jmc.l2, has_aux=True)(w), TypeError, r"must return a pair \(value, aux\) with has_aux"),
        (lambda: jmc.grad(lambda x: x * 1.0)(3), TypeError, "must name real floating-point arguments, but got int"),
        (lambda: jmc.grad(jmc.l2)("w"), TypeError, "must name real floating-point arguments, but got str"),
        (lambda: jmc.grad(jmc.l2, 1)(w), ValueError, "`argnums` must be below the number of arguments passed by position, 1, but got 1"),
        (lambda: jmc.grad(jmc.l2)(w=w), ValueError, "passed by position, 0, but got 0"),
        (lambda: jmc.grad(jmc.mean_squared_error, (0, 0))(y, y), ValueError, r"several distinct ones, but got \(0, 0\)"),
        (lambda: jmc.grad(jmc.mean_squared_error, (1, -1))(y, y), ValueError, r"several distinct ones, but got \(1, -1\)"),
        (lambda: jmc.grad(jmc.l2, ())(w), ValueError, "must name one argument"),
        (lambda: jmc.grad(lambda w: [jmc.l2(w)])(w), TypeError, "must return one scalar, but got a list"),
        (lambda: jmc.grad(lambda w: ((jmc.l2(w), w), w), has_aux=True)(w), TypeError, "must return one scalar, but got a tuple"),
        (lambda: jmc.grad(lambda w: (None, w), has_aux=True)(w), TypeError, "must return one scalar, but got None"),
        (lambda: jmc.network([(X, y, y)], X), TypeError, r"`params` must be a sequence of pairs \(W, b\)"),
        (lambda: jmc.network({"W": X}, X), TypeError, r"`params` must be a sequence of pairs \(W, b\)"),
        (lambda: jmc.network(layers(5, 3) + layers(2, 1), X), ValueError, r"`params\[1\]` must have a W of shape \(m, 3\)"),
        (lambda: jmc.network(layers(5, 3, 3, 3, 3, 3), X, "relu"), TypeError, "`activation` must be a function or a sequence of functions"),
        (lambda: jmc.grad(jmc.l2, "0"), TypeError, "`argnums` must be an integer or a sequence of integers, but got '0'"),
        (lambda: jmc.grad(jmc.l2, (0, 0.5)), TypeError, "`argnums` must be an integer or a sequence of integers"),
        (lambda: jmc.grad(3), TypeError, "`f` must be callable, but got int"),
    ],
)  # fmt: skip
def test_errors_say_what_is_required(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_python_number_stays_one_in_a_loop():
    low = [array.astype("bfloat16") for array in (w, X, y)]
    scalar = 0.3
    for _ in range(3):
        scalar = scalar - 0.1 * jmc.grad(jmc.neuron_loss, 1)(low[0], scalar, *low[1:])
    assert jax.typeof(jmc.grad(jmc.relu)(1.0)).weak_type


def test_half_precision_counts_many_examples():
    a = jnp.ones(70000, "float16")
    assert jnp.all(jmc.grad(jmc.mean_squared_error)(a, 0 * a) > 0)


def test_under_shard_map_a_replicated_argument_collects_from_every_device():
    mesh = jax.make_mesh((1,), ("i",), axis_types=(jax.sharding.AxisType.Auto,))
    P = jax.sharding.PartitionSpec

    @functools.partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("i"), P("i")), out_specs=P())
    def both(w, X, y):
        return jmc.grad(jmc.neuron_loss)(w, 0.3, X, y), jax.grad(jmc.neuron_loss)(w, 0.3, X, y)

    same(*jax.jit(both)(w, X, y))


def test_aux_leaks_no_tracer():
    with jax.checking_leaks():
        jmc.grad(lambda w: (jmc.l2(w), {"twice": 2 * w, "name": "aux"}), has_aux=True)(w)


def test_second_derivatives_are_jaxs_of_the_closed_form():
    def f(w):
        return jmc.l2(jmc.tanh(jmc.affine(w, b, X)))

    hessian, twice = jax.jit(lambda w: (jax.hessian(f)(w), jax.jacfwd(jmc.grad(f))(w)))(w)
    np.testing.assert_allclose(twice, hessian, rtol=1e-4, atol=1e-5)


def test_matmul_precision_goes_along():
    def f(w):
        with jax.default_matmul_precision("highest"):
            return jmc.l2(jmc.affine(w, jnp.zeros(5), X))

    for program in (f, jmc.grad(f), jax.grad(f)):
        text = jax.jit(program).lower(normal(5, 5)).as_text()
        assert "HIGHEST" in text
        assert "DEFAULT" not in text


def test_nothing_is_evaluated_twice():
    """A loop runs once forward and once back."""

    def f(w):
        return jnp.sum(jax.lax.scan(lambda c, a: (jnp.sin(c * a), c), w, X)[1])

    for value_and_grad in (jmc.value_and_grad, jax.value_and_grad):
        assert str(jax.make_jaxpr(value_and_grad(f))(w)).count("scan[") == 2


def test_no_recompilation():
    f = jax.jit(chex.assert_max_traces(jmc.grad(cost), n=1))
    for scale in (1.0, 2.0, 3.0):
        f({"w": scale * w, "b": b})
    chex.clear_trace_counter()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_random_compositions(data):
    """Networks over random operations between rules, in float64, against JAX's reverse mode."""
    n, d = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    steps = data.draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=6))
    with jax.enable_x64(True):
        x, W = normal(n, d, dtype="float64"), normal(d, d, dtype="float64")

        def f(x, W):
            for step in steps:
                x = STEPS[step](x, W)
            return jnp.sum(x * jnp.arange(1.0, x.size + 1).reshape(x.shape))

        agree(f, x, W, argnums=(0, 1), rtol=1e-9, atol=1e-9)


STEPS = {
    "affine": lambda x, W: jmc.affine(W, jnp.zeros(W.shape[0]), x),
    "matmul": lambda x, W: x @ W.T / 2,
    "tanh": lambda x, W: jmc.tanh(x),
    "silu": lambda x, W: jmc.silu(x),
    "softmax": lambda x, W: jmc.softmax(x),
    "residual": lambda x, W: x - jmc.gelu(x),
    "gate": lambda x, W: x * jmc.sigmoid(x[::-1]),
    "centre": lambda x, W: x - jnp.mean(x, axis=0, keepdims=True),
    "divide": lambda x, W: x / (1 + jnp.square(x[:1, :1])),
    "roll": lambda x, W: jnp.concatenate([x[1:], x[:1]]),
    "transpose twice": lambda x, W: jmc.relu(x.T).T,
    "reshape": lambda x, W: jmc.softplus(x.reshape(-1)).reshape(x.shape),
    "gram": lambda x, W: jnp.einsum("ni,mi,mj->nj", x, x, x) / 5,
}
