"""`jmc report`: runs compared in one page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jmc.cli import BAD_USAGE, STORAGE_FAILED, parse

EXAMPLE = """\
examples:
  jmc report runs/first runs/second
  jmc report runs --output sweep.html    all runs in a folder

The page holds everything it shows: loss curves together, final metrics, and the keys that the configs differ in.
Its path goes to standard output. A single run has its own report.html already.
exit codes: 0 done, 2 bad usage or no run there, 6 the page cannot be written
"""


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc report` with the arguments that follow it and returns the exit code."""
    options = parse(_parser(), arguments)

    from jmc.train.persistence.runs import find, read

    if options.output.is_dir():
        print(f"jmc report: `--output` must be a file, but got the folder {options.output}", file=sys.stderr)
        return BAD_USAGE
    found: list[Path] = []
    for folder in options.runs:
        try:
            directories = find(folder)
            reason = "has none"
        except OSError as error:
            directories, reason = [], f"cannot be read: {error.strerror}"
        if not directories:
            what = f"`RUN` must be a run's directory or a folder of some, but {folder} {reason}"
            print(f"jmc report: {what}", file=sys.stderr)
            return BAD_USAGE
        found += directories

    from jmc.train.persistence.storage import write_file
    from jmc.train.report.comparison import render

    page = render([read(directory) for directory in dict.fromkeys(found)])
    try:
        write_file(options.output, lambda sink: sink.write(page.encode()))
    except OSError as error:
        print(f"jmc report: {options.output}: cannot be written: {error.strerror}", file=sys.stderr)
        return STORAGE_FAILED
    print(options.output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc report",
        description="Compare runs in one self-contained HTML page.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="a run's directory, or a folder of runs")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=Path,
        default=Path("comparison.html"),
        help="where the page goes, in place of what is there (default: comparison.html)",
    )
    return parser
