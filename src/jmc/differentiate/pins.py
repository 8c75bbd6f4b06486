"""Structure that the user pins: `require=…` and `on_dense="raise"`, with the equation where it was lost.

A pin is a kind (``"diagonal"``), a full name (``"diagonal(1000)"``), or a sum of them (``"diagonal + rank"``): each
part of a Jacobian's structure has to be what one part of the pin says, or a special case of it.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jmc.differentiate.accumulate import forward
from jmc.linear.linear_map import LinearMap
from jmc.linear.term import identity

# Each kind of structure, and of which it is a special case; "zero" is one of all.
KINDS = {
    "zero": (),
    "scalar": ("diagonal", "row", "column"),
    "identity": ("diagonal", "permutation", "kronecker"),
    "diagonal": ("banded", "block_diagonal", "scaled permutation"),
    "permutation": ("selection", "embedding", "scaled permutation"),
    "scaled permutation": ("scaled selection", "scaled embedding"),
    "selection": ("scaled selection",),
    "scaled selection": ("sparse",),
    "embedding": ("scaled embedding",),
    "scaled embedding": ("sparse",),
    "banded": ("sparse",),
    "block_diagonal": ("sparse",),
    "stack": ("sparse",),
    "sparse": ("dense",),
    "row of identity": ("row of diagonal",),
    "row of diagonal": ("row",),
    "row of ones": ("row", "ones"),
    "row": ("dense",),
    "column of identity": ("column of diagonal",),
    "column of diagonal": ("column",),
    "column of ones": ("column", "ones"),
    "column": ("dense",),
    "ones": ("rank",),
    "rank": ("dense",),
    "kronecker": ("dense",),
    "dense": (),
}


class StructureError(ValueError):
    """A Jacobian does not have the structure that was required."""


def check_pins(program: Any, rows: Sequence[Sequence[LinearMap]], require: str | None, on_dense: str | None) -> None:
    """Raise StructureError unless every leaf fits; ValueError if ``require`` names no structure."""
    pins: list[tuple[str, Callable[[str], bool]]] = []
    if require is not None:
        _check_name(require)
        pins.append((f"`require` wants {require}", lambda name: satisfies(name, require)))
    if on_dense is not None:
        pins.append(("`on_dense` refuses it", lambda name: _kind(name) != "dense"))
    for j, row in enumerate(rows):
        for k, J in enumerate(row):
            for wants, fits in pins:
                if not fits(J.structure):
                    leaf = _leaf(program, j, k)
                    raise StructureError(
                        f"the Jacobian{leaf} is {J.structure}, but {wants}{_lost(program, j, k, fits)}"
                    )


def satisfies(name: str, pin: str) -> bool:
    """Whether a structure of this name is what ``pin`` says, or a special case of it."""
    return all(any(_part_satisfies(part, wanted) for wanted in _parts(pin, " + ")) for part in _parts(name, " + "))


def _part_satisfies(part: str, wanted: str) -> bool:
    full = wanted != _kind(wanted)
    if full and part.removeprefix(_kind(part)) != wanted.removeprefix(_kind(wanted)):
        return False
    return _kind(part) == "zero" or _kind(wanted) in _covering(part)


def _covering(part: str) -> set[str]:
    """The kind of a part, and all of which it is a special case."""
    found, new = set(), {_kind(part)}
    if _kind(part) == "kronecker":
        factors = _parts(part[len("kronecker(") : -1], " ⊗ ")
        if any(factor.startswith("I") or "block_diagonal" in _covering(factor) for factor in factors):
            new.add("block_diagonal")
    while new:
        found |= new
        new = {weaker for kind in new for weaker in KINDS.get(kind, ())} - found
    return found


def _kind(part: str) -> str:
    """What stands before the sizes."""
    return part if len(_parts(part, " + ")) > 1 else re.split(r"\(| (?=\d)", part, maxsplit=1)[0]


def _parts(name: str, separator: str) -> list[str]:
    """The pieces of a name between separators that are in no bracket."""
    pieces = [""]
    for piece in name.split(separator):
        inside = pieces[-1].count("(") > pieces[-1].count(")")
        pieces = [*pieces[:-1], pieces[-1] + separator + piece] if inside else [*pieces, piece]
    return pieces[1:]


def _check_name(require: str) -> None:
    for part in _parts(str(require), " + "):
        if _kind(part) not in KINDS:
            raise ValueError(f"`require` must name a structure ({', '.join(KINDS)}), but got {require!r}")


# where it was lost


def _lost(program: Any, j: int, k: int, fits: Callable[[str], bool]) -> str:
    """The first step on the way to the output after which the Jacobian does not fit, in words."""
    shape, dtype = program.leaves[k].shape, program.leaves[k].dtype
    start = program.inputs[k]
    unit = LinearMap([identity(shape)], shape, shape, dtype)
    made = {id(out): step for step in program.tape.steps for out in step.outs}
    names: dict[int, str] = {}

    def walk() -> None:
        nodes = [start, *(out for step in program.tape.steps for out in step.outs)]
        for node, (J,) in zip(nodes, forward(program.tape, {start: [unit]}, nodes), strict=True):
            if J is not None:
                names[id(node)] = J.structure

    jax.eval_shape(walk)  # names need no arrays
    step = made.get(id(program.outputs[j]))
    while step is not None and fits(unit.structure):
        unfit = [node for node in step.ins if not fits(names.get(id(node), "zero")) and id(node) in made]
        if not unfit:
            break
        step = made[id(unfit[0])]
    if step is None or not step.name:
        return ""
    verb = "lost at" if fits(unit.structure) else "made by"
    return f"; {verb} `{step.name}`, {step.line or 'an unknown line'}"


def _leaf(program: Any, j: int, k: int) -> str:
    """Which leaf it is, if there are several."""
    of = f" of output{_path(program.out_tree, j)}" if len(program.outputs) > 1 else ""
    children = program.tree.children()
    return of + (
        f" with respect to argument{_path(children[0] if len(children) == 1 else program.tree, k)}"
        if len(program.leaves) > 1
        else ""
    )


def _path(tree: Any, k: int) -> str:
    paths = jax.tree_util.tree_flatten_with_path(jax.tree.unflatten(tree, range(tree.num_leaves)))[0]
    return jax.tree_util.keystr(paths[k][0])
