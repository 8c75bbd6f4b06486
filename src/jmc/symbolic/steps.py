"""The derivation as the article does it: intermediate variables, their local Jacobians, and the vector chain rule.

Every local Jacobian is compared with AD at a random point, and so is their product along all paths.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from jmc.catalogue.registry import rules
from jmc.checking.oracles import double_precision
from jmc.symbolic.algebra import add, full, product
from jmc.symbolic.certificate import NotCertified, Sample, evaluator
from jmc.symbolic.derivative import derivative
from jmc.symbolic.indices import indexed
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.kronecker import kronecker
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.notation import transpose
from jmc.symbolic.printer import Printer
from jmc.symbolic.style import LATEX, TEXT, Style
from jmc.symbolic.tensor import Argument, Map, Op, Opaque, Product, Sum, Tensor
from jmc.symbolic.tidy import tidy
from jmc.symbolic.tied import tied

# Of the catalogue, the rule that a kind of step is an instance of.
_NAMES = {"inv": "inverse", "det": "determinant", "logdet": "log determinant", "power": "power rule", "sum": "w + x"}
_NAMES |= {"product": "product rule", "linear": "matrix times vector", "total": "sum", "squares": "dot product"}


@dataclass(frozen=True)
class Partial:
    """∂step/∂variable as a formula, and as a formula of labels."""

    variable: Argument
    tensor: Tensor


@dataclass(frozen=True)
class Step:
    """An intermediate variable: its name, its expression in earlier ones, its local Jacobians, the rule for them."""

    variable: Argument
    tensor: Tensor
    partials: tuple[Partial, ...]
    rule: str


@dataclass(frozen=True)
class Steps:
    """The intermediate variables of a function in the order of evaluation; the last is its value.

    Attributes:
        f, argument: the name of the function, and what it is differentiated by.
        steps: the variables.
        derivative: the whole derivative.
        max_error: the largest relative error of a local Jacobian, or of their product, against AD.
    """

    f: str
    argument: Argument
    steps: tuple[Step, ...]
    derivative: Tensor
    given: Inputs
    max_error: float

    @property
    def text(self) -> str:
        """A table of the variables, and the chain rule below it."""
        rows = []
        for name, value, partials, rule in self.rows(TEXT):
            rows.append([f"{name} = {value}", "   ".join(f"{a} = {b}" for a, b in partials), rule])
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = ["   ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        left, *chain = self.chain(TEXT)
        lines += [f"{left} = {chain[0]}", *(f"{' ' * len(left)} = {line}" for line in chain[1:])]
        return "\n".join(lines)

    @property
    def latex(self) -> str:
        """The same as an aligned environment."""
        lines = []
        for name, value, partials, _ in self.rows(LATEX):
            local = r" \qquad ".join(f"{a} = {b}" for a, b in partials)
            lines.append(rf"{name} &= {value} && {local}")
        left, *chain = self.chain(LATEX)
        lines += [rf"{left if k == 0 else ''} &= {line}" for k, line in enumerate(chain)]
        return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"

    def rows(self, style: Style) -> list[tuple[str, str, list[tuple[str, str]], str]]:
        """Of each variable its name, its expression, its local Jacobians with their names, and the rule."""
        found = []
        for step in self.steps:
            name = style.name(step.variable.name)
            partials = [
                (
                    _ratio(style, name, style.name(p.variable.name)),
                    shown(p.tensor, len(step.tensor.shape), self.given, style),
                )
                for p in step.partials
            ]
            found.append((name, shown(step.tensor, len(step.tensor.shape), self.given, style), partials, step.rule))
        return found

    def chain(self, style: Style) -> list[str]:
        """∂f/∂x; the sum over all paths of products of local Jacobians; the formula."""
        x = style.name(self.argument.name)
        paths = _paths(self.steps, self.argument)
        terms = []
        for path in paths:
            names = [style.name(variable.name) for variable in path]
            factors = [_ratio(style, a, b) for a, b in itertools.pairwise(names)]
            several = len(factors) > 1 and style is TEXT
            terms.append(style.times.join(style.bracket.format(factor) if several else factor for factor in factors))
        many = f"the sum over {len(paths)} paths"
        chain = " + ".join(terms) if len(paths) <= 4 else many if style is TEXT else rf"\text{{{many}}}"
        rows = len(self.steps[-1].tensor.shape) if self.steps else 0
        return [_ratio(style, style.name(self.f), x), chain, shown(self.derivative, rows, self.given, style)]


def _ratio(style: Style, above: str, below: str) -> str:
    return style.fraction(f"{style.partial}{above}", f"{style.partial}{below}")


def steps(
    name: str,
    value: Tensor,
    argument: Argument,
    given: Inputs,
    sample: Sample,
    found: Callable[..., Any],
    parts: Mapping[str, Any],
) -> Steps:
    """The steps of a value; ``found`` is the function of its derivative, which their product is compared with.

    ``parts`` are those of the program that have only a name, and their derivatives, by what code calls them.

    Raises NotCertified if a local Jacobian is wrong.
    """
    variables: list[Step] = []
    with double_precision():
        _visit(value, argument, variables, {})
        error = _checked(variables, argument, given, sample, found, parts)
        whole = derivative(value, argument)
        whole = full(0, value.shape + argument.shape) if whole is None else whole
        kind = tied(argument)
        total = tidy(kind.derivative(whole) if kind else whole)
    return Steps(name, argument, tuple(variables), total, given, error)


def _visit(tensor: Tensor, x: Argument, done: list[Step], known: dict[Tensor, Tensor]) -> Tensor:
    """The formula with what depends on x in it replaced by variables, and by one itself."""
    if tensor == x or not _contains(tensor, x):
        return tensor
    if tensor in known:
        return known[tensor]
    inner = _rebuilt(tensor, lambda child: _visit(child, x, done, known), x)
    moving = list(dict.fromkeys(_arguments(inner)))
    partials = []
    for variable in moving:
        if variable == x or any(variable == step.variable for step in done):
            slope = derivative(inner, variable)
            if slope is not None:
                partials.append(Partial(variable, tidy(slope)))
    variable = Argument(tensor.shape, f"u{len(done) + 1}", 100 + len(done))
    done.append(Step(variable, inner, tuple(partials), _rule(tensor, x)))
    known[tensor] = variable
    return variable


def _rebuilt(tensor: Tensor, visit: Callable[[Tensor], Tensor], x: Argument) -> Tensor:
    """The operation at the top with its operands visited; what is linear in variables stays within a sum."""
    match tensor:
        case Sum():
            return add([_rebuilt(t, visit, x) if isinstance(t, Product) else visit(t) for t in tensor.terms])
        case Product():
            parts = []
            for factor, labels in tensor.factors:
                squared = isinstance(factor, Map) and factor.function == "power" and len(tensor.factors) == 1
                parts.append((_rebuilt(factor, visit, x) if squared else visit(factor), labels))
            return product(tensor.coefficient, parts, tensor.out, dict(enumerate(tensor.dims)))
        case Map():
            return Map(tensor.shape, tensor.function, tuple(map(visit, tensor.args)), tensor.number)
        case Op() | Opaque():
            return replace(tensor, args=tuple(map(visit, tensor.args)))
    return tensor


def _contains(tensor: Tensor, x: Argument) -> bool:
    return tensor == x or any(_contains(child, x) for child in tensor.children)


def _arguments(tensor: Tensor) -> list[Argument]:
    own = [tensor] if isinstance(tensor, Argument) else []
    return own + [a for child in tensor.children for a in _arguments(child)]


def _rule(tensor: Tensor, x: Argument) -> str:
    """The rule of a step, with its id in the catalogue."""
    match tensor:
        case Map():
            kind = tensor.function
        case Op() | Opaque():
            kind = tensor.name
        case Product():
            moving = [factor for factor, _ in tensor.factors if _contains(factor, x)]
            power = isinstance(moving[0], Map) and moving[0].function == "power"
            linear = "total" if len(tensor.factors) == 1 and not tensor.out else "linear"
            kind = "product" if len(moving) > 1 else "squares" if power and not tensor.out else linear
        case _:
            kind = "sum"
    name = _NAMES.get(kind, kind)
    return f"{name} ({rules.ids_of(rules[name])[0]})" if name in rules and rules.ids_of(rules[name]) else kind


def shown(tensor: Tensor, rows: int, given: Inputs, style: Style) -> str:
    """A formula of any number of axes, in numerator layout if it is a derivative of a value with ``rows`` axes."""
    try:
        if len(tensor.shape) > 2:
            return Printer(style)(kronecker(tensor, rows))
        node = matrix(tensor)
        return Printer(style)(transpose(node) if rows == 0 and node.rank == 1 else node)
    except NotMatrix:
        shapes = tensor.shape[rows:], tensor.shape[:rows], tensor.shape
        return indexed(tensor, shapes, given).formula(style)


def _paths(steps: Sequence[Step], x: Argument) -> list[list[Argument]]:
    """Every way from the last variable back to x."""
    by_name = {step.variable: step for step in steps}

    def back(variable: Argument) -> list[list[Argument]]:
        if variable == x:
            return [[x]]
        return [[variable, *rest] for p in by_name[variable].partials for rest in back(p.variable)]

    return back(steps[-1].variable) if steps else []


def _checked(
    steps: Sequence[Step],
    x: Argument,
    given: Inputs,
    sample: Sample,
    found: Callable[..., Any],
    parts: Mapping[str, Any],
) -> float:
    """The largest relative error of the local Jacobians, and of their total, at a point."""
    sizes, arrays = sample
    shapes = [
        tuple(n for n, dim in zip(a.shape, full.shape, strict=True) if dim != 1)
        for a, full in zip(arrays, given.arguments, strict=True)
    ]
    env: dict[str, Any] = {
        a.name: array.reshape(shape) for a, array, shape in zip(given.tensors, arrays, shapes, strict=True)
    }
    worst, total = 0.0, {x: np.eye(env[x.name].size).reshape(env[x.name].shape * 2)}
    for step in steps:
        names = list(env)
        value = evaluator(step.tensor, names, sizes, parts)
        env[step.variable.name] = np.asarray(value(*env.values()))
        moved = 0
        for partial in step.partials:
            J = np.asarray(evaluator(partial.tensor, names, sizes, parts)(*(env[n] for n in names)))
            k = names.index(partial.variable.name)
            worst = max(worst, _error(J, jax.jacfwd(value, k)(*(env[n] for n in names)), step))
            moved = moved + np.tensordot(J, total[partial.variable], len(partial.variable.shape))
        total[step.variable] = moved
    if steps:
        whole, kind = np.asarray(total[steps[-1].variable]), tied(x)
        found_ = np.asarray(found(*arrays))
        whole = whole if kind is None else kind.entries(whole)
        worst = max(worst, _error(whole.reshape(found_.shape), found_, steps[-1]))
    return worst


def _error(value: Any, reference: Any, step: Step) -> float:
    value, reference = np.asarray(value), np.asarray(reference)
    error = float(np.max(np.abs(value - reference), initial=0) / (np.max(np.abs(reference), initial=0) or 1))
    if not error < 1e-8:
        raise NotCertified(f"the local Jacobian of {step.variable.name} is off by {error:.1g}")
    return error
