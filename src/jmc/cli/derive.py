"""`jmc derive`: the derivative of an expression or of a function in a file, as a formula that is certified."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmc.cli import BAD_USAGE, parse
from jmc.cli.loading import NoFunction, function

EXAMPLE = """\
examples:
  jmc derive "sum((A @ x - b)**2)" "A: m, n" "x: n" "b: m" --wrt x
  jmc derive "x @ A @ x" "x: n" "A: n, n symmetric" --order 2
  jmc derive "-sum(y * log_softmax(W @ x))" "W: k, n" "x: n" "y: k one-hot" --wrt W --python
  jmc derive "sum((x[1:] - x[:-1])**2)" "x: n"
  jmc derive layer.py:loss "w: d" "X: N, d" "y: N" --steps
  jmc derive --article --html article.html

Shapes are symbols or whole numbers; a scalar has none ("b:"). After a shape, facts: symmetric, spd, orthogonal,
diagonal, one-hot, positive, invertible, integer. The formula is printed only if it was certified: its code is compared
with automatic differentiation and with differences at random points of two sets of sizes. Of a scalar function it is
the gradient, of the shape of the argument; --layout numerator gives the row. What cannot be written, like a loop, is a
function with a name, and its line is said.
exit codes: 0 done, 1 the formula could not be certified, 2 bad usage, 3 there is no formula, 130 interrupted
"""
NOT_CERTIFIED, NO_FORMULA = 1, 3


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc derive` with the arguments that follow it and returns the exit code."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.order < 1:
        parser.error(f"`--order` must be at least 1, but got {options.order}")
    if options.article:
        return _article(options.html)
    if options.function is None:
        parser.error("an expression or a function is required")
    shapes: dict[str, str] = {}
    for described in options.shapes:
        name, colon, shape = described.partition(":")
        name = name.strip()
        if not colon or not name.replace(".", "_").isidentifier():
            parser.error(f'a shape must be like "A: m, n", but got {described!r}')
        if name in shapes:
            parser.error(f"`{name}` must have one shape, but got two")
        shapes[name] = shape

    from jmc.symbolic.certificate import NotCertified
    from jmc.symbolic.derivative import NoFormula
    from jmc.symbolic.deriving import derive
    from jmc.symbolic.expression import BadExpression, Expression
    from jmc.symbolic.inputs import inputs
    from jmc.symbolic.page import page

    try:
        f = _function(options.function, shapes)
        nested = _nested(shapes)
        if isinstance(f, Expression):
            f.symbols = {size: symbol for symbol, size in inputs(f, (), nested).sizes.at(0).items()}
        found = derive(f, options.wrt, options.order, layout=options.layout, notation=options.notation)(**nested)
    except NotCertified as refusal:
        print(f"jmc derive: not certified: {refusal}", file=sys.stderr)
        return NOT_CERTIFIED
    except NoFormula as refusal:
        print(f"jmc derive: {refusal}", file=sys.stderr)
        return NO_FORMULA
    except (NoFunction, BadExpression, TypeError, ValueError) as error:
        print(f"jmc derive: {error}", file=sys.stderr)
        return BAD_USAGE
    derivations = _leaves(found)
    if options.html:
        title = options.function
        whole = page(title, [(title if len(derivations) == 1 else d.left, "", d) for d in derivations])
        Path(options.html).write_text(whole, encoding="utf-8")
        print(options.html)
    elif options.json:
        data = [d.as_dict() for d in derivations]
        print(json.dumps(data if len(data) > 1 else data[0], ensure_ascii=False))
    else:
        for derivation in derivations:
            print(_shown(derivation, options), end="")
    return 0


def _leaves(found: Any) -> list[Any]:
    """The derivations in a nest of them."""
    if isinstance(found, dict):
        found = list(found.values())
    return [leaf for inner in found for leaf in _leaves(inner)] if isinstance(found, (list, tuple)) else [found]


def _shown(derivation: Any, options: argparse.Namespace) -> str:
    if options.python or options.numpy:
        return derivation.python if options.python else derivation.numpy
    if options.steps:
        return f"{derivation.steps.text}\n"
    return f"{derivation.latex}\n" if options.latex else f"{derivation.text}\n  {derivation.certificate}\n"


def _article(html: str | None) -> int:
    """The article's examples, as a page or one below the other."""
    from jmc.symbolic.article import TITLE, derivations
    from jmc.symbolic.page import page

    found = derivations()
    if html is not None:
        Path(html).write_text(page(TITLE, found), encoding="utf-8")
        print(html)
        return 0
    for title, _, derivation in found:
        print(f"{title}\n  " + derivation.text.replace("\n", "\n  "))
    return 0


def _function(place: str, shapes: dict[str, str]) -> Any:
    """The function that is named, or the expression as a function of what has a shape."""
    from jmc.symbolic.expression import Expression

    source, colon, name = place.rpartition(":")
    if colon and name.isidentifier() and (source.endswith(".py") or source.replace(".", "_").isidentifier()):
        return function(place)
    return Expression(place, list(shapes))


def _nested(shapes: dict[str, str]) -> dict[str, Any]:
    """``params.W1`` as an entry of the dictionary ``params``."""
    found: dict[str, Any] = {}
    for name, shape in shapes.items():
        *outer, last = name.split(".")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = shape
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc derive",
        description="The derivative of a function as a formula, as code, and with a certificate that it is right.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--article", action="store_true", help="derive every example of the article; with --html, as a page"
    )
    parser.add_argument(
        "function", metavar="EXPRESSION", nargs="?", help="in the notation of NumPy, or FILE.py:NAME, MODULE:NAME"
    )
    parser.add_argument("shapes", metavar="SHAPE", nargs="*", help='of each argument, "A: m, n" and facts')
    parser.add_argument("--wrt", metavar="NAME", help="the argument; the first one if left out")
    parser.add_argument("--order", metavar="N", type=int, default=1, help="of the derivative")
    parser.add_argument(
        "--layout",
        choices=("numerator", "denominator", "gradient"),
        help="of the table; gradient for a scalar function, numerator for others, if left out",
    )
    parser.add_argument("--notation", choices=("matrix", "index"), help="matrices where possible, if left out")
    parser.add_argument("--latex", action="store_true", help="print LaTeX")
    parser.add_argument("--python", action="store_true", help="print a function for JAX")
    parser.add_argument("--numpy", action="store_true", help="print a function for NumPy")
    parser.add_argument(
        "--steps", action="store_true", help="print the derivation: variables, local Jacobians, chain rule"
    )
    parser.add_argument("--html", metavar="FILE", help="write a self-contained page with all of it")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser
