"""What a rule promises about its arguments, read once and checked at every call.

A primal is annotated with jaxtyping (``x: Float[Array, "*n d"]``), the lambdas of a table have one line of text
(``"A: n n spd, x: n"``). The same text serves the reader, the check of shapes and dtypes here, and the proofs, which
draw arguments of any size from it.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import jax
import jax.numpy as jnp
from jaxtyping import AbstractArray

from jmc.catalogue.domain import KINDS, Draw


@dataclass(frozen=True)
class Parameter:
    """One argument.

    Attributes:
        name: its name.
        axes: the names of its axes, ``("*n", "d")``; a number is a size that does not vary.
        real: whether it is real; else it is integer, or boolean.
        boolean: whether it is boolean.
        kind: what is drawn for it, a word of ``domain.KINDS``, ``"below_k"`` or a function; None is any array.
    """

    name: str
    axes: tuple[str, ...]
    real: bool = True
    kind: str | Draw | None = None
    boolean: bool = False

    def shape(self, sizes: Mapping[str, Any]) -> tuple[int, ...]:
        """The shape under ``sizes``, in which ``"d"`` is an int and ``"*n"`` a tuple of ints."""
        groups = (sizes[a] if a.startswith("*") else (int(a) if a.isdecimal() else sizes[a],) for a in self.axes)
        return tuple(size for group in groups for size in group)

    def __str__(self) -> str:
        kind = f" {self.kind.replace('_', ' ')}" if isinstance(self.kind, str) else ""
        return f"{self.name}: ({', '.join(self.axes)}{',' * (len(self.axes) == 1)}){kind}"


def specified(text: str) -> tuple[Parameter, ...]:
    """The arguments that ``"A: n n spd, x: n, i: below_n"`` describes: axes are letters, a kind is a longer word.

    Raises ValueError for a word that is neither.
    """
    found = []
    for part in text.split(","):
        name, _, words = part.partition(":")
        axes, kind = [], None
        for word in words.split():
            if word in KINDS or word.startswith("below_"):
                kind = word
            elif word.isdecimal() or len(word.lstrip("*")) == 1:
                axes.append(word)
            else:
                raise ValueError(f"`{name.strip()}` must have axes of one letter and a known kind, but got {word!r}")
        integer = kind is not None and kind.startswith("below_")
        found.append(Parameter(name.strip(), tuple(axes), not integer, kind))
    return tuple(found)


def parameters(primal: Callable[..., Any], domain: Mapping[str, str | Draw] | None = None) -> tuple[Parameter, ...]:
    """The arguments of ``primal``, in order, without its options, which are keyword-only.

    Raises TypeError where one lacks a jaxtyping annotation.
    """
    hints = get_type_hints(primal, include_extras=True)
    found = []
    for name, parameter in inspect.signature(primal).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            continue
        hint = hints.get(name)
        if not (isinstance(hint, type) and issubclass(hint, AbstractArray)):
            raise TypeError(f'`{name}` of {primal.__name__} must be annotated like Float[Array, "n d"], but got {hint}')
        boolean = set(hint.dtypes) <= {"bool", "bool_"}
        kind = (domain or {}).get(name, "mask" if boolean else None)
        found.append(Parameter(name, tuple(hint.dim_str.split()), "float32" in hint.dtypes, kind, boolean))
    return tuple(found)


def returned_axes(primal: Callable[..., Any]) -> tuple[str, ...]:
    """The axes of what ``primal`` returns, as its annotation has them."""
    hint = get_type_hints(primal, include_extras=True).get("return")
    return tuple(hint.dim_str.split()) if isinstance(hint, type) and issubclass(hint, AbstractArray) else ()


def checked(function: str, wanted: Sequence[Parameter], values: Sequence[Any]) -> list[jax.Array]:
    """The ``values`` as arrays that fit their parameters; Python scalars take the dtype of the others.

    Raises:
        TypeError: an argument is not an array, not of its kind (real, integer, boolean), or its dtype is not the
            dtype of the other real arguments (nothing is promoted behind the caller's back).
        ValueError: the shapes do not fit each other.
    """
    arrays = [_array(function, parameter, value) for parameter, value in zip(wanted, values, strict=True)]
    _check_dtypes(function, wanted, arrays)
    sizes: dict[str, tuple[Any, str]] = {}
    for parameter, array in zip(wanted, arrays, strict=True):
        _unify(function, parameter, array.shape, sizes)
    return arrays


def _array(function: str, parameter: Parameter, value: Any) -> jax.Array:
    real, boolean = ("a real floating-point", jnp.floating), ("a boolean", jnp.bool_)
    kind, dtypes = real if parameter.real else boolean if parameter.boolean else ("an integer", jnp.integer)
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{parameter.name}` of {function} must be {kind} array, but got {type(value).__name__}"
        ) from error
    if parameter.real and jax.typeof(array).weak_type and jnp.issubdtype(array.dtype, jnp.integer):
        array = array * 1.0  # a Python integer, which may stand for a real number; it stays weakly typed
    if not jnp.issubdtype(array.dtype, dtypes):
        raise TypeError(f"`{parameter.name}` of {function} must be {kind} array, but got {array.dtype}")
    return array


def _check_dtypes(function: str, wanted: Sequence[Parameter], arrays: list[jax.Array]) -> None:
    """Refuse mixed dtypes; in place, give weakly typed scalars the dtype of the others."""
    real = [i for i, parameter in enumerate(wanted) if parameter.real]
    strong = [i for i in real if not jax.typeof(arrays[i]).weak_type]
    if not strong:
        return
    first = strong[0]
    dtype = arrays[first].dtype
    for i in real:
        if i in strong and arrays[i].dtype != dtype:
            raise TypeError(
                f"`{wanted[i].name}` of {function} must have the dtype of `{wanted[first].name}`, {dtype}, "
                f"but got {arrays[i].dtype}"
            )
        arrays[i] = arrays[i].astype(dtype)


def _unify(function: str, parameter: Parameter, shape: tuple[int, ...], sizes: dict) -> None:
    """Match ``shape`` with the parameter's axes, learning new sizes; each size remembers who set it."""
    axes = parameter.axes
    star = next((i for i, axis in enumerate(axes) if axis.startswith("*")), None)
    fixed = len(axes) - (star is not None)
    if len(shape) < fixed or (star is None and len(shape) > fixed):
        rank = f"{'' if star is None else 'at least '}{fixed} {'axis' if fixed == 1 else 'axes'}"
        raise ValueError(
            f"`{parameter.name}` of {function} must have {rank}, ({' '.join(axes)}), but got shape {shape}"
        )
    rest = len(shape) - fixed
    position = 0
    for axis in axes:
        width = rest if axis.startswith("*") else 1
        part = shape[position : position + width]
        size = part if axis.startswith("*") else part[0]
        position += width
        if axis.isdecimal():
            if size != int(axis):
                raise ValueError(
                    f"`{parameter.name}` of {function} must have shape ({' '.join(axes)}), but got shape {shape}"
                )
            continue
        known, owner = sizes.setdefault(axis, (size, parameter.name))
        if known != size:
            raise ValueError(
                f"`{parameter.name}` of {function} must have shape ({' '.join(axes)}) with {axis} = {known} "
                f"as in `{owner}`, but got shape {shape}"
            )
