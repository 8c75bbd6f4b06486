"""Steps of gradient descent: one compiled scan, a Python loop, many models at once, NumPy, torch, scikit-learn.

Every contender takes the same steps from the same start on the same batches, and must arrive at the same parameters.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jmc
from jmc.bench.case import Case, Contender, Draw, Series
from jmc.bench.suites import neuron as one
from jmc.bench.suites.derivative import in_torch
from jmc.bench.suites.jacobians import weights

RATE = 0.05
DRIFT = 5e-3  # rounding adds up over the steps
FEATURES, EXAMPLES, BATCH = 16, 512, 32
CLASSES, HIDDEN = 10, 64


def scan(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """All steps in one program."""

    def train(params: Any, X: Any, Y: Any, rows: Any) -> Any:
        def step(params: Any, batch: Any) -> tuple[Any, None]:
            return descend(params, gradient(params, X[batch], Y[batch])), None

        return jax.lax.scan(step, params, rows)[0]

    return train


def descend(params: Any, gradients: Any) -> Any:
    return jax.tree.map(lambda p, g: p - jnp.asarray(RATE, p.dtype) * g, params, gradients)


def python_loop(gradient: Callable[..., Any]) -> Contender:
    """A step compiled, and called from Python."""
    step = jax.jit(lambda params, X, Y, batch: descend(params, gradient(params, X[batch], Y[batch])))

    def train(params: Any, X: Any, Y: Any, rows: Any) -> Any:
        for batch in rows:
            params = step(params, X, Y, batch)
        return params

    def prepare(args: tuple[Any, ...]) -> tuple[Any, ...]:
        *rest, rows = args
        return (*rest, list(rows))

    return Contender(train, compiled=False, prepare=prepare)


def numpy_loop(gradient: Callable[..., Any]) -> Contender:
    def train(params: Any, X: Any, Y: Any, rows: Any) -> Any:
        rate = X.dtype.type(RATE)
        for batch in rows:
            params = [p - rate * g for p, g in zip(params, gradient(params, X[batch], Y[batch]), strict=True)]
        return params

    return Contender(train, "numpy", False, prepare=lambda args: jax.tree.map(np.array, args))


def torch_loop(loss: Callable[..., Any], compiled: bool) -> Contender:
    def make(torch: Any) -> Callable[..., Any]:
        def step(params: Any, X: Any, Y: Any) -> Any:
            return [p - RATE * g for p, g in zip(params, torch.func.grad(loss)(params, X, Y), strict=True)]

        taken = torch.compile(step) if compiled else step

        def train(params: Any, X: Any, Y: Any, rows: Any) -> Any:
            for batch in rows:
                params = taken(params, X[batch], Y[batch])
            return params

        return train

    return in_torch(make)


def neuron(steps: int, draw: Draw) -> Case:
    """One ReLU neuron of 16 features, batches of 32, mean squared error."""
    X, start = draw(EXAMPLES, FEATURES), [draw(FEATURES, scale=0.1), draw(1)[0]]
    y = jax.nn.relu(X @ draw(FEATURES, seed=1) + 0.5)
    args, flops = (start, X, y, _rows(steps)), 4 * FEATURES * BATCH * steps
    return _case(one.ours, one.plain, one.gradient_in_numpy, one.in_torch, args, flops)


def network(steps: int, draw: Draw) -> Case:
    """16-64-10 with ReLU and softmax cross-entropy, batches of 32."""

    def ours(params: Any, X: Any, Y: Any) -> Any:
        return jmc.softmax_cross_entropy(jmc.network([params[:2], params[2:]], X), Y)

    def plain(params: Any, X: Any, Y: Any) -> Any:
        W1, b1, W2, b2 = params
        logits = jax.nn.relu(X @ W1.T + b1) @ W2.T + b2
        return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(logits), axis=-1))

    def by_hand(params: Any, X: Any, Y: Any) -> Any:
        W1, b1, W2, b2 = params
        A = np.maximum(X @ W1.T + b1, 0)
        P = np.exp((Z := A @ W2.T + b2) - Z.max(axis=1, keepdims=True))
        E = (P / P.sum(axis=1, keepdims=True) - Y) / X.dtype.type(len(X))
        back = (E @ W2) * (A > 0)
        return back.T @ X, back.sum(axis=0), E.T @ A, E.sum(axis=0)

    def in_torch(params: Any, X: Any, Y: Any) -> Any:
        W1, b1, W2, b2 = params
        return -(Y * ((X @ W1.T + b1).relu() @ W2.T + b2).log_softmax(1)).sum(1).mean()

    start = jax.tree.leaves(weights((FEATURES, HIDDEN, CLASSES), draw))
    labels = np.arange(EXAMPLES) % CLASSES
    Y = jax.nn.one_hot(jnp.asarray(labels), CLASSES, dtype=draw.dtype)
    args = (start, draw(EXAMPLES, FEATURES), Y, _rows(steps))
    case = _case(ours, plain, by_hand, in_torch, args, 6 * HIDDEN * (FEATURES + CLASSES) * BATCH * steps)
    return Case(args, {**case.contenders, "scikit-learn": _sklearn(labels)}, case.reference, case.flops, DRIFT)


def _case(
    ours: Callable[..., Any], plain: Callable[..., Any], by_hand: Any, in_torch: Any, args: Any, flops: float
) -> Case:
    contenders = {
        "jmc": Contender(scan(jmc.grad(ours)), "jmc"),
        "scan, jax.grad": Contender(scan(jax.grad(plain))),
        "Python loop, jax.grad": python_loop(jax.grad(plain)),
        "NumPy by hand": numpy_loop(by_hand),
        "torch": torch_loop(in_torch, compiled=False),
        "torch, compiled": torch_loop(in_torch, compiled=True),
    }
    return Case(args, contenders, scan(jax.grad(plain)), flops, DRIFT)


def _rows(steps: int) -> jax.Array:
    rows = np.random.default_rng(steps).integers(0, EXAMPLES, (steps, BATCH))
    return jnp.asarray(rows.astype(np.int32))


def _sklearn(labels: np.ndarray) -> Contender:
    """`MLPClassifier.partial_fit`, batch by batch; it takes labels, and is asked for no momentum and no penalty."""

    def prepare(args: tuple[Any, ...]) -> tuple[Any, ...]:
        from sklearn.neural_network import MLPClassifier

        start, X, _, rows = args
        model = MLPClassifier((HIDDEN,), solver="sgd", alpha=0.0, momentum=0.0, learning_rate_init=RATE)
        X = np.array(X)
        model.partial_fit(X[:BATCH], labels[:BATCH], classes=np.arange(CLASSES))
        return (model, [np.array(p) for p in start], X, list(np.array(rows)))

    def train(model: Any, start: Any, X: Any, rows: Any) -> Any:
        W1, b1, W2, b2 = start
        for own, given in zip((*model.coefs_, *model.intercepts_), (W1.T, W2.T, b1, b2), strict=True):
            own[...] = given
        for batch in rows:
            model.partial_fit(X[batch], labels[batch])
        (V1, V2), (c1, c2) = model.coefs_, model.intercepts_
        return [V1.T, c1, V2.T, c2]

    return Contender(train, "sklearn", compiled=False, prepare=prepare)


def ensemble(models: int, draw: Draw) -> Case:
    """So many neurons from different starts, 100 steps: all at once, or in turn."""

    def together(train: Any) -> Any:
        return jax.vmap(train, (0, None, None, None))

    def in_turn(start: Any, *data: Any) -> Any:
        return jax.lax.map(lambda params: scan(jax.grad(one.plain))(params, *data), start)

    X = draw(EXAMPLES, FEATURES)
    y = jax.nn.relu(X @ draw(FEATURES, seed=1) + 0.5)
    start = [draw(models, FEATURES, scale=0.1), draw(models)]
    contenders = {
        "jmc": Contender(together(scan(jmc.grad(one.ours))), "jmc"),
        "vmap, jax.grad": Contender(together(scan(jax.grad(one.plain)))),
        "in turn, jax.grad": Contender(in_turn),
    }
    reference = together(scan(jax.grad(one.plain)))
    return Case((start, X, y, _rows(100)), contenders, reference, 4 * FEATURES * BATCH * 100 * models, DRIFT)


def large(n: int, draw: Draw) -> Case:
    """One step of n-n-n-n on 512 examples: how near to the speed of a matrix product does it come?"""

    def ours(params: Any, X: Any, Y: Any) -> Any:
        return jmc.mean_squared_error(jmc.network(params, X), Y)

    def plain(params: Any, X: Any, Y: Any) -> Any:
        *hidden, (W, b) = params
        for V, c in hidden:
            X = jax.nn.relu(X @ V.T + c)
        return jnp.mean((X @ W.T + b - Y) ** 2)

    def step(gradient: Callable[..., Any]) -> Callable[..., Any]:
        return lambda params, X, Y: descend(params, gradient(params, X, Y))

    args = (weights((n,) * 4, draw), draw(EXAMPLES, n), draw(EXAMPLES, n, seed=1))
    contenders = {
        "jmc": Contender(step(jmc.grad(ours)), "jmc"),
        "jax.grad": Contender(step(jax.grad(plain))),
    }
    return Case(args, contenders, step(jax.grad(plain)), 16 * EXAMPLES * n * n)


SERIES = {
    "neuron": Series(neuron, (10, 100, 1000), 1000),
    "network": Series(network, (10, 100, 1000), 1000),
    "many neurons": Series(ensemble, (10, 100, 1000), 1000, (10**5,), lambda n: 256 * n),
    "large network": Series(large, (128, 256, 512, 1024), 512, (8192,)),
}
