"""A worked example by the article's procedure: intermediate variables, local partial derivatives, and their products.

::

    Steps("x", u1=(lambda x: x**2, lambda x: 2 * x), u2=(lambda x, u1: x + u1, lambda x, u1: 1, lambda x, u1: 1))

is u₁ = x², u₂ = x + u₁: after each variable's expression stand its partial derivatives, one for each argument.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.code import expression
from jmc.catalogue.record import Formula, as_map
from jmc.linear import build
from jmc.linear.linear_map import LinearMap

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class Step(NamedTuple):
    """An intermediate variable: its name, its arguments' names, its expression, and a partial derivative for each."""

    name: str
    arguments: tuple[str, ...]
    value: Formula
    partials: tuple[Formula, ...]


class Steps:
    """The intermediate variables of a rule's primal, in the order of evaluation; the last is the value.

    Derivatives are with respect to the first input going forward, and to all of them going backward.
    """

    def __init__(self, inputs: str, **variables: Sequence[Formula]):
        self.inputs = tuple(inputs.replace(",", " ").split())
        self.steps: list[Step] = []
        known = list(self.inputs)
        for name, (value, *partials) in variables.items():
            arguments = tuple(inspect.signature(value).parameters)
            if not set(arguments) <= set(known) or len(partials) != len(arguments):
                raise ValueError(
                    f"`{name}` must have known arguments, of {known}, and a partial derivative for each, "
                    f"but got {arguments} and {len(partials)}"
                )
            self.steps.append(Step(name, arguments, value, tuple(partials)))
            known.append(name)

    def values(self, *args: Any) -> dict[str, jax.Array]:
        """Every variable, the inputs first."""
        found = dict(zip(self.inputs, map(jnp.asarray, args), strict=True))
        for step in self.steps:
            found[step.name] = step.value(*(found[a] for a in step.arguments))
        return found

    def forward(self, *args: Any) -> dict[str, LinearMap]:
        """du/dx of every variable that depends on the first input x: Σ (∂u/∂argument) (d argument/dx)."""
        values = self.values(*args)
        x = self.inputs[0]
        found = {x: _unit(values[x])}
        for step in self.steps:
            terms = [partial @ found[a] for a, partial in _local(step, values) if a in found]
            if terms:
                found[step.name] = _summed(terms)
        return found

    def backward(self, *args: Any) -> dict[str, LinearMap]:
        """dy/du of every variable, y the last: Σ (dy/d user) (∂ user/∂u), over those that use u."""
        values = self.values(*args)
        found = {self.steps[-1].name: _unit(values[self.steps[-1].name])}
        for step in reversed(self.steps):
            for argument, partial in _local(step, values):
                term = found[step.name] @ partial
                found[argument] = found[argument] + term if argument in found else term
        return found

    def naive(self, *args: Any) -> LinearMap:
        """What the single-variable chain rule gives: the product along the last argument of each, whatever else moves.

        It is dy/dx only if there is a single path from x to y.
        """
        values = self.values(*args)
        found = _unit(values[self.steps[-1].name])
        for step in self._chain():
            found = found @ _local(step, values)[-1][1]
        return found

    @property
    def branched(self) -> bool:
        """Whether there is more than one path from the first input to the value."""
        moving = {self.inputs[0]}
        paths = 1
        for step in self.steps:
            moved = moving.intersection(step.arguments)
            paths += max(len(moved) - 1, 0)
            moving |= {step.name} if moved else set()
        return paths > 1

    def forward_table(self, *args: Any) -> str:
        """The variables, x to y: expression, value, derivative by x as it is composed, and its value."""
        x, y = self.inputs[0], self.steps[-1].name
        values, moved = self.values(*args), self.forward(*args)
        rows = [["forward", "expression", "value", f"d/d{shown(x)}", ""]]
        rows += [
            [shown(name), "", _number(values[name]), _one(values[x]) if name == x else "", ""] for name in self.inputs
        ]
        for step in self.steps:
            terms = [
                _term(_written(partial), "" if a == x else _ratio(a, x))
                for a, partial in zip(step.arguments, step.partials, strict=True)
                if a in moved
            ]
            text = _number(moved[step.name]) if step.name in moved else "0"
            rows.append(
                [shown(step.name), _written(step.value), _number(values[step.name]), " + ".join(terms) or "0", text]
            )
        lines = _aligned(rows)
        if self.branched:
            names = [step.name for step in self._chain()]
            product = " ".join(_ratio(a, b, "∂") for a, b in zip(names, [*names[1:], x], strict=True))
            lines += [
                f"total: {_ratio(y, x)} = {_number(moved[y])}",
                f"the single-variable rule misses a path: {product} = {_number(self.naive(*args))}",
            ]
        return "\n".join(lines)

    def backward_table(self, *args: Any) -> str:
        """The variables, y to x: the adjoint dy/du as it is composed, and its value."""
        y = self.steps[-1].name
        adjoints = self.backward(*args)
        terms: dict[str, list[str]] = {y: [_one(self.values(*args)[y])]}
        for step in reversed(self.steps):
            for a, partial in zip(step.arguments, step.partials, strict=True):
                before = "" if step.name == y else _ratio(y, step.name)
                terms.setdefault(a, []).append(_term(before, _written(partial)))
        order = [*(step.name for step in reversed(self.steps)), *self.inputs]
        rows = [["backward", f"d{shown(y)}/d…", ""]]
        rows += [[shown(a), " + ".join(terms[a]), _number(adjoints[a])] for a in order if a in terms]
        return "\n".join(_aligned(rows))

    def _chain(self) -> Iterator[Step]:
        """From the last variable back, along the last argument of each."""
        by_name = {step.name: step for step in self.steps}
        name = self.steps[-1].name
        while name in by_name:
            yield by_name[name]
            name = by_name[name].arguments[-1]


def shown(name: str) -> str:
    """``u1`` as u₁."""
    return name.rstrip("0123456789") + name[len(name.rstrip("0123456789")) :].translate(SUBSCRIPTS)


def _written(formula: Formula) -> str:
    """The lambda's code in the hand of a formula."""
    text = re.sub(r"\bjnp\.", "", expression(formula))
    text = re.sub(r"\barray\((\[.*\])\)", r"\1", text)
    text = re.sub(r"\b([a-z])(\d+)\b", lambda name: shown(name[0]), text)
    text = re.sub(r" \*\* (\d+)", lambda power: power[1].translate(SUPERSCRIPTS), text)
    text = re.sub(r"\b(\d) \* (?=[a-z])", r"\1", text)
    return re.sub(r"\blog\b", "ln", text).replace("-", "−").replace(" / ", "/")


def _term(left: str, right: str) -> str:
    """The product of two written factors, of which one may be missing, or 1."""
    factors = [text for text in (left, right) if text not in ("", "1")]
    sums = [re.search(r" [+−] |^−|^1/", re.sub(r"\(.*\)|\[.*\]", "", text)) for text in factors]
    bracketed = [f"({text})" if found else text for text, found in zip(factors, sums, strict=True)]
    return " · ".join(bracketed if len(factors) > 1 else factors) or "1"


def _ratio(a: str, b: str, d: str = "d") -> str:
    return f"{d}{shown(a)}/{d}{shown(b)}"


def _one(x: jax.Array) -> str:
    """dx/dx."""
    return "I" if x.shape else "1"


def _number(found: Any) -> str:
    """A number or a vector in digits; a matrix by its structure."""
    if isinstance(found, LinearMap):
        if found.out_shape and found.in_shape:
            return found.structure
        found = found.dense()
    if np.ndim(found) == 0:
        return f"{float(found):.6g}"
    return np.array2string(np.asarray(found), precision=4, threshold=5, edgeitems=2, max_line_width=10**6)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _local(step: Step, values: dict[str, jax.Array]) -> list[tuple[str, LinearMap]]:
    """Each argument with ∂step/∂argument."""
    args = [values[a] for a in step.arguments]
    pairs = zip(step.arguments, args, step.partials, strict=True)
    return [(name, as_map(partial(*args), x, args)) for name, x, partial in pairs]


def _unit(x: jax.Array) -> LinearMap:
    return build.identity(x.shape, x.dtype)


def _summed(maps: Sequence[LinearMap]) -> LinearMap:
    total = maps[0]
    for term in maps[1:]:
        total = total + term
    return total
