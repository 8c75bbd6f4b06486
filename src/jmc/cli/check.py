"""`jmc check`: a hand-derived derivative in a file, held to the truth, with the mistake named."""

import argparse
import ast
import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jmc.cli import BAD_USAGE, parse
from jmc.cli.loading import NoFunction, function

EXAMPLE = """\
examples:
  jmc check layer.py:f --vjp layer.py:backward --at "W: (5, 7), x: (7,)"
  jmc check loss.py:loss --grad loss.py:gradient --at "w: (3,), y: [1.0, 0.0, 1.0], k: (4,) int32"
  jmc check package.module:f --at "x: (7,)"            the custom rule that f carries itself

--at says for each argument its shape, with a dtype if it is not float32, or its value. Points are drawn at the shapes.
exit codes: 0 right (or accepted), 1 wrong, 2 bad usage, 3 undecided, 4 right under another convention, 130 interrupted
"""
MODES = ("grad", "jacobian", "hessian", "vjp", "jvp")
CODES = {"equal": 0, "wrong": 1, "undecided": 3, "convention": 4}
ACCEPTED = {
    "denominator": "transposed_layout",
    "kink": "kink_convention",
    "symmetric": "symmetric_argument",
    "log": "log_parameter",
    "conjugate": "conjugate",
}


class _Bad(Exception):  # noqa: N818 - it is caught here, and told in one line
    """What cannot be used, in one line."""


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc check` with the arguments that follow it and returns the exit code."""
    parser = _parser()
    options = parse(parser, arguments)
    accepted = [] if options.accept is None else [name.strip() for name in options.accept.split(",")]
    for name in accepted:
        if name not in ACCEPTED:
            parser.error(f"`--accept` must name {', '.join(ACCEPTED)}, but got {name!r}")
    stated = [mode for mode in MODES if getattr(options, mode) is not None]
    if len(stated) > 1:
        parser.error(f"one of {', '.join('--' + mode for mode in MODES)} names the rule, but got {len(stated)}")
    try:
        described = _described(options.at)
        f = function(options.function)
        rules = {mode: function(getattr(options, mode)) for mode in stated}
        report = _checked(f, described, rules, options)
    except (_Bad, NoFunction) as error:
        print(f"jmc check: {error}", file=sys.stderr)
        return BAD_USAGE
    print(json.dumps(report.as_dict(), ensure_ascii=False) if options.json else report)
    passes = report.verdict == "convention" and {f.kind for f in report.findings} <= {ACCEPTED[n] for n in accepted}
    return 0 if passes else CODES[report.verdict]


def _checked(f: Callable[..., Any], described: list[tuple[str, Any]], rules: dict[str, Any], options: Any) -> Any:
    import jax
    import numpy as np

    from jmc.checking.entry import check

    args = []
    for name, (shape, dtype, value) in described:
        try:
            if value is not None:
                array = np.asarray(value)
                args.append(array.astype(dtype or ("float32" if array.dtype.kind == "f" else array.dtype)))
            else:
                args.append(jax.ShapeDtypeStruct(shape, jax.numpy.dtype(dtype or "float32")))
        except (TypeError, ValueError) as error:
            raise _Bad(f"`--at` must give `{name}` a shape and a dtype, or a value, but got: {error}") from None
    numbers = tuple(options.argnums)
    try:
        return check(f, *args, **rules, argnums=numbers[0] if len(numbers) == 1 else numbers, seed=options.seed)
    except Exception as error:  # of the user's functions, or of what was asked of them
        first = str(error).splitlines()[0] if str(error) else ""
        raise _Bad(f"{options.function}: {type(error).__name__}: {first}") from None


_ARGUMENT = re.compile(r"\s*(?:(\w+)\s*:)?\s*(.+?)\s*", re.DOTALL)
_SHAPE = re.compile(r"(\([\d,\s]*\))\s*(\w+)?")


def _described(text: str) -> list[tuple[str, tuple[Any, str | None, Any]]]:
    """For each argument (name, (shape, dtype, value)); either the shape or the value is None."""
    found = []
    for k, part in enumerate(_parts(text)):
        matched = _ARGUMENT.fullmatch(part)
        if matched is None:
            raise _Bad(f'`--at` must be like "x: (7,), W: (5, 7)", but got {text!r}')
        name, rest = matched[1] or f"argument {k}", matched[2]
        shaped = _SHAPE.fullmatch(rest)
        try:
            value = ast.literal_eval(shaped[1] if shaped else rest)
        except (ValueError, SyntaxError):
            raise _Bad(f"`--at` must give `{name}` a shape like (5, 7) or a value, but got {rest!r}") from None
        if shaped:
            shape = value if isinstance(value, tuple) else (value,)
            found.append((name, (shape, shaped[2], None)))
        else:
            found.append((name, (None, None, value)))
    return found


def _parts(text: str) -> list[str]:
    """The text between the commas that stand in no bracket."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc check",
        description="Is a hand-derived derivative right, and if not, what is the mistake?",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("function", metavar="FILE.py:NAME", help="the function that is differentiated")
    for mode, what in (
        ("grad", "(*args) -> gradient"),
        ("jacobian", "(*args) -> Jacobian"),
        ("hessian", "(*args) -> Hessian"),
        ("vjp", "(args, cotangent) -> a cotangent for each argument"),
        ("jvp", "(args, tangents) -> tangent"),
    ):
        parser.add_argument(f"--{mode}", metavar="FILE.py:NAME", help=f"the rule: {what}")
    parser.add_argument("--at", metavar="ARGUMENTS", required=True, help='"x: (7,), W: (5, 7)"')
    parser.add_argument("--argnums", metavar="N", type=int, nargs="+", default=[0], help="what grad differentiates")
    parser.add_argument("--accept", metavar="NAMES", help=f"conventions that pass: {','.join(ACCEPTED)}")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="what drawn points depend on")
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    return parser
