import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jmc

sigmoid, softmax, log_softmax = jax.nn.sigmoid, jax.nn.softmax, jax.nn.log_softmax
inv, norm, expm = jnp.linalg.inv, jnp.linalg.norm, jax.scipy.linalg.expm


def logdet(X):
    return jnp.linalg.slogdet(X)[1]


def cross_entropy(W, x, y):
    return -jnp.sum(y * log_softmax(W @ x))


def logistic(w, X, y):
    z = X @ w
    return -jnp.mean(y * jnp.log(sigmoid(z)) + (1 - y) * jnp.log(1 - sigmoid(z)))


def gaussian(mu, S, x):
    return (logdet(S) + (x - mu) @ inv(S) @ (x - mu)) / 2


def gaussian_process(K, y):
    L = jnp.linalg.cholesky(K)
    return y @ jax.scipy.linalg.cho_solve((L, True), y) / 2 + jnp.sum(jnp.log(jnp.diag(L)))


# the function, the shapes of its arguments, the argument, the order, the formula (and its "where")
TABLE = [
    (lambda A, x: A @ x, "A: m n, x: n", "x", 1, "A"),
    (lambda x, A: x @ A @ x, "x: n, A: n n", "x", 1, "(A + Aᵀ) x"),
    (lambda x, A: x @ A @ x, "x: n, A: n n", "x", 2, "A + Aᵀ"),
    (lambda x, A: x @ A @ x, "x: n, A: n n symmetric", "x", 1, "2 A x"),
    (lambda A, x, b: jnp.sum((A @ x - b) ** 2), "A: m n, x: n, b: m", "x", 1, "2 Aᵀ (A x − b)"),
    (lambda A, x, b: jnp.sum((b - A @ x) ** 2), "A: m n, x: n, b: m", "x", 1, "2 Aᵀ (A x − b)"),
    (lambda A, x, b: jnp.sum((A @ x - b) ** 2), "A: m n, x: n, b: m", "x", 2, "2 Aᵀ A"),
    (lambda A, x, b: jnp.sum((A @ x - b) ** 2), "A: m n, x: n, b: m", "A", 1, "2 (A x − b) xᵀ"),
    (lambda w, X, y: jnp.mean((X @ w - y) ** 2), "w: d, X: N d, y: N", "w", 1, "(2/N) Xᵀ (X w − y)"),
    (lambda w, X, y: jnp.mean((X @ w - y) ** 2), "w: d, X: N d, y: N", "w", 2, "(2/N) Xᵀ X"),
    (lambda M, x, b: jax.nn.relu(M @ x + b), "M: m n, x: n, b: m", "x", 1, "diag(1[M x + b > 0]) M"),
    (lambda w, x, b: jnp.maximum(w @ x + b, 0), "w: n, x: n, b:", "w", 1, "1[wᵀ x + b > 0] x"),
    (lambda x: softmax(x), "x: n", "x", 1, "diag(p) − p pᵀ where p = softmax(x)"),
    (lambda x: jnp.exp(x) / jnp.sum(jnp.exp(x)), "x: n", "x", 1, "diag(p) − p pᵀ where p = softmax(x)"),
    (lambda x: jmc.softmax(x), "x: n", "x", 1, "diag(p) − p pᵀ where p = softmax(x)"),
    (lambda x: log_softmax(x), "x: n", "x", 1, "I − 𝟏 softmax(x)ᵀ"),
    (lambda x: jax.nn.logsumexp(x), "x: n", "x", 1, "softmax(x)"),
    (lambda x: jax.nn.logsumexp(x), "x: n", "x", 2, "diag(p) − p pᵀ where p = softmax(x)"),
    (cross_entropy, "W: k n, x: n, y: k one-hot", "x", 1, "Wᵀ (softmax(W x) − y)"),
    (cross_entropy, "W: k n, x: n, y: k one-hot", "W", 1, "(softmax(W x) − y) xᵀ"),
    (cross_entropy, "W: k n, x: n, y: k one-hot", "x", 2, "Wᵀ (diag(p) − p pᵀ) W where p = softmax(W x)"),
    (lambda x: norm(x), "x: n", "x", 1, "x/‖x‖"),
    (lambda X: norm(X), "X: m n", "X", 1, "X/‖X‖_F"),
    (lambda U, V, T: jnp.sum((T - U @ V.T) ** 2), "U: m r, V: n r, T: m n", "U", 1, "2 (U Vᵀ − T) V"),
    (lambda X, A: jnp.trace(A @ X), "X: n m, A: m n", "X", 1, "Aᵀ"),
    (logdet, "X: n n", "X", 1, "X⁻ᵀ"),
    (logdet, "X: n n spd", "X", 1, "X⁻¹"),
    (lambda X, a, b: a @ inv(X) @ b, "X: n n, a: n, b: n", "X", 1, "−X⁻ᵀ a bᵀ X⁻ᵀ"),
    (lambda A: norm(A, "nuc"), "A: m n", "A", 1, "left singular vectors(A) right singular vectors(A)ᵀ"),
    (lambda A: norm(A, 2), "A: m n", "A", 1, "left singular vector(A) right singular vector(A)ᵀ"),
    (lambda X: jnp.trace(expm(X)), "X: n n", "X", 1, "expm(X)ᵀ"),
    (lambda X: jnp.trace(expm(X)), "X: n n", "X", 2, "expm′(X)_jikl"),
    (lambda X, A: expm(A @ X), "X: m n, A: n m", "X", 1, "Σ_a A_ak expm′(Z)_ijal where Z = A X"),
    (lambda x, A: expm(x * A), "x:, A: n n", "x", 1, "A expm(x A)"),
    (lambda x, A: jnp.trace(expm(2 * x * A)), "x:, A: n n", "x", 1, "2 tr(expm(2 x A) A)"),
    (lambda X, A: jnp.trace(inv(X + A)), "X: n n, A: n n", "X", 1, "−(P P)ᵀ where P = (X + A)⁻¹"),
    (lambda b, X, a: a @ jnp.linalg.solve(X, b), "b: n, X: n n, a: n", "b", 1, "X⁻ᵀ a"),
    (logistic, "w: d, X: N d, y: N", "w", 1, "(1/N) Xᵀ (σ(X w) − y)"),
    (gaussian, "mu: n, S: n n spd, x: n", "mu", 1, "S⁻¹ (μ − x)"),
    (gaussian, "mu: n, S: n n spd, x: n", "mu", 2, "S⁻¹"),
    (lambda x: sigmoid(x), "x:", "x", 1, "σ(x) (1 − σ(x))"),
    (lambda x: sigmoid(x), "x:", "x", 2, "σ(x) (1 − σ(x)) (1 − 2 σ(x))"),
    (lambda x: jnp.tanh(x), "x: n", "x", 1, "diag(1 − tanh²(x))"),
    (lambda x, W, b, v: v @ jnp.tanh(W @ x + b), "x: n, W: m n, b: m, v: m", "W", 1, "(v ⊙ (1 − tanh²(W x + b))) xᵀ"),
    (lambda x: x**3 + 3 * x, "x:", "x", 1, "3 x² + 3"),
    (logistic, "w: d, X: N d, y: N", "w", 2, "(1/N) Xᵀ diag(σ(X w) ⊙ (1 − σ(X w))) X"),
    (lambda x: x * sigmoid(x), "x: n", "x", 1, "diag(σ(x) ⊙ (𝟏 + x ⊙ (1 − σ(x))))"),
    (lambda x: jnp.std(x), "x: n", "x", 1, "z/(√n ‖z‖) where z = x − ((𝟏ᵀ x)/n) 𝟏"),
    (lambda w, X, y: jnp.sum(jnp.log(jnp.cosh(X @ w - y))), "w: d, X: N d, y: N", "w", 1, "Xᵀ tanh(X w − y)"),
    (lambda X: logdet(X.T @ X), "X: m n", "X", 1, "2 X (Xᵀ X)⁻¹"),
    (lambda W, x: jnp.tanh(W @ x), "W: m n, x: n", "W", 1, "diag(1 − tanh²(W x)) ⊗ xᵀ"),
    (lambda X, A, B: A @ X @ B, "X: m n, A: p m, B: n q", "X", 1, "A ⊗ Bᵀ"),
    (lambda X: inv(X), "X: n n", "X", 1, "−X⁻¹ ⊗ X⁻ᵀ"),
    (lambda X, a: logdet(a * X), "X: n n, a:", "X", 1, "X⁻ᵀ"),
    (lambda x, p: jnp.sum(x**p) ** (1 / p), "x: n positive, p: positive", "x", 1, "(𝟏ᵀ x^p)^(1/p − 1) x^(p − 1)"),
    (gaussian_process, "K: n n spd, y: n", "K", 1, "(1/2) (K⁻¹ − K⁻¹ y yᵀ K⁻¹)"),
    (lambda x: jnp.sum(x) * np.log(x.shape[0]) / x.shape[0] ** 2, "x: n", "x", 1, "(ln(n)/n²) 𝟏"),
    (lambda x: jnp.log(-x), "x: n", "x", 1, "diag(1 ⊘ x)"),
    (lambda x, y: jnp.sum(y), "x: n, y: m", "x", 1, "0"),
    (jmc.gelu, "x: n", "x", 1, "diag(Φ(x) + x ⊙ φ(x))"),
    (jmc.log_cosh, "prediction: n, target: n", "prediction", 1, "tanh(prediction − target)/n"),
    (lambda w, b, X, y: jmc.mean_squared_error(jmc.neuron(w, b, X), y), "w: d, b:, X: N d, y: N", "w", 1, "(2/N) Xᵀ (1[z > 0] ⊙ (relu(z) − y)) where z = X w + b 𝟏"),
    (lambda W, b, X, Y: jmc.softmax_cross_entropy(jmc.affine(W, b, X), Y), "W: k d, b: k, X: N d, Y: N k one-hot", "W", 1, "(1/N) (softmax(X Wᵀ + 𝟏 bᵀ) − Y)ᵀ X"),
    (lambda x, y: jnp.outer(x, y), "x: m, y: n", "x", 1, "I_m ⊗ y"),
]  # fmt: skip


def given(shapes):
    parts = (part.split(":") for part in shapes.split(","))
    return {name.strip(): shape for name, shape in parts}


@pytest.mark.parametrize(
    ("f", "shapes", "wrt", "order", "formula"), TABLE, ids=[f"{k}-{row[4]}" for k, row in enumerate(TABLE)]
)
def test_formulas(f, shapes, wrt, order, formula):
    found = jmc.derive(f, wrt, order)(**given(shapes))
    where = ", ".join(f"{name} = {meaning}" for name, meaning in found.where.items())
    assert found.formula + (f" where {where}" if where else "") == formula
    assert found.certificate.ok
    assert found.certificate.max_error < 1e-10
    assert found.certificate.sizes[0] != found.certificate.sizes[1] or not found.certificate.sizes[0]
    assert set(found.certificate.oracles) == {"forward AD", "reverse AD", "Ridders differences"}
    assert found.mathml.startswith("<math")


def test_code_is_stable_where_the_textbook_form_is_not():
    x = np.array([-1e3, -40.0, 0.3, 40.0, 1e3])
    d = jmc.derive(sigmoid, "x")("n")
    with np.errstate(all="raise"):
        space = {}
        exec(d.numpy, space)
        with np.errstate(under="ignore"):
            J = space["dsigmoid"](x)
    exact = np.array([math.exp(-abs(t)) / (1 + math.exp(-abs(t))) ** 2 for t in x])
    np.testing.assert_allclose(np.diag(J), exact, rtol=1e-14)


def test_softmax_keeps_what_is_left_of_a_confident_answer():
    d = jmc.derive(lambda x: softmax(x), "x")("n")
    space = {}
    exec(d.numpy, space)
    J = space["df"](np.array([1e3, 1e3 - 30, -1e3]))
    left = math.exp(-30) / (1 + math.exp(-30)) ** 2
    np.testing.assert_allclose(J[0, 0], left, rtol=1e-12)
    assert np.all(np.isfinite(J))


def test_steps_are_the_vector_chain_rule():
    d = jmc.derive(lambda W, x, b: jnp.sum(jnp.tanh(W @ x + b) ** 2), "x")("m n", "n", "m")
    assert d.steps.text.splitlines() == [
        "u₁ = W x + b    ∂u₁/∂x = W                      w + x (P-4.2.7)",
        "u₂ = tanh(u₁)   ∂u₂/∂u₁ = diag(1 − tanh²(u₁))   tanh (L-act-tanh)",
        "u₃ = ‖u₂‖²      ∂u₃/∂u₂ = 2 u₂ᵀ                 dot product (P-5.2)",
        "∂f/∂x = (∂u₃/∂u₂) (∂u₂/∂u₁) (∂u₁/∂x)",
        "      = 2 (tanh(W x + b) ⊙ (1 − tanh²(W x + b)))ᵀ W",
    ]
    assert d.steps.max_error < 1e-12
    assert d.steps.latex.count(r"\\") == 4
    with pytest.raises(ValueError, match="of a first derivative, but the order is 2"):
        jmc.derive(lambda x: x @ x, "x", 2)("n").steps  # noqa: B018 - it is the access that raises


def test_two_paths_are_summed():
    d = jmc.derive(lambda x: x + jnp.sin(x**2), "x")("")
    assert "∂f/∂x = ∂u₃/∂x + (∂u₃/∂u₂) (∂u₂/∂u₁) (∂u₁/∂x)" in d.steps.text


def test_a_wrong_local_jacobian_is_no_step(monkeypatch):
    from jmc.symbolic import steps
    from jmc.symbolic.algebra import scale

    d = jmc.derive(lambda x: jnp.sin(x**2), "x")("")
    monkeypatch.setattr(steps, "tidy", lambda tensor: scale(2, tensor))
    with pytest.raises(jmc.NotCertified, match="the local Jacobian of u1 is off"):
        d.steps  # noqa: B018 - it is the access that raises


def test_the_page_is_self_contained():
    page = jmc.derive(lambda W, x: jnp.sum(jax.nn.relu(W @ x) ** 2), "x")("m n", "n").html("A <layer>")
    assert page.startswith("<!DOCTYPE html>")
    assert "A &lt;layer&gt;" in page
    assert page.count("<math") > 5
    assert "http" not in page.replace("http://www.w3.org/1998/Math/MathML", "")


def test_parts_without_matrix_notation_have_names_too():
    def kernel(X):
        return jnp.exp(-jnp.sum((X[:, None, :] - X[None, :, :]) ** 2, axis=-1))

    d = jmc.derive(lambda X: logdet(kernel(X) + jnp.eye(len(X))), "X")("n d")
    assert d.notation == "index"
    assert d.where["K"] == "E⁻¹"
    assert d.certificate.ok


@pytest.mark.parametrize(
    ("f", "shapes", "wrt", "structure", "cost"),
    [
        (lambda A, x, b: jnp.sum((A @ x - b) ** 2), "A: m n, x: n, b: m", "x", "row(n)", "4 m n + m + n"),
        (lambda W, x: jnp.tanh(W @ x), "W: m n, x: n", "W", "kronecker(diagonal(m) ⊗ row(n))", None),
        (lambda b, A: jnp.linalg.solve(A, b), "b: n, A: n n", "b", "dense(n×n)", None),
        (lambda X: jnp.sin(X), "X: m n", "X", "diagonal(m·n)", None),
    ],
)
def test_structure_and_cost(f, shapes, wrt, structure, cost):
    d = jmc.derive(f, wrt)(**given(shapes))
    assert d.structure == structure
    assert cost is None or d.cost == cost


def test_the_cost_of_a_solution_is_cubic():
    d = jmc.derive(lambda b, A: jnp.sum(jnp.linalg.solve(A, b) ** 2), "b")("n", "n n")
    assert d.formula == "2 A⁻ᵀ A⁻¹ b"
    assert d.cost.startswith("4/3 n³")


def test_sizes_are_those_at_which_the_formula_is_defined():
    d = jmc.derive(lambda X: jnp.linalg.det(X.T @ X), "X")("m n")
    assert d.formula == "2 det(Xᵀ X) X (Xᵀ X)⁻¹"
    assert all(sizes["m"] > sizes["n"] for sizes in d.certificate.sizes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_code_keeps_the_dtype_of_its_arguments(dtype, x64):
    d = jmc.derive(lambda W, x, b: jnp.sum(jax.nn.relu(W @ x + b) ** 2), "x")("m n", "n", "m")
    found = d.function(*(jnp.ones(shape, dtype) for shape in ((2, 3), 3, 2)))
    assert found.dtype == dtype
    assert found.tolist() == [16.0, 16.0, 16.0]


def test_layouts():
    A = {"A": "m, n", "x": "n"}
    f = lambda A, x: jnp.sin(A @ x)
    assert jmc.derive(f, "x")(**A).formula == "diag(cos(A x)) A"
    assert jmc.derive(f, "x", layout="denominator")(**A).formula == "Aᵀ diag(cos(A x))"
    g = lambda A, x: jnp.sum((A @ x) ** 2)
    assert jmc.derive(g, "x")(**A).formula == "2 Aᵀ A x"
    assert jmc.derive(g, "x", layout="numerator")(**A).formula == "2 xᵀ Aᵀ A"


def test_index_notation_is_always_there():
    d = jmc.derive(lambda X, W: jnp.tanh(X @ W.T), "W", notation="index")(("N", "d"), ("m", "d"))
    assert d.notation == "index"
    assert d.text == "∂f_ij/∂W_kl = δ_jk X_il (1 − tanh²(Z_ij))\n  where Z = X Wᵀ"


def test_arrays_stand_for_their_shapes():
    d = jmc.derive(lambda w, X, y: jnp.mean((X @ w - y) ** 2))(np.ones(5), np.ones((7, 5)), np.ones(7))
    assert d.formula == "(2/m) Xᵀ (X w − y)" or d.formula == "(2/n) Xᵀ (X w − y)"


def test_nested_arguments():
    def loss(params, x):
        return jnp.sum(jnp.tanh(params["W1"] @ x + params["b1"]))

    d = jmc.derive(loss, "params.W1")({"W1": ("m", "n"), "b1": ("m",)}, ("n",))
    assert d.formula == "(1 − tanh²(W₁ x + b₁)) xᵀ"


def test_axes_of_size_1_are_in_the_code_alone(x64):
    d = jmc.derive(lambda W, x, b: jnp.tanh(W @ x + b), "W")((1, "n"), ("n", 1), (1, 1))
    assert d.text == "∂f/∂W = (1 − tanh²(Wᵀ x + b)) x\n  axes of size 1 are left out"
    shapes = ((1, 3), (3, 1), (1, 1))
    W, x, b = (np.linspace(-1, 1, n * m).reshape(n, m) for n, m in shapes)
    assert d.function(W, x, b).shape == (1, 1, 1, 3)


@pytest.mark.parametrize(
    "f", [softmax, lambda x: jax.nn.logsumexp(x), lambda x: x / norm(x), lambda x: jnp.outer(x, x[::-1])]
)
def test_a_size_may_be_1(f, x64):
    x = jnp.array([0.7])
    np.testing.assert_allclose(jmc.derive(f)("n").function(x), jax.jacobian(f)(x), atol=1e-15)


def test_several_results_have_a_derivation_each():
    def f(params, x):
        hidden = params["W"] @ x
        return {"fit": jnp.sum(hidden**2), "size": (jnp.sum(params["W"] ** 2), hidden)}

    found = jmc.derive(f, "params.W")({"W": "m, n"}, "n")
    assert found["fit"].text == "∂fit/∂W = 2 W x xᵀ"
    assert [d.left for d in found["size"]] == ["∂f1/∂W", "∂f2/∂W"] or found["size"][0].formula == "2 W"
    assert found["size"][1].notation == "matrix"


def test_a_nest_of_arguments_has_a_derivation_each():
    found = jmc.derive(lambda params, x: jnp.sum(params["W"] @ x + params["b"]), "params")({"W": "m, n", "b": "m"}, "n")
    assert {name: d.formula for name, d in found.items()} == {"W": "𝟏 xᵀ", "b": "𝟏"}


def test_a_wrong_formula_is_no_result(monkeypatch):
    from dataclasses import replace

    from jmc.symbolic import functions

    sin = functions.FUNCTIONS["sin"]
    monkeypatch.setitem(functions.FUNCTIONS, "sin", replace(sin, slopes=(lambda x: functions.apply("sin", x),)))
    with pytest.raises(jmc.NotCertified, match="forward AD says"):
        jmc.derive(lambda x: jnp.sin(x), "x")("n")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: jmc.derive(3), "`f` must be callable, but got int"),
        (lambda: jmc.derive(jnp.sin, order=0), "`order` must be a whole number of at least 1, but got 0"),
        (lambda: jmc.derive(jnp.sin, layout="row"), "`layout` must be one of"),
        (lambda: jmc.derive(lambda x: x, "y")("n"), "`wrt` must name one of x, but got 'y'"),
        (lambda: jmc.derive(lambda x: x)("n", "m"), "`shapes` must be one for each of x"),
        (lambda: jmc.derive(lambda x: x)("m n symmetric"), "must be square"),
        (lambda: jmc.derive(lambda x: x)((0,)), "at least 1, but got 0"),
        (lambda: jmc.derive(lambda x: x * 2.0)("n integer"), "`wrt` must name a real argument, but x is integer"),
        (lambda: jmc.derive(lambda n: n)("n"), "other names for sizes than for arguments, but n is both"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises((TypeError, ValueError), match=message.replace("(", r"\(")):
        call()


@pytest.mark.parametrize(
    ("f", "shapes", "order", "formula"),
    [
        (lambda x: jnp.max(x), ("n",), 1, "onehot(argmax(x))"),
        (lambda x: jnp.prod(x), ("n",), 1, "prod(x) (1 ⊘ x)"),
        (lambda x: jnp.sum(jnp.where(x == jnp.max(x), x, 0)), ("n",), 1, "1[x = max(x)]"),
        (lambda S: jnp.sum(jnp.linalg.eigvalsh(S) ** 3), ("n, n symmetric",), 1,
         "3 Q diag(eigenvalues(S)^∘2) Qᵀ where Q = eigenvectors(S)"),
        (lambda x: jnp.sum(jax.scipy.special.gammaln(x)), ("n positive",), 1, "ψ(x)"),
        (lambda Q, K, V, U: jnp.sum(U * (softmax(Q @ K.T) @ V)), ("n, d", "m, d", "m, p", "n, p"), 1,
         "(P ⊙ (U Vᵀ − (U ⊙ (P V)) 𝟏 𝟏ᵀ)) K where P = softmax(Q Kᵀ)"),
        (lambda x, A, B: (x @ A @ x) / (x @ B @ x), ("n", "n, n symmetric", "n, n spd"), 1,
         "(2/(xᵀ B x)) (A x − ((xᵀ A x)/(xᵀ B x)) B x)"),
        (lambda X, A, B: jnp.trace(A @ X @ B @ X.T), ("n, k", "n, n", "k, k"), 1, "A X B + Aᵀ X Bᵀ"),
        (lambda W, x, y: -jnp.log(softmax(W @ x)[y]), ("k, n", "n", "integer"), 1, "(softmax(W x) − onehot(y)) xᵀ"),
    ],
)  # fmt: skip
def test_what_is_taken_out_of_an_array(f, shapes, order, formula):
    found = jmc.derive(f, order=order)(*shapes)
    where = ", ".join(f"{name} = {meaning}" for name, meaning in found.where.items())
    assert found.formula + (f" where {where}" if where else "") == formula


def test_eigenvectors_have_a_derivative_where_eigenvalues_differ():
    d = jmc.derive(lambda S, a: a @ jnp.linalg.eigh(S)[1] @ a)("n, n symmetric", "n")
    assert "eigenvalues of S that differ" in d.conditions
    assert any(note.startswith("gaps(λ)_ij = 1/(λ_j − λ_i)") for note in d.notes)
