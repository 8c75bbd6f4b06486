"""Training that is killed again and again, and what saving it costs.

    python benchmarks/faults.py --kills 30 [--seed 0] [--json FILE]
    python benchmarks/faults.py --cost [--rounds 9] [--json FILE]

`--kills`: the network of configs/mlp_digits.toml is trained in a process of its own, which is killed (SIGKILL) at a
random moment and the run resumed, until it comes to its end; then another run, until so often was killed. Every run
must arrive at the parameters and the rows of metrics of the run that was left alone.

`--cost`: the same network with a checkpoint every second and with none, in turns; what counts is the time of the whole
training loop, but for its compilation.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[1] / "configs" / "mlp_digits.toml"
SECONDS = ("seconds", "steps_per_second")
MAIN = "import sys; from jmc.cli import main; sys.exit(main())"


def train(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAIN, "train", *arguments, "--quiet", "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def come_of(directory: Path) -> tuple[str, list[dict[str, Any]]]:
    """The hash of the parameters, and the rows but for what tells the time."""
    result = json.loads((directory / "result.json").read_text())
    rows = map(json.loads, (directory / "metrics.jsonl").read_text().splitlines())
    return result["params_sha256"], [{key: row[key] for key in row if key not in SECONDS} for row in rows]


def ended(process: subprocess.Popen[str]) -> None:
    """Waits for a run that is left alone. Raises RuntimeError where it fails."""
    _, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {err}")


def killed(directory: Path, arguments: list[str], longest: float, draw: random.Random) -> bool:
    """Begins or resumes the run, and kills it after a random time; whether it was still running then."""
    there = (directory / "config.toml").exists()
    process = train("--resume", str(directory)) if there else train(*arguments, "--run-dir", str(directory))
    try:
        process.wait(draw.uniform(0, longest))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    ended(process)
    return False


def kill(kills: int, steps: int, seed: int, config: Path = CONFIG) -> Iterator[dict[str, Any]]:
    """Runs that are killed until that happened ``kills`` times, one record each. Raises AssertionError for another
    outcome than that of the run that is left alone.
    """
    draw = random.Random(seed)
    arguments = [str(config), f"--set=train.steps={steps}", "--set=checkpoint.every_seconds=0.05"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        ended(train(*arguments, "--run-dir", f"{folder}/whole"))
        longest = time.perf_counter() - began
        whole = come_of(Path(folder, "whole"))
        left, run = kills, 0
        while left:
            directory, run, so_often = Path(folder, f"run-{run}"), run + 1, 0
            while left and killed(directory, arguments, longest, draw):
                left, so_often = left - 1, so_often + 1
            if not (directory / "result.json").exists() or not (directory / "report.html").exists():
                there = (directory / "config.toml").exists()
                ended(train("--resume", str(directory)) if there else train(*arguments, "--run-dir", str(directory)))
            assert come_of(directory) == whole, f"{directory} arrived elsewhere"
            yield {"run": run, "kills": so_often, "params_sha256": whole[0], "rows": len(whole[1])}


def loop_seconds(config: Any, directory: Path) -> float:
    """The time of the training loop of one run, without its compilation."""
    from jmc.train import fit
    from jmc.train.run import run

    real, taken = fit.train, []

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        outcome = real(*arguments, **options)
        taken.append(time.perf_counter() - began - outcome.compile_seconds)
        return outcome

    fit.train = timed
    try:
        if run(config, run_dir=directory, dry_run=False, as_json=False, quiet=True):
            raise RuntimeError("the run failed")
    finally:
        fit.train = real
    return taken[0]


def cost(rounds: int, steps: int) -> dict[str, Any]:
    """The ratios of the times with and without a checkpoint every second, by round."""
    from jmc.train.config.loading import load

    configs = {
        every: load(CONFIG, [f"train.steps={steps}", f"checkpoint.every_seconds={every}", "checkpoint.keep=1000"])
        for every in (0, 1)
    }
    times: dict[int, list[float]] = {0: [], 1: []}
    saves = []
    with tempfile.TemporaryDirectory() as folder:
        for at in range(rounds):
            for every in (0, 1) if at % 2 else (1, 0):
                directory = Path(folder, f"{every}-{at}")
                times[every].append(loop_seconds(configs[every], directory))
                if every:
                    saves.append(len([*(directory / "checkpoints").iterdir()]))
    ratios = sorted(saved / unsaved for saved, unsaved in zip(times[1], times[0], strict=True))
    return {
        "steps": steps,
        "seconds": {"unsaved": times[0], "saved": times[1]},
        "saves": saves,
        "ratio": {"median": statistics.median(ratios), "low": ratios[0], "high": ratios[-1]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="how often to kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--cost", action="store_true", help="what a checkpoint every second costs")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, help="of each run (default: 100,000 to be killed, 200,000 for the cost)")
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    options = parser.parse_args()
    record: dict[str, Any] = {}
    if options.kills:
        record["kills"] = []
        for row in kill(options.kills, options.steps or 100_000, options.seed):
            print(
                f"run {row['run']}: killed {row['kills']} times, the same {row['rows']} rows and parameters", flush=True
            )
            record["kills"].append(row)
    if options.cost:
        record["cost"] = cost(options.rounds, options.steps or 200_000)
        ratio, saves = record["cost"]["ratio"], record["cost"]["saves"]
        print(f"{ratio['median']:.4f} [{ratio['low']:.4f}, {ratio['high']:.4f}] × the time without, at {saves} saves")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
