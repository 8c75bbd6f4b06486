"""Derivations as one self-contained page: formulas in MathML, the steps, the code, the certificates."""

from typing import TYPE_CHECKING, Any

from jmc.page.template import filled
from jmc.symbolic.style import LATEX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jmc.symbolic.derivation import Derivation

LEDE = (
    "Derived from the code of the functions. A formula stands here only if its own code agreed with automatic "
    "differentiation and with differences, at random points of two sets of sizes."
)


def page(title: str, derivations: "Iterable[tuple[str, str, Derivation]]", lede: str = LEDE) -> str:
    """The page of derivations, each with a title and a remark, which may be empty."""
    sections = [_section(name, remark, derivation) for name, remark, derivation in derivations]
    return filled("jmc.symbolic", "derivations.html.j2", title=title, lede=lede, sections=sections)


def _section(title: str, remark: str, derivation: "Derivation") -> dict[str, Any]:
    rows, chain, checked = [], "", ""
    if derivation.order == 1 and len(derivation.steps.steps) > 1:
        steps = derivation.steps
        rows = [
            {
                "value": mathml(f"{name} = {value}"),
                "partials": [mathml(f"{left} = {right}") for left, right in partials],
                "rule": rule,
            }
            for name, value, partials, rule in steps.rows(LATEX)
        ]
        chain = mathml(" = ".join(steps.chain(LATEX)), block=True)
        checked = f"; steps against AD: largest error {steps.max_error:.1g}"
    return {
        "title": title,
        "remark": remark,
        "primal": mathml(f"{LATEX.name(derivation.f)} = {derivation.primal_latex}", block=True)
        if derivation.primal_latex
        else "",
        "formula": mathml(derivation.equation_latex, block=True),
        "where": [mathml(part) for part in derivation.where_latex],
        "conditions": derivation.conditions,
        "rows": rows,
        "chain": chain,
        "python": derivation.python,
        "certificate": str(derivation.certificate),
        "checked": checked,
    }


def mathml(latex: str, block: bool = False) -> Any:
    """Presentation MathML, marked as such for a template."""
    from latex2mathml.converter import convert
    from markupsafe import Markup

    return Markup(convert(latex, display="block" if block else "inline"))
