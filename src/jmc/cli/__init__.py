"""The command `jmc`: finds the sub-command, loads it alone, and turns how it ended into an exit code."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper

# Each is a module here with `run(arguments) -> int`; its summary stands here so that help need not load it.
COMMANDS = {
    "bench": "measure derivatives and training against everyone else",
    "check": "hold a hand-derived derivative to the truth, and name the mistake",
    "derive": "write the derivative of a function as a formula, certified",
    "report": "compare runs in one page",
    "rules": "show, search and prove the rules of the catalogue",
    "runs": "list runs with their status and final metrics",
    "train": "train a neuron, a layer or a network as a TOML file says",
}
BAD_USAGE, STORAGE_FAILED, INTERRUPTED, READER_GONE = 2, 6, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `jmc` with the arguments, those of the process by default, and returns its exit code.

    0 done · 1 a check failed · 2 bad usage, config or data · 3 undecided, or the run directory is in use ·
    4 another convention · 5 diverged · 6 storage failed · 130 and 143 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # its encoding may lack a character, which then shows as a code
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _dispatch(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("jmc: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return READER_GONE
    except OSError as error:
        _discard_output()
        print(f"jmc: {error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        return STORAGE_FAILED


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Like `parser.parse_args`, but an unknown option is answered with the one that was probably meant."""
    namespace, rest = parser.parse_known_args(arguments)
    if rest:
        options = re.findall(r"--[\w-]+", parser.format_usage())
        unknown = rest[0]
        guess = next(iter(get_close_matches(unknown.partition("=")[0], options, 1)), None)
        hint = f"; did you mean {guess}?" if guess else ""
        if not unknown.startswith("-") and "--set" in options and "=" in unknown:
            hint = f"; did you mean --set {unknown}?"
        parser.error(f"unknown argument {unknown}{hint}")
    return namespace


def _dispatch(arguments: list[str]) -> int:
    parser = _parser()
    try:
        if not arguments:
            parser.error(f"a command is required: {', '.join(COMMANDS)}")
        name, *rest = arguments
        if name.startswith("-"):
            parse(parser, arguments)
            parser.error(f"a command is required: {', '.join(COMMANDS)}")
        if name not in COMMANDS:
            guess = next(iter(get_close_matches(name.casefold(), COMMANDS, 1)), None)
            hint = f"; did you mean `{guess}`?" if guess else ""
            parser.error(f"unknown command `{name}`{hint} (allowed: {', '.join(COMMANDS)})")
        return import_module(f"jmc.cli.{name}").run(rest)
    except SystemExit as stop:  # argparse has said what there is to say
        return stop.code if isinstance(stop.code, int) else 0


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    summaries = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="jmc",
        usage="jmc [--help] [--version] COMMAND ...",
        description="Matrix calculus in JAX: derivatives in closed form, proved against autodiff.",
        epilog=f"commands:\n{summaries}\n\n`jmc COMMAND --help` tells all about a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"jmc {version('jmc')}")
        parser.exit()


def _discard_output() -> None:
    """Lets Python's own last flush of standard output succeed."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
