"""One rule on a page: what it takes, its code, where it comes from, and how to use it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jmc.catalogue.record import Rule


def as_dict(rule: "Rule") -> dict[str, Any]:
    """What `show` shows."""
    from jmc.catalogue.code import decorated, place
    from jmc.catalogue.registry import rules

    return {
        "name": rule.name,
        "ids": rules.ids_of(rule),
        "family": rule.family,
        "arguments": [str(parameter) for parameter in rule.parameters],
        "wrt": [rule.parameters[k].name for k in rule.argnums],
        "structure": structures(rule),
        "conditions": rule.conditions,
        "kinks": rule.kinks,
        "source": rule.source,
        "erratum": rule.erratum,
        "code": decorated(rule),
        "place": place(rule),
    }


def structures(rule: "Rule") -> list[str]:
    """Of each part of the closed form, at sizes that are distinct primes."""
    import jax

    maps = jax.eval_shape(rule.jacobian, *rule.sample(0))
    return [J.structure for J in jax.tree.leaves(maps, is_leaf=lambda leaf: hasattr(leaf, "structure"))]


def show(rule: "Rule") -> None:
    """Print the page."""
    from rich.console import Console
    from rich.syntax import Syntax
    from rich.table import Table

    page = as_dict(rule)
    console = Console()
    facts = Table.grid(padding=(0, 2))
    for name in ("ids", "arguments", "wrt", "structure", "conditions", "kinks", "source", "erratum", "place"):
        value = page[name]
        text = "; ".join(value) if isinstance(value, list) else value
        if text:
            facts.add_row(name, text)
    console.print(rule.name, style="bold", markup=False, highlight=False)
    console.print(facts, markup=False, highlight=False)
    console.print()
    console.print(Syntax(page["code"], "python", background_color="default", word_wrap=True))
    if rule.steps is not None:
        console.print()
        console.print(_steps(rule), markup=False, highlight=False)
    console.print()
    console.print(Syntax(_snippet(page), "python", background_color="default"))


def _steps(rule: "Rule") -> str:
    args = rule.sample(0)
    return f"{rule.steps.forward_table(*args)}\n\n{rule.steps.backward_table(*args)}"


def _snippet(page: dict[str, Any]) -> str:
    key = (page["ids"] or [page["name"]])[0]
    return (
        "import jax, jmc\n\n"
        f"rule = jmc.rules[{key!r}]\n"
        "args = rule.sample(jax.random.key(0))\n"
        f"J = rule.jacobian(*args)  # {' · '.join(page['structure'])}\n"
        "print(jmc.check(rule))"
    )
