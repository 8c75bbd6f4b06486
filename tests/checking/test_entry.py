"""`jmc.check` on rules written by hand: what is right passes, and each kind of mistake is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc
from jmc.checking.diagnosis import KINDS

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def as_users_have_it():
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def affine(W, b, X):
    return X @ W.T + b


def tanh_unit(w, x):
    return jnp.tanh(w @ x)


def standardised(x, g):
    mu = x.mean(-1, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + 1e-5)
    return g * (x - mu) / sigma


def standardised_vjp(args, u, mean=1, factor=1):
    x, g = args
    mu = x.mean(-1, keepdims=True)
    sigma = jnp.sqrt(((x - mu) ** 2).mean(-1, keepdims=True) + 1e-5)
    xhat = (x - mu) / sigma
    d = u * (g if factor else 1)
    dx = d - mean * d.mean(-1, keepdims=True) - xhat * (d * xhat).mean(-1, keepdims=True)
    return dx / sigma, (u * xhat).sum(0)


def loss(w, X, y):
    return jnp.mean((X @ w - y) ** 2)


W, b, X = normal(3, 5), normal(3), normal(7, 5)
w, x, g = normal(5), normal(5), normal(5)
LOSS = (normal(5), normal(7, 5), normal(7))


def kinds(report):
    return [finding.kind for finding in report.findings]


RIGHT = {
    "affine": (affine, (W, b, X), {"vjp": lambda args, u: (u.T @ args[2], u.sum(0), u @ args[0])}),
    "standardised": (standardised, (X, g), {"vjp": standardised_vjp}),
    "loss": (loss, LOSS, {"grad": lambda w, X, y: 2 / len(y) * X.T @ (X @ w - y)}),
    "not all claimed": (affine, (W, b, X), {"vjp": lambda args, u: (None, u.sum(0), None)}),
    "several arguments": (tanh_unit, (w, x), {"grad": jax.grad(tanh_unit, (1, 0)), "argnums": (1, 0)}),
    "jacobian": (affine, (W, b, X), {"jacobian": jax.jacrev(affine)}),
    "LinearMap": (affine, (W, b, X), {"jacobian": jmc.jacobian(affine)}),
    "hessian": (loss, LOSS, {"hessian": lambda w, X, y: 2 / len(y) * X.T @ X}),
    "jvp": (tanh_unit, (w, x), {"jvp": lambda args, ts: (1 - jnp.tanh(args[0] @ args[1]) ** 2) * (ts[0] @ args[1] + args[0] @ ts[1])}),
    "pytree": (lambda p: p["a"] @ p["b"], ({"a": w, "b": x},), {"grad": lambda p: {"a": p["b"], "b": p["a"]}}),
    "bfloat16": (lambda x: jnp.tanh(x), (jnp.asarray(x, "bfloat16"),), {"vjp": lambda args, u: (u * (1 - jnp.tanh(args[0]) ** 2),)}),
    "shapes": (lambda x: jnp.log(x).sum(), (jax.ShapeDtypeStruct((5,), "float32"),), {"grad": lambda x: 1 / x}),
    "NumPy": (lambda x: jnp.sum(x**3), (x,), {"grad": lambda x: 3 * np.square(np.asarray(x))}),
    "empty": (lambda x: jnp.sum(x**3), (normal(0),), {"grad": lambda x: 3 * x**2}),
    "integers": (lambda E, i: E[i], (normal(7, 3), np.array([1, 4, 1])), {"vjp": lambda args, u: (jnp.zeros_like(args[0]).at[args[1]].add(u), None)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_equal(name):
    f, args, rule = RIGHT[name]
    report = jmc.check(f, *args, **rule)
    assert report.verdict == "equal", str(report)
    assert not report.findings


def backward(dW=lambda W, b, X, u: u.T @ X, db=lambda W, b, X, u: u.sum(0), dX=lambda W, b, X, u: u @ W):
    return {"vjp": lambda args, u: (dW(*args, u), db(*args, u), dX(*args, u))}


def elementwise(f, derivative, x=x):
    return f, (x,), {"vjp": lambda args, u: (u * derivative(args[0]),)}


S = normal(4, 4)
SYMMETRIC = S @ S.T + 4 * np.eye(4, dtype=np.float32)
MISTAKES = {
    "sign": (affine, (W, b, X), backward(db=lambda W, b, X, u: -u.sum(0))),
    "constant_factor": (loss, LOSS, {"grad": lambda w, X, y: X.T @ (X @ w - y) / len(y)}),
    "mean_vs_sum": (loss, LOSS, {"grad": lambda w, X, y: 2 * X.T @ (X @ w - y)}),
    "missing_sum": (affine, (W, b, X), backward(db=lambda W, b, X, u: u)),
    "transposed_layout": (affine, (W, b, X), backward(dW=lambda W, b, X, u: X.T @ u)),
    "transposed_operand": (affine, (S, normal(4), normal(7, 4)), backward(dX=lambda W, b, X, u: u @ W.T)),
    "cotangent_ignored": (jnp.tanh, (x,), {"vjp": lambda args, u: (1 - jnp.tanh(args[0]) ** 2,)}),
    "nonlinear_in_cotangent": (jax.nn.relu, (x,), {"vjp": lambda args, u: (jnp.where(u > 0, u, 0),)}),
    "missing_factor": (standardised, (X, g), {"vjp": lambda args, u: standardised_vjp(args, u, factor=0)}),
    "extra_factor": (lambda x, g: jnp.sin(x) * g, (x, g), {"vjp": lambda args, u: (u * jnp.cos(args[0]) * args[1] ** 2, None)}),
    "wrong_point": elementwise(jnp.tanh, lambda x: 1 - jnp.tanh(jnp.tanh(x)) ** 2),
    "diagonal_only": (jax.nn.softmax, (X,), {"vjp": lambda args, u: (u * jax.nn.softmax(args[0]) * (1 - jax.nn.softmax(args[0])),)}),
    "missing_term": (standardised, (X, g), {"vjp": lambda args, u: standardised_vjp(args, u, mean=0)}),
    "wrong_term": elementwise(lambda x: x * jnp.cos(x), lambda x: jnp.cos(x) + x * jnp.sin(x)),
    "swapped_arguments": (lambda x, g: x * jnp.sin(g), (x, g), {"vjp": lambda args, u: (u * args[0] * jnp.cos(args[1]), u * jnp.sin(args[1]))}),
    "wrong_axis": (affine, (W, b, X), backward(db=lambda W, b, X, u: u.sum(1))),
    "zero": (loss, LOSS, {"grad": lambda w, X, y: 0 * w}),
    "pass_through": (jnp.sin, (x,), {"vjp": lambda args, u: (u,)}),
    "region": elementwise(lambda x: jnp.where(x > 0, x, 0.1 * x), lambda x: jnp.where(x > 0, 1, 0.2), x=normal(11)),
    "tail_accuracy": elementwise(jax.nn.log_sigmoid, lambda x: 1 - jax.nn.sigmoid(x)),
    "kink_convention": elementwise(jnp.abs, jnp.sign, x=np.array([0, 1, -2], np.float32)),
    "symmetric_argument": (lambda S: jnp.linalg.slogdet(S)[1], (SYMMETRIC,), {"grad": lambda S: 2 * jnp.linalg.inv(S) - jnp.diag(jnp.diag(jnp.linalg.inv(S)))}),
    "log_parameter": (lambda s, y: jnp.sum(y**2) / s**2 + jnp.log(s), (np.float32(1.5), x), {"grad": lambda s, y: -2 * jnp.sum(y**2) / s**2 + 1}),
    "conjugate": (lambda z: jnp.sum(jnp.abs(z) ** 2), (normal(3) + 1j * normal(3),), {"grad": lambda z: 2 * z}),
    "unknown": (loss, LOSS, {"grad": lambda w, X, y: jnp.cos(17 * w) + jnp.roll(w, 1) ** 3}),
}  # fmt: skip


def test_every_kind_has_a_case():
    assert {*MISTAKES} == {*KINDS}


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_mistake_is_named_first(kind):
    f, args, rule = MISTAKES[kind]
    report = jmc.check(f, *args, **rule)
    conventions = ("kink_convention", "symmetric_argument", "log_parameter", "conjugate")
    assert report.verdict == ("convention" if kind in conventions else "wrong"), str(report)
    assert kinds(report)[0] == kind, str(report)
    assert kind in str(report)


def test_the_report_places_the_mistake():
    f, args, rule = MISTAKES["missing_factor"]
    report = jmc.check(f, *args, **rule)
    finding = report.findings[0]
    assert finding.argnum == 0
    assert finding.name == "x"
    assert "`g`" in finding.message
    assert finding.line.startswith("test_entry.py:")
    assert finding.evidence < 1e-6
    assert "return g * (x - mu) / sigma" in str(report)
    assert report.as_dict()["findings"][0]["kind"] == "missing_factor"


def test_a_green_check_says_what_it_would_have_caught():
    f, args, rule = RIGHT["standardised"]
    report = jmc.check(f, *args, **rule)
    assert 10 < report.power["caught"] <= report.power["mutants"]
    assert f"would have caught {report.power['caught']} of" in str(report)


def test_arguments_that_hide_mistakes_are_told():
    report = jmc.check(
        lambda x, g: jnp.tanh(x) * g,
        X,
        np.ones(5, np.float32),
        vjp=lambda args, u: (u * (1 - jnp.tanh(args[0]) ** 2), None),
    )
    assert kinds(report)[0] == "missing_factor"  # at fresh arguments
    assert any("`g` is 1 everywhere" in warning for warning in report.warnings)


def test_a_function_s_own_rule_is_held_to_its_primal():
    @jax.custom_vjp
    def cube(x):
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, u: (u * 2 * x**2,))
    report = jmc.check(cube, x)
    assert report.verdict == "wrong"
    assert kinds(report)[0] == "constant_factor"

    @jax.custom_jvp
    def square(x):
        return x**2

    square.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))
    assert jmc.check(square, x).verdict == "equal"


def test_denominator_layout_is_a_convention():
    A = normal(3, 5)
    report = jmc.check(lambda x: jnp.tanh(A @ x), x, jacobian=lambda x: ((1 - jnp.tanh(A @ x) ** 2)[:, None] * A).T)
    assert (report.verdict, kinds(report)) == ("convention", ["transposed_layout"])


def test_a_hidden_cast_is_named():
    report = jmc.check(
        lambda x: x**3, x, vjp=lambda args, u: ((u * 3 * args[0] ** 2).astype("bfloat16").astype(u.dtype),)
    )
    assert report.verdict == "wrong"
    assert "bfloat16" in report.findings[0].message


def test_a_rule_must_be_repeatable_and_finite_for_nothing():
    calls = []

    def fickle(args, u):
        calls.append(0)
        return (np.asarray(u) * np.asarray(np.cos(args[0])) + 1e-3 * len(calls),)

    report = jmc.check(jnp.sin, x, vjp=fickle)
    assert report.verdict == "wrong"
    divided = jmc.check(jnp.sin, x, vjp=lambda args, u: (jnp.cos(args[0]) * u * (u / u),))
    assert "not finite for a cotangent of zero" in divided.findings[0].message


def test_a_rule_that_raises_is_wrong_and_says_so():
    report = jmc.check(jnp.sin, x, grad=None, vjp=lambda args, u: args[3])
    assert report.verdict == "wrong"
    assert "the rule raised IndexError" in report.findings[0].message
    report = jmc.check(affine, W, b, X, vjp=lambda args, u: (u.T @ args[2], u.sum(0)))
    assert "`vjp` must return a tuple of 3 cotangents, one per argument, but got 2" in report.findings[0].message


def test_where_there_is_no_reference_nothing_is_decided():
    report = jmc.check(lambda x: jnp.sum(jnp.log(-(x**2) - 1)), x, grad=jnp.ones_like)
    assert report.verdict == "undecided"
    assert "not finite" in report.notes[0]


def test_assert_derivative_raises_with_the_report():
    f, args, rule = RIGHT["loss"]
    jmc.assert_derivative(f, *args, **rule)
    f, args, rule = MISTAKES["constant_factor"]
    with pytest.raises(AssertionError, match=r"grad of loss: WRONG(.|\n)*constant_factor"):
        jmc.assert_derivative(f, *args, **rule)
    f, args, rule = MISTAKES["kink_convention"]
    with pytest.raises(AssertionError, match="right under another convention"):
        jmc.assert_derivative(f, *args, **rule)
    jmc.assert_derivative(f, *args, **rule, accept=("kink_convention",))
    jmc.assert_derivative(jmc.rules["tanh"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jmc.check(jnp.sin, x), "one of grad, jacobian, hessian, vjp, jvp must hold the rule"),
        (lambda: jmc.check(jnp.sin, x, grad=jnp.cos, vjp=jnp.cos), "exactly one of .* but got grad and vjp"),
        (lambda: jmc.check(jnp.sin, grad=jnp.cos), "`args` must be the arguments of `f`"),
        (lambda: jmc.check(3, x, grad=jnp.cos), "`f` must be a function or a rule of jmc.rules, but got int"),
        (lambda: jmc.check(jnp.sin, "x", grad=jnp.cos), "`args` must be arrays or jax.ShapeDtypeStruct, but got str"),
        (lambda: jmc.check(jnp.sin, np.arange(3), grad=jnp.cos), "`args` must have a floating-point array"),
        (lambda: jmc.check(loss, *LOSS, grad=loss, argnums="w"), "`argnums` must be an integer"),
        (lambda: jax.jit(lambda x: jmc.check(jnp.sin, x, grad=jnp.cos))(x), "`args` must be .* but got a traced value"),
        (lambda: jmc.check(jmc.rules["tanh"], x), "`f` is a rule of the catalogue, which is checked by itself"),
    ],
)  # fmt: skip
def test_bad_use_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_the_global_configuration_is_untouched():
    before = jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion
    jmc.check(loss, *LOSS, **RIGHT["loss"][2])
    assert (jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion) == before


def test_a_notebook_shows_where_the_errors_are():
    A = normal(3, 5)
    report = jmc.check(lambda x: A @ x, x, jacobian=lambda x: A * (np.arange(5) != 2))
    page = report._repr_html_()
    assert page.count("<rect") == 15
    assert page.count('fill="#fff"') == 12
    assert "WRONG" in page


def test_what_is_conjugate_within_is_no_convention():
    def circular(x, k):
        return jnp.fft.irfft(jnp.fft.rfft(x) * jnp.fft.rfft(k), x.size)

    def again(args, u):  # a correlation belongs here
        x, k = args
        return circular(u, k), circular(u, x)

    shape = jax.ShapeDtypeStruct((7,), "float32")
    report = jmc.check(circular, shape, shape, vjp=again)
    assert report.verdict == "wrong"
    assert {finding.kind for finding in report.findings} <= {
        "conjugate",
        "transposed_operand",
        "wrong_term",
        "wrong_axis",
    }


def test_a_symmetric_matrix_stays_square():
    A = jnp.asarray(normal(5, 5))
    A = (A + A.T) / 2
    report = jmc.check(lambda A: jnp.sum(jnp.exp(A)), A, grad=lambda A: 2 * jnp.exp(A) - jnp.diag(jnp.diag(jnp.exp(A))))
    assert (report.verdict, report.findings[0].kind) == ("convention", "symmetric_argument")


def test_half_the_conjugate_is_a_convention():
    def power(z, a):
        return jnp.abs(a @ z) ** 2

    z, a = (jnp.asarray(normal(3) + 1j * normal(3), jnp.complex64) for _ in range(2))
    report = jmc.check(power, z, a, grad=lambda z, a: a.conj() * (a @ z))
    assert (report.verdict, report.findings[0].kind) == ("convention", "conjugate")


def test_what_moves_entries_is_not_element_wise():
    # every second entry of a square array stays where a transposition puts it
    report = jmc.check(lambda X: (X + X.T) / 2, jnp.asarray(normal(5, 5)), vjp=lambda args, u: (u,))
    assert report.verdict == "wrong"
    assert "pass_through" in [finding.kind for finding in report.findings]


def test_an_argument_may_be_a_number_at_a_kink():
    def shrunk(x, theta):
        return jnp.where(x > theta, x - theta, 0)

    def backward(args, u):
        x, theta = args
        return jnp.where(x > theta, u, 0), jnp.zeros_like(theta)

    report = jmc.check(shrunk, jnp.asarray(normal(7)), jnp.asarray(0.3), vjp=backward)
    assert (report.verdict, report.findings[0].kind) == ("wrong", "zero")


def test_two_entries_of_one_size_cannot_both_be_the_largest():
    def whole(x):
        return jnp.where(jnp.abs(x) == jnp.abs(x).max(), jnp.sign(x), 0)

    report = jmc.check(lambda x: jnp.max(jnp.abs(x)), jnp.asarray(normal(5)), grad=whole)
    assert (report.verdict, report.findings[0].kind) == ("convention", "kink_convention")
    assert "the rule says 2" in report.findings[0].message
