"""The catalogue as one self-contained page: every rule in formulas, with its conditions, its source and its code."""

from collections.abc import Iterable
from typing import Any

from jmc.catalogue.code import statement
from jmc.catalogue.record import Rule
from jmc.catalogue.registry import rules
from jmc.page.template import filled
from jmc.symbolic.catalogue import formula
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.equation import Equation
from jmc.symbolic.page import mathml
from jmc.symbolic.style import LATEX


def reference(wanted: Iterable[Rule]) -> str:
    """The page of these rules, by family."""
    families: dict[str, list[dict[str, Any]]] = {}
    for rule in wanted:
        families.setdefault(rule.family, []).append(_section(rule))
    every = [section for sections in families.values() for section in sections]
    ids = sum(len(section["ids"]) for section in every)
    return filled("jmc.symbolic", "rules.html.j2", families=families, count=len(every), ids=ids)


def _section(rule: Rule) -> dict[str, Any]:
    try:
        found = formula(rule)
        equations = [_lines(equation) for equation in found.equations]
        notes, text = list(found.notes), found.text
    except NoFormula as refusal:
        equations, notes, text = [], [f"no formula: {refusal}"], ""
    about = (rule.f.__doc__ or "").partition("\n")[0].replace("``", "") if rule.f.__name__ == rule.name else ""
    return {
        "name": rule.name,
        "ids": rules.ids_of(rule),
        "about": about,
        "arguments": [str(parameter) for parameter in rule.parameters],
        "options": [f"{name} = {option}" for name, option in rule.options.items()],
        "equations": equations,
        "notes": notes,
        "text": text,
        "conditions": rule.conditions,
        "kinks": rule.kinks,
        "source": rule.source,
        "erratum": rule.erratum,
        "code": statement(rule),
    }


def _lines(equation: Equation) -> dict[str, Any]:
    where = [f"{name} = {meaning}" for name, meaning in equation.written.where(LATEX).items()]
    left, right = equation.left(LATEX), equation.written.formula(LATEX)
    return {"formula": mathml(f"{left} = {right}", block=True), "where": [mathml(part) for part in where]}
