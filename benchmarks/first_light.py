"""Time per training step: one compiled scan, the same jitted step from a Python loop, and NumPy by hand.

    python benchmarks/first_light.py [--json FILE] [--rounds 30]

Every contender takes 1000 steps from the same start with the same batches; they are first checked to arrive at the
same parameters. The process restarts itself with one thread and the malloc settings of `jmc.bench.timing`.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jmc.bench.timing import Comparison, compare, compile_seconds, pin_process, pinned_environment

STEPS = 1000
CONFIGS = Path(__file__).parents[1] / "configs"
CASES = {"neuron": ["train.batch_size=32"], "mlp_digits": []}


def contenders(name: str, overrides: list[str]) -> dict[str, Callable[[], Any]]:
    import jax
    import jax.numpy as jnp

    from jmc.train.config.loading import load
    from jmc.train.data.loading import load as load_data
    from jmc.train.learning import optimizer
    from jmc.train.learning.evaluation import Evaluator
    from jmc.train.learning.loop import Batches, State, make_chunk
    from jmc.train.learning.model import initial, objective
    from jmc.train.learning.problem import bind

    config = load(CONFIGS / f"{name}.toml", overrides)
    problem = bind(config, load_data(config.data, Path()))
    X, y = Evaluator(problem).arrays(problem.data.X_train, problem.data.y_train)
    updates, rate = optimizer.build(config.optimizer), optimizer.schedule(config.optimizer, problem.steps)
    batches = Batches(jax.random.key(0), problem.examples, problem.batch_size)
    params = initial(problem)
    start = State(params, updates.init(params), jnp.asarray(True))
    zero, stop = jnp.int32(0), jnp.int32(STEPS)

    def compiled(gradient: str, length: int) -> Callable[..., Any]:
        chunk = jax.jit(make_chunk(objective(problem), updates, rate, gradient, batches, length), donate_argnums=0)
        return compile_seconds(chunk, start, zero, stop, X, y)[0]

    def scan(gradient: str) -> Callable[[], Any]:
        chunk = compiled(gradient, STEPS)
        return lambda: chunk(jax.tree.map(jnp.copy, start), zero, stop, X, y)[0].params

    step = compiled("closed_form", 1)
    counts = [jnp.int32(i) for i in range(STEPS)]

    def python_loop() -> Any:
        state = jax.tree.map(jnp.copy, start)
        for i in counts:
            state = step(state, i, stop, X, y)[0]
        return state.params

    found = {"scan": scan("closed_form"), "scan, autodiff": scan("autodiff"), "Python loop": python_loop}
    if name == "neuron":
        rows = batches.indices(jnp.arange(STEPS, dtype=jnp.int32))
        found["NumPy by hand"] = numpy_neuron(params, X, y, rows, config.optimizer.learning_rate)
    return found


def numpy_neuron(params: Any, X: Any, y: Any, rows: Any, rate: float) -> Callable[[], Any]:
    """Stochastic gradient descent on one neuron as one writes it in NumPy, the batches already drawn."""
    import numpy as np

    w0, b0, X, y, rows = (np.asarray(array) for array in (params["w"], params["b"], X, y, rows))
    scale = np.float32(2 * rate / rows.shape[1])

    def train() -> dict[str, Any]:
        w, b = w0.copy(), b0
        for batch in rows:
            x = X[batch]
            a = np.maximum(x @ w + b, 0)
            error = np.where(a > 0, a - y[batch], 0)
            w = w - scale * (error @ x)
            b = b - scale * error.sum()
        return {"w": w, "b": b}

    return train


def check(found: dict[str, Callable[[], Any]]) -> None:
    """Every contender arrives where the scan does. Raises AssertionError."""
    import numpy as np

    reference = found["scan"]()
    for contender in found.values():
        for name, value in contender().items():
            np.testing.assert_allclose(value, reference[name], rtol=2e-3, atol=2e-3)


def measure(rounds: int) -> dict[str, Comparison]:
    measured = {}
    for name, overrides in CASES.items():
        found = contenders(name, overrides)
        check(found)
        measured[name] = compare(found, rounds=rounds)
        print(f"{name} {' '.join(overrides)}: {STEPS} steps\n{measured[name]}\n", flush=True)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    pin_process(threads=1)
    measured = measure(options.rounds)
    if options.json:
        import jax

        record = {
            "steps": STEPS,
            "cases": {name: comparison.to_dict() for name, comparison in measured.items()},
            "overrides": CASES,
            "environment": pinned_environment(1),
            "device": str(jax.devices()[0]),
            "machine": platform.machine(),
            "versions": {"jax": jax.__version__, "python": platform.python_version()},
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
