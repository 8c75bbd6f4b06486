"""Runs of `jmc.train.run` that are begun, resumed and compared."""

import json

from jmc.train.run import run

SECONDS = ("seconds", "steps_per_second")


def begin(config, directory):
    """The exit code of a new run."""
    return run(config, run_dir=directory, dry_run=False, as_json=False, quiet=True)


def go_on(config, directory):
    """The exit code of the run in the directory, resumed."""
    return run(config, run_dir=directory, resumed=True, dry_run=False, as_json=False, quiet=True)


def come_of(directory):
    """What a run arrives at: the hash of its parameters, and its rows but for what its time was."""
    result = json.loads((directory / "result.json").read_text())
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    rows = [{key: value for key, value in json.loads(line).items() if key not in SECONDS} for line in lines]
    return result["params_sha256"], rows


def left_over(directory):
    return sorted(path.name for path in directory.rglob("*") if path.name.endswith(".tmp"))
