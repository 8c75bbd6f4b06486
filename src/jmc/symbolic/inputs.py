"""What a function is derived for: its arguments by name, each with a shape of symbols or sizes, and facts about it."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np

from jmc.symbolic.dims import symbols
from jmc.symbolic.opaque import Part
from jmc.symbolic.sizes import Sizes
from jmc.symbolic.tensor import Argument, Dim

FACTS = ("symmetric", "spd", "psd", "orthogonal", "diagonal", "one-hot", "positive", "invertible", "integer")
SYMBOLS = "nmkdpqrhst"


@dataclass(frozen=True)
class Inputs:
    """The arrays of a function's arguments, in order.

    Attributes:
        arguments: each as a formula, with its name, shape and facts.
        tree: how they nest.
        parameters: the names of the function's parameters.
        sizes: the symbols.
        paths: the name of each argument within the nest that it is in.
        parts: by name what the function's program has that cannot be written.
    """

    arguments: tuple[Argument, ...]
    tree: Any
    parameters: tuple[str, ...]
    sizes: Sizes
    paths: tuple[str, ...] = ()
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def taken(self) -> set[str]:
        """Names that have a meaning."""
        return {*(a.name for a in self.arguments), *self.sizes.symbols, *self.parts}

    def structs(self, which: int) -> list[jax.ShapeDtypeStruct]:
        """The arrays' types in one of the two traces."""
        return [jax.ShapeDtypeStruct(self.sizes.shape(a.shape, which), dtype(a)) for a in self.arguments]

    def flat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """``f`` as a function of the arrays."""
        return lambda *arrays: f(*jax.tree.unflatten(self.tree, arrays))

    @property
    def tensors(self) -> list[Argument]:
        """The arguments without axes of size 1, as formulas have them."""
        return [replace(a, shape=tuple(dim for dim in a.shape if dim != 1)) for a in self.arguments]

    def named(self, name: str) -> Argument:
        """The argument of this name, with all its axes."""
        return next(argument for argument in self.arguments if argument.name == name)

    def find(self, name: str) -> list[Argument]:
        """The argument of this name; ``params.W1`` names one within another, ``params`` each within it."""
        short = name.rpartition(".")[2]
        found = [a for a, path in zip(self.tensors, self.paths, strict=True) if name in (a.name, path)]
        found = found or [a for a in self.tensors if a.name == short]
        found = found or [a for a, path in zip(self.tensors, self.paths, strict=True) if path.startswith(f"{name}.")]
        if not found:
            raise ValueError(f"`wrt` must name one of {', '.join(a.name for a in self.arguments)}, but got {name!r}")
        if any("integer" in argument.facts for argument in found):
            raise ValueError(f"`wrt` must name a real argument, but {name} is integer")
        return found


def dtype(argument: Argument) -> str:
    """The type in which a function is traced."""
    return "int64" if "integer" in argument.facts else "float64"


def inputs(f: Callable[..., Any], shapes: Sequence[Any], named: Mapping[str, Any]) -> Inputs:
    """The arguments that ``f`` takes, with these shapes.

    A shape is a tuple of symbols and sizes, or a text like ``"m, n symmetric"``; an array or anything with a shape
    stands for its shape, whose sizes become symbols, equal sizes the same one; lists and dictionaries nest.
    """
    parameters = _parameters(f, len(shapes), named)
    given = [*shapes, *(named[name] for name in parameters[len(shapes) :])]
    nested: list[Any] = []
    leaves: list[tuple[str, tuple[Dim | None, ...], frozenset[str]]] = []
    concrete: dict[int, str] = {}
    for name, shape in zip(parameters, given, strict=True):
        flat, tree = jax.tree.flatten_with_path(shape, is_leaf=_is_shape)
        nested.append(jax.tree.unflatten(tree, [0] * len(flat)))
        for path, leaf in flat:
            own = "".join(f".{_key(key)}" for key in path)
            leaves.append((name + own, *_read(name + own, leaf, concrete)))
    taken = {name for _, shape, _ in leaves for dim in shape if isinstance(dim, str) for name in symbols(dim)}
    names = _short([name for name, _, _ in leaves])
    fresh = iter(s for s in SYMBOLS if s not in taken and s not in names)
    for size in concrete:
        concrete[size] = next(fresh, "") or f"n{size}"
    arguments = []
    for position, (name, (_, shape, facts)) in enumerate(zip(names, leaves, strict=True)):
        dims = tuple(concrete[-dim] if isinstance(dim, int) and dim < 0 else dim for dim in shape if dim is not None)
        arguments.append(Argument(dims, name, position, facts))
    known = dict.fromkeys(name for a in arguments for dim in a.shape for name in symbols(dim))
    if clash := [name for name in names if name in known]:
        raise ValueError(f"`shapes` must have other names for sizes than for arguments, but {clash[0]} is both")
    return Inputs(
        tuple(arguments),
        jax.tree.structure(tuple(nested)),
        parameters,
        Sizes(tuple(known)),
        tuple(name for name, *_ in leaves),
    )


def _parameters(f: Callable[..., Any], count: int, named: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        signature = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):
        return tuple(f"x{k}" for k in range(count))
    positional = [p for p in signature if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [p.name for p in positional]
    if any(p.kind is p.VAR_POSITIONAL for p in signature):
        names += [f"x{k}" for k in range(len(names), count)]
    wanted = [*names[:count], *(name for name in names[count:] if name in named)]
    missing = [p.name for p in positional if p.default is p.empty and p.name not in wanted]
    unknown = named.keys() - set(names)
    if len(names) < count or missing or unknown:
        raise TypeError(
            f"`shapes` must be one for each of {', '.join(names)}, but got {count} by position"
            + (f" and {', '.join(named)}" if named else "")
        )
    return tuple(wanted)


def _is_shape(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(isinstance(dim, (str, int)) for dim in value)
    return isinstance(value, str) or hasattr(value, "shape")


def _key(key: Any) -> str:
    return str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key))))


def _read(name: str, shape: Any, concrete: dict[int, str]) -> tuple[tuple[Dim, ...], frozenset[str]]:
    facts: frozenset[str] = frozenset()
    if isinstance(shape, str):
        words = re.split(r"[\s,×]+", shape.strip(" ()"))
        found = [word if word in FACTS else re.sub(r"([+*-])", r" \1 ", word) for word in words if word]
        facts = frozenset(word for word in found if word in FACTS)
        shape = tuple(int(word) if word.isdigit() else word for word in found if word not in FACTS)
    elif hasattr(shape, "shape"):
        kind = np.dtype(shape.dtype).kind
        facts = frozenset(["integer"]) if kind in "iu" else facts
        dims = tuple(-size if size > 1 else size for size in shape.shape)
        concrete.update((size, "") for size in shape.shape if size > 1)
        return dims, facts
    elif isinstance(shape, (int, float)):
        shape = ()
    if not isinstance(shape, tuple):
        raise TypeError(f"`shapes` must be tuples of symbols and sizes, but got {type(shape).__name__} for {name}")
    for dim in shape:
        if isinstance(dim, str) and not re.fullmatch(r"\w+( [+*-] \w+)*", dim):
            raise ValueError(f"`shapes` must have names or whole numbers as sizes, but got {dim!r} for {name}")
        if isinstance(dim, int) and dim < 1:
            raise ValueError(f"`shapes` must have sizes of at least 1, but got {dim} for {name}")
    square = {"symmetric", "spd", "psd", "orthogonal", "diagonal", "invertible"} & facts
    if square and (len(shape) != 2 or shape[0] != shape[1]):
        raise ValueError(f"`shapes` must be square for what is {min(square)}, but got {shape} for {name}")
    return shape, facts


def _short(names: Sequence[str]) -> list[str]:
    """The last part of each name, or all of it where that is not enough to tell them apart."""
    last = [name.rpartition(".")[2] for name in names]
    clear = [k for k in last if last.count(k) == 1 and k.isidentifier()]
    return [short if short in clear else name.replace(".", "_") for short, name in zip(last, names, strict=True)]
