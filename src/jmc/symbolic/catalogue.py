"""`jmc.formula`: a rule of the catalogue as formulas, its primal and its closed forms, read from its code."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jmc.catalogue.record import Rule
from jmc.catalogue.signature import Parameter
from jmc.checking.oracles import double_precision
from jmc.linear.linear_map import LinearMap
from jmc.symbolic.closed import entries
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.equation import Equation, derivative_of, value_of
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.parts import STANDARD, CodeReader, Part
from jmc.symbolic.rules import on_paper
from jmc.symbolic.sizes import PRIMES, Sizes
from jmc.symbolic.tensor import Argument, Dim, Tensor

FACTS = {
    "symmetric": "symmetric", "spd": "spd", "orthogonal": "orthogonal", "diagonal": "diagonal",
    "invertible": "invertible", "one_hot": "one-hot", "positive": "positive",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class RuleFormula:
    """A rule as it stands in its code: what it computes, and its derivatives in closed form.

    Attributes:
        rule: the rule.
        primal: an equation for each output.
        derivatives: by argument, an equation for each output.
        second: the second derivative, if the rule states one.
        notes: what must be known to read them.
    """

    rule: Rule
    primal: tuple[Equation, ...]
    derivatives: Mapping[str, tuple[Equation, ...]]
    second: tuple[Equation, ...]
    notes: tuple[str, ...]
    parts: Mapping[str, Part]
    axes: Mapping[str, tuple[Dim, ...]]
    given: Inputs

    @property
    def equations(self) -> Iterator[Equation]:
        """All equations: the primal's, the derivatives', the second derivative's."""
        yield from self.primal
        for found in self.derivatives.values():
            yield from found
        yield from self.second

    @property
    def text(self) -> str:
        """The equations, the names in them and the notes, in Unicode."""
        return "\n".join([*(equation.text for equation in self.equations), *(f"  {note}" for note in self.notes)])

    @property
    def latex(self) -> str:
        """The equations in LaTeX, one below the other, without delimiters."""
        lines = r" \\ ".join(equation.aligned for equation in self.equations)
        return rf"\begin{{aligned}} {lines} \end{{aligned}}"

    @property
    def mathml(self) -> str:
        """``latex`` as presentation MathML, which browsers show."""
        from jmc.symbolic.page import mathml

        return str(mathml(self.latex, block=True))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def formula(rule: Rule) -> RuleFormula:
    """A rule as formulas that are read from its code: the primal, and the closed form by each argument.

    What has no formula (a loop, a decomposition) is a function with a name, and a note says what it is.

    Args:
        rule: of the catalogue (``jmc.rules["softmax"]``), or one of your own.

    Raises:
        TypeError: ``rule`` is not a rule.
        NoFormula: not even a function with a name can stand for a part of it.
    """
    if not isinstance(rule, Rule):
        raise TypeError(f"`rule` must be a rule, like jmc.rules['softmax'], but got {type(rule).__name__}")
    axes = _axes(rule)
    try:
        return _read(rule, axes)
    except NoFormula as refusal:
        known = _sizes(rule, axes).at(0)
        fixed = {axis: tuple(known.get(str(dim), dim) for dim in dims) for axis, dims in axes.items()}
        if fixed == axes:
            raise
        found = _read(rule, fixed)
        sizes = ", ".join(f"{dim} = {known[dim]}" for dims in axes.values() for dim in dims if isinstance(dim, str))
        reason = str(refusal).partition(", at ")[0]
        return dataclasses.replace(found, notes=(f"written for {sizes}: {reason}", *found.notes))


def _read(rule: Rule, axes: Mapping[str, tuple[Dim, ...]]) -> RuleFormula:
    given = _arguments(rule, axes)
    code = _Code(rule, given, axes)
    primal = code.primal()
    derivatives = {rule.parameters[k].name: code.derivative(k) for k in rule.argnums}
    second = code.second() if rule.second is not None else ()
    return RuleFormula(rule, primal, derivatives, second, tuple(code.notes()), code.reader.named, axes, given)


def _axes(rule: Rule) -> dict[str, tuple[Dim, ...]]:
    """The symbols of the axes that the rule names.

    Leading axes of examples that are each by themselves are left out; others are an axis N. Axes whose sizes decrease
    get symbols whose sizes in the traces do.
    """
    names = [parameter.name for parameter in rule.parameters]
    found: dict[str, tuple[Dim, ...]] = {}
    for axis in dict.fromkeys(axis for parameter in rule.parameters for axis in parameter.axes):
        if axis.isdecimal() or axis in rule.small:
            found[axis] = (int(axis) if axis.isdecimal() else rule.small[axis],)
        elif axis.startswith("*") and (rule.derivative is not None or rule.examples):
            found[axis] = ()
        else:
            taken = [*names, *(dim for dims in found.values() for dim in dims)]
            found[axis] = (next(s for s in ["N" if axis.startswith("*") else axis, *"NMKLnmkl"] if s not in taken),)
    return found


def _sizes(rule: Rule, axes: Mapping[str, tuple[Dim, ...]]) -> Sizes:
    """The symbols, in an order in which axes that decrease do so at both sets of sizes."""
    falling = [dim for axis in rule.decreasing for dim in axes[axis] if isinstance(dim, str)]
    rest = [dim for dims in axes.values() for dim in dims if isinstance(dim, str) and dim not in falling]
    places = next(
        chosen
        for count in range(len(falling), len(PRIMES[0]) + 1)
        for chosen in itertools.combinations(range(count), len(falling))
        if all(a > b for row in PRIMES[:2] for a, b in itertools.pairwise(row[k] for k in reversed(chosen)))
    )
    symbols = dict(zip(reversed(places), falling, strict=True))
    free = (k for k in itertools.count() if k not in symbols)
    symbols.update(zip(free, rest, strict=False))
    return Sizes(tuple(symbols.get(k, f"unused{k}") for k in range(max(symbols, default=-1) + 1)))


def _arguments(rule: Rule, axes: Mapping[str, tuple[Dim, ...]]) -> Inputs:
    """The rule's arguments with shapes of symbols."""
    found = []
    for k, parameter in enumerate(rule.parameters):
        shape = tuple(dim for axis in parameter.axes for dim in axes[axis] if dim != 1)
        fact = FACTS.get(parameter.kind, "") if isinstance(parameter.kind, str) else ""
        facts = {"integer"} if not parameter.real else {fact} if fact else set()
        found.append(Argument(shape, parameter.name, k, frozenset(facts)))
    return Inputs(tuple(found), None, tuple(parameter.name for parameter in rule.parameters), _sizes(rule, axes))


class _Code:
    """Reads the code of one rule."""

    def __init__(self, rule: Rule, given: Inputs, axes: Mapping[str, tuple[Dim, ...]]):
        self.rule, self.given, self.axes = rule, given, axes
        self.names = [a.name for a in given.arguments]
        self.reader = CodeReader(given.sizes, [*self.names, *given.sizes.symbols])
        self.f = next(name for name in ("f", "g", "F", "G") if name not in self.names)

    def primal(self) -> tuple[Equation, ...]:
        found, _ = self._read(on_paper(self.rule))
        names = [self.f] if len(found) == 1 else [f"{self.f}{k + 1}" for k in range(len(found))]
        self.values = found
        return tuple(value_of(tensor, name, self._taken()) for tensor, name in zip(found, names, strict=True))

    def derivative(self, k: int) -> tuple[Equation, ...]:
        if self.rule.jacobians[k] is None and not (k == 0 and self.rule.derivative is not None):
            return self._by_vjp(k)
        return self._maps(lambda *args: self.rule.map(k, *args), self.given.arguments[k], 1)

    def second(self) -> tuple[Equation, ...]:
        return self._maps(lambda *args: self.rule.hessian(*args), self.given.arguments[self.rule.argnums[0]], 2)

    def _maps(self, f: Callable[..., Any], argument: Argument, order: int) -> tuple[Equation, ...]:
        leaves, maps = self._read(f)
        found = []
        several = len(maps[0]) > 1
        for k, (one, other, value) in enumerate(zip(*maps, self.values, strict=True)):
            tensor = entries(one, other, leaves, self.given.sizes)
            name = f"{self.f}{k + 1}" if several else self.f
            found.append(derivative_of(tensor, value, name, argument, self._taken(), order))
        return tuple(found)

    def _by_vjp(self, k: int) -> tuple[Equation, ...]:
        (value,) = self.values
        argument = self.given.arguments[k]
        if not value.shape:
            (found,), _ = self._read(lambda *args: self.rule.vjp(k, jnp.ones(()), self.rule.f(*args), *args))
            return (derivative_of(found, value, self.f, argument, self._taken(), 1),)
        u = next(name for name in ("u", "v", "c") if name not in self.names)
        extra = [Argument(value.shape, u, 60), Argument(value.shape, self.f, 61)]
        (found,), _ = self._read(lambda u, y, *args: self.rule.vjp(k, u, y, *args), extra)
        return (derivative_of(found, value, self.f, argument, self._taken(u), 1, u),)

    def _read(self, f: Callable[..., Any], extra: Sequence[Argument] = ()) -> tuple[list[Tensor], list[list[Any]]]:
        """The arrays that a function of the rule's arguments returns, and the maps that are made of them, twice."""
        structs = [[*self._structs(extra, which), *self._own(which)] for which in (0, 1)]
        with double_precision():
            (one, out), (other, alike) = (jax.make_jaxpr(f, return_shape=True)(*args) for args in structs)
            tensors = self.reader.closed(one, other, [*extra, *self.given.arguments])
        return tensors, [_numbered(found) for found in (out, alike)]

    def _own(self, which: int) -> list[jax.ShapeDtypeStruct]:
        known, sizes = self.axes, self.given.sizes
        shapes = [tuple(dim for axis in p.axes for dim in known[axis]) for p in self.rule.parameters]
        pairs = zip(shapes, self.rule.parameters, strict=True)
        return [jax.ShapeDtypeStruct(sizes.shape(shape, which), _dtype(p)) for shape, p in pairs]

    def _structs(self, extra: Sequence[Argument], which: int) -> list[jax.ShapeDtypeStruct]:
        return [jax.ShapeDtypeStruct(self.given.sizes.shape(a.shape, which), "float64") for a in extra]

    def _taken(self, *more: str) -> Inputs:
        """The arguments and whatever else has a name."""
        return dataclasses.replace(self.given, parts=dict.fromkeys((self.f, *more, *self.reader.named)))

    def notes(self) -> Iterator[str]:
        """What must be known to read the formulas."""
        if self.rule.derivative is not None and any("*" in axis for p in self.rule.parameters for axis in p.axes):
            yield "entry by entry: of an array the Jacobian is diagonal"
        elif self.rule.examples and any("*" in axis for p in self.rule.parameters for axis in p.axes):
            yield "of one example; several are each by themselves"
        for part in self.reader.named.values():
            if part.name not in STANDARD:
                yield f"{part.name}: {part.about}"


def _dtype(parameter: Parameter) -> str:
    return "float64" if parameter.real else "bool" if parameter.boolean else "int32"


def _numbered(out: Any) -> list[Any]:
    """The maps in what a function returned, their arrays by number."""
    leaves, tree = jax.tree.flatten(out)
    numbered = jax.tree.unflatten(tree, range(len(leaves)))
    return [
        one
        for one in jax.tree.leaves(numbered, is_leaf=lambda x: isinstance(x, LinearMap))
        if isinstance(one, LinearMap)
    ]
