"""Training from a memory-mapped file against training from memory: steps per second, and the memory of the process.

A file of the size asked is made in a temporary folder, and deleted. Then a network is trained on it in turns, each in a
process of its own: by `jmc train`, streamed, and by the same loop over all the training rows in memory. Either takes
the same steps; what is compared is the time spent in them, which for the stream includes waiting for examples. The
memory is the most that the process ever held (VmHWM), the mapped pages among it.

    python benchmarks/streaming.py --megabytes 2048 --json streaming.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FEATURES = 64
CONFIG = """
[data]
path = "X.npy"
target_path = "y.npy"
validation_fraction = 0.1
[model]
kind = "network"
widths = [{width}]
[loss]
kind = "mean_squared_error"
[optimizer]
kind = "adam"
learning_rate = 0.001
[train]
steps = {steps}
batch_size = {batch}
log_every = {steps}
"""


def make(folder: Path, megabytes: int) -> int:
    """X.npy and y.npy, row by row of a known function and noise, written in pieces; returns the number of rows."""
    import numpy as np

    rows, rng = megabytes * 2**20 // (4 * FEATURES), np.random.default_rng(0)
    weights = rng.normal(size=FEATURES).astype(np.float32)
    with (folder / "X.npy").open("wb") as X_file, (folder / "y.npy").open("wb") as y_file:
        for file, shape in ((X_file, (rows, FEATURES)), (y_file, (rows,))):
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, rows, 2**16):
            X = rng.standard_normal((min(2**16, rows - first), FEATURES), np.float32)
            noise = rng.standard_normal(len(X), np.float32)
            X_file.write(X.tobytes())
            y_file.write((np.tanh(X @ weights) + np.float32(0.1) * noise).astype(np.float32).tobytes())
    return rows


def streamed(config: Path) -> float:
    """Seconds per step of `jmc train`."""
    from contextlib import redirect_stdout
    from io import StringIO

    from jmc.cli import main

    out = StringIO()
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(out):
        code = main(["train", str(config), "--run-dir", folder + "/run", "--json", "--quiet"])
    if code:
        raise SystemExit(code)
    return json.loads(out.getvalue())["timings"]["microseconds_per_step"] * 1e-6


def in_memory(config: Path) -> float:
    """Seconds per step of the same training, all rows in an array."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jmc.train.config.loading import load
    from jmc.train.data.loading import load as load_data
    from jmc.train.learning.loop import Batches, Progress, train
    from jmc.train.learning.model import initial, objective
    from jmc.train.learning.optimizer import build, schedule
    from jmc.train.learning.problem import bind

    loaded = load(config)
    problem = bind(loaded, load_data(loaded.data, Path()))
    stream = problem.data.stream
    assert stream is not None
    X = np.empty((problem.examples, FEATURES), np.float32)
    y, done = np.empty(problem.examples, np.float32), 0
    for features, targets in stream.in_order(held_out=False):
        X[done : done + len(features)], y[done : done + len(features)] = features, targets
        done += len(features)
    arrays, params, optimizer = (jnp.asarray(X), jnp.asarray(y)), initial(problem), build(loaded.optimizer)
    outcome = train(
        objective(problem),
        optimizer,
        schedule(loaded.optimizer, problem.steps),
        loaded.train.gradient,
        Batches(jax.random.key(0), problem.examples, problem.batch_size),
        Progress(0, params, optimizer.init(params)),
        lambda *_: arrays,
        steps=problem.steps,
        length=problem.chunk,
        looks=[problem.row_steps],
        training_loss=lambda _: 0.0,
        on_look=lambda _: False,
    )
    return outcome.run_seconds / outcome.steps


def peak_bytes() -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def contender(name: str, config: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--contender", name, "--config", str(config)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        rows = make(folder, options.megabytes)
        config = folder / "streaming.toml"
        config.write_text(CONFIG.format(width=options.width, steps=options.steps, batch=options.batch))
        found: dict[str, list[dict[str, Any]]] = {"streamed": [], "in_memory": []}
        for _ in range(options.rounds):
            for contestant, results in found.items():
                results.append(contender(contestant, config))
        size = (folder / "X.npy").stat().st_size
    seconds = {name: [result["seconds_per_step"] for result in results] for name, results in found.items()}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "file_bytes": size,
        "rows": rows,
        "features": FEATURES,
        "width": options.width,
        "batch": options.batch,
        "steps": options.steps,
        "rounds": options.rounds,
        "seconds_per_step": seconds,
        "streamed_throughput_ratio": medians["in_memory"] / medians["streamed"],
        "peak_bytes": {name: max(result["peak_bytes"] for result in results) for name, results in found.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2048, help="size of the file of features")
    parser.add_argument("--width", type=int, default=256, help="hidden units of the network")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the temporary folder goes (default: the system's)")
    parser.add_argument("--json", type=Path, help="write what was measured to this file, too")
    parser.add_argument("--contender", choices=["streamed", "in_memory"], help=argparse.SUPPRESS)
    parser.add_argument("--config", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        seconds = {"streamed": streamed, "in_memory": in_memory}[options.contender](options.config)
        print(json.dumps({"seconds_per_step": seconds, "peak_bytes": peak_bytes()}))
        return
    text = json.dumps(measure(options), indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
