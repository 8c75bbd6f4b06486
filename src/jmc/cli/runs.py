"""`jmc runs`: the runs in a folder, how far each has come, and with what figures."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from jmc.cli import BAD_USAGE, parse
from jmc.cli.console import console

if TYPE_CHECKING:
    from jmc.train.persistence.runs import Run

EXAMPLE = """\
examples:
  jmc runs                              all that is in runs/
  jmc runs sweeps --sort validation_r2  the best first
  jmc runs --json                       for programs

A run is a folder that `jmc train` made; those below are found too. One that is not finished, or has a file that
cannot be read, is listed as such.
exit codes: 0 done, 2 bad usage or no such folder
"""


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc runs` with the arguments that follow it and returns the exit code."""
    options = parse(_parser(), arguments)

    from jmc.train.persistence.record import to_json
    from jmc.train.persistence.runs import find, ordered, read, sort_keys

    try:
        found = [read(directory) for directory in find(options.folder)]
    except OSError as error:
        print(f"jmc runs: {error.filename}: {error.strerror}", file=sys.stderr)
        return BAD_USAGE
    if options.sort is not None:
        keys = sort_keys(found)
        if options.sort not in keys:
            guess = next(iter(get_close_matches(options.sort, keys, 1)), None)
            hint = f"; did you mean {guess}?" if guess else ""
            what = f"`--sort` must be among {', '.join(keys)}, but got {options.sort}{hint}"
            print(f"jmc runs: {what}", file=sys.stderr)
            return BAD_USAGE
        found = ordered(found, options.sort)
    if options.json:
        print(to_json([run.summary() for run in found]))
    elif found:
        _show(found, options.folder)
    else:
        print(f"jmc runs: there is no run in {options.folder}", file=sys.stderr)
    return 0


def _show(runs: "Sequence[Run]", folder: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from jmc.page.formatting import clean, duration, number

    names = [*dict.fromkeys(name for run in runs for name in run.metrics)]
    shown = [name for name in names if name.startswith("validation_") or name == "train_loss"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "status"):
        table.add_column(title, overflow="fold")
    for title in ("steps", *shown, "time in steps"):
        table.add_column(title.replace("_", " "), justify="right")
    for run in runs:
        name = run.directory.relative_to(folder) if run.directory != folder else run.directory
        status = "; ".join([run.status, *run.faults])
        figures = (run.steps, *(run.metrics.get(name) for name in shown))
        cells = [clean(str(name)), clean(status), *map(number, figures), duration(run.seconds)]
        table.add_row(*(Text(cell, style="" if run.status == "done" else "yellow") for cell in cells))
    console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc runs",
        description="List runs with their status, steps, final metrics and time.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument("--sort", metavar="METRIC", help="the best by this first, as validation_loss or steps")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    return parser
