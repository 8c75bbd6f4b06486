"""`jmc train`: from the command line to a checked config, and on to the run."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from jmc.cli import BAD_USAGE, parse

EXAMPLE = """\
example:
  jmc train configs/neuron.toml --set optimizer.learning_rate=0.05 --set train.steps=2000
  jmc train --resume runs/neuron-20260301-120000

A run saves its state every checkpoint.every_seconds (and checkpoint.every_steps), at its end, and when SIGINT (Ctrl-C)
or SIGTERM interrupts it; a second signal ends it at once. --resume goes on where it was left and arrives at the same
bits as a run without a break. train.steps, train.log_every, [checkpoint] and [log] may be --set anew for it.

A config has the tables [data], [model], [loss], [optimizer], [train], [checkpoint] and [log]; configs/
has examples. With train.patience it stops early and keeps the best parameters, not the last. A .npy or .parquet file is
read while it is trained on. `jmc runs` lists runs, `jmc report` compares them.
Progress and messages go to standard error, results to standard output.
exit codes: 0 done, 2 bad usage, config or data, 3 the run directory is in use, 5 diverged, 6 storage failed,
130 and 143 interrupted
"""


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc train` with the arguments that follow it and returns the exit code."""
    parser = _parser()
    options = parse(parser, arguments)
    if (options.config is None) == (options.resume is None):
        parser.error("one of CONFIG.toml and --resume RUN_DIR is required" + (", not both" if options.config else ""))
    if options.resume and options.run_dir:
        parser.error("argument --run-dir: not allowed with argument --resume")

    # Here, not above: neither help nor a bad command line waits for pydantic.
    from jmc.train.config.loading import ConfigError, load, to_dict, to_toml

    try:
        config = load(options.resume / "config.toml" if options.resume else options.config, options.set)
    except ConfigError as error:
        print(error, file=sys.stderr)
        if options.json:
            print(json.dumps({"errors": error.lines}))
        return BAD_USAGE
    if options.print_config:
        print(json.dumps(to_dict(config)) if options.json else to_toml(config), end="\n" if options.json else "")
        return 0

    from jmc.train.run import run as run_training

    return run_training(
        config,
        run_dir=options.resume or options.run_dir,
        resumed=bool(options.resume),
        dry_run=options.dry_run,
        as_json=options.json,
        quiet=options.quiet,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc train",
        description="Train a neuron, a layer or a network as a TOML file says; all of it is checked first.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("config", metavar="CONFIG.toml", nargs="?", help="the config")
    parser.add_argument("--resume", metavar="RUN_DIR", type=Path, help="go on with the run in this directory")
    parser.add_argument(
        "--set",
        metavar="TABLE.KEY=VALUE",
        action="append",
        default=[],
        help="put this value in place of the config's; may be repeated, the later one wins. "
        "VALUE is read as TOML, and text that is not TOML is a string",
    )
    parser.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        help="where the run keeps its files (default: runs/CONFIG-TIME)",
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--print-config", action="store_true", help="print the config, defaults and all, and stop")
    instead.add_argument("--dry-run", action="store_true", help="print shapes, sizes and costs, and stop")
    parser.add_argument("--json", action="store_true", help="write the result, or a config's errors, as JSON")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    return parser
