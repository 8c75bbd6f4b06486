"""One rule on a page: what it takes, its code, where it comes from, and how to use it."""

import json
import textwrap
from typing import TYPE_CHECKING, Any

from jmc.cli.console import console

if TYPE_CHECKING:
    from jmc.catalogue.record import Rule

BESIDES = ("name", "key", "family", "formula", "latex", "layout", "code")  # what the page does not list among the facts
SEPARATORS = {"derivatives": "\n", "with": "\n"}


def as_dict(rule: "Rule", layout: str = "numerator") -> dict[str, Any]:
    """What `show` shows."""
    from jmc.catalogue.code import decorated, imported, place
    from jmc.catalogue.registry import rules
    from jmc.catalogue.shapes import shown, value_axes

    outs = value_axes(rule)
    text, latex = _formula(rule)
    return {
        "name": rule.name,
        "key": _key(rule),
        "ids": rules.ids_of(rule),
        "family": rule.family,
        "arguments": [str(parameter) for parameter in rule.parameters],
        "options": [f"{name} = {option}" for name, option in rule.options.items()],
        "value": [shown(out) for out in outs],
        "derivatives": _derivatives(rule, outs, layout),
        "layout": layout,
        "formula": text,
        "latex": latex,
        "conditions": rule.conditions,
        "kinks": rule.kinks,
        "source": rule.source,
        "erratum": rule.erratum,
        "with": [f"{name}: {line}" for name, line in imported(rule).items()],
        "code": decorated(rule),
        "place": place(rule),
    }


def _key(rule: "Rule") -> str:
    """By which the registry has it: a name like a function's, else an id."""
    from jmc.catalogue.registry import rules

    return rule.name if rules[rule.name] is rule and (rule.name.isidentifier() or not rule.ids) else rule.ids[0]


def _formula(rule: "Rule") -> tuple[str, str]:
    """What its code computes in Unicode and in LaTeX, or why that has no formula."""
    from jmc.symbolic.catalogue import formula
    from jmc.symbolic.derivative import NoFormula

    try:
        found = formula(rule)
    except NoFormula as refusal:
        return f"no formula: {refusal}", ""
    return found.text, found.latex


def _derivatives(rule: "Rule", outs: list[tuple[str, ...]], layout: str) -> list[dict[str, str]]:
    """Of each output by each argument: its shape, its size as a table, its structure at sizes that are primes."""
    import jax

    from jmc.catalogue.shapes import shown, table

    args = rule.sample(0)
    found = []
    for k in rule.argnums:
        x = rule.parameters[k]
        maps = jax.eval_shape(lambda *args, k=k: rule.map(k, *args), *args)
        for j, (J, out) in enumerate(zip(maps if isinstance(maps, tuple) else (maps,), outs, strict=True)):
            f = f"f[{j}]" if len(outs) > 1 else "f"
            found.append(
                {
                    "of": f"∂{f}/∂{x.name}",
                    "shape": shown((*out, *x.axes)),
                    "table": table(out, x.axes, layout),
                    "structure": J.structure,
                }
            )
    return found


def show(rule: "Rule", layout: str = "numerator") -> None:
    """Print the page."""
    from rich.syntax import Syntax
    from rich.table import Table

    page = as_dict(rule, layout)
    out = console()
    facts = Table.grid(padding=(0, 2))
    for name in (fact for fact in page if fact not in BESIDES):
        lines = page[name] if isinstance(page[name], list) else [page[name]]
        texts = [_derivative(line, layout) if isinstance(line, dict) else line for line in lines]
        if any(texts):
            facts.add_row(name, SEPARATORS.get(name, "; ").join(texts))
    out.print(rule.name, style="bold", markup=False, highlight=False)
    out.print(textwrap.indent(f"\n{page['formula']}\n", "  "), markup=False, highlight=False)
    out.print(facts, markup=False, highlight=False)
    out.print()
    out.print(Syntax(page["code"], "python", background_color="default", word_wrap=True))
    if rule.steps is not None:
        out.print()
        out.print(_steps(rule), markup=False, highlight=False)
    out.print()
    out.print(Syntax(_snippet(page), "python", background_color="default"))


def _derivative(line: dict[str, str], layout: str) -> str:
    return f"{line['of']}: {line['shape']}, {layout} layout {line['table']}, at sample(0) {line['structure']}"


def _steps(rule: "Rule") -> str:
    args = rule.sample(0)
    return f"{rule.steps.forward_table(*args)}\n\n{rule.steps.backward_table(*args)}"


def _snippet(page: dict[str, Any]) -> str:
    structures = " · ".join(line["structure"] for line in page["derivatives"])
    first = page["derivatives"][0]
    method = "table" if first["shape"].count(",") - first["shape"].endswith(",)") <= 1 else "matrix"
    printed = f'J.{method}("{page["layout"]}")' if len(page["derivatives"]) == 1 else "jmc.dense(J)"
    return (
        "import jax, jmc\n\n"
        f"rule = jmc.rules[{json.dumps(page['key'], ensure_ascii=False)}]\n"
        "args = rule.sample(jax.random.key(0))\n"
        f"J = rule.jacobian(*args)  # {structures}\n"
        f"print({printed})\n"
        "print(jmc.check(rule))"
    )
