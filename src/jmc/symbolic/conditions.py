"""Where a formula holds: domains, and what is taken at kinks."""

from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.matrix import NotMatrix, matrix
from jmc.symbolic.patterns import positive
from jmc.symbolic.printer import text
from jmc.symbolic.tensor import Argument, Map, Op, Size, Tensor, moves

CONDITIONS = {
    "max": "a single largest entry of {0}",
    "min": "a single smallest entry of {0}",
    "argmax": "a single largest entry of {0}",
    "argmin": "a single smallest entry of {0}",
    "prod": "{0} ≠ 0",
    "singular values": "{0} of full rank, and singular values that differ",
    "spectral norm": "a single largest singular value of {0}",
    "eigenvectors": "eigenvalues of {0} that differ",
}


def conditions(value: Tensor) -> tuple[str, ...]:
    """What must hold at the arguments of a function for its derivative to be this formula."""
    found: dict[str, None] = {}
    _collect(value, found, set())
    return tuple(found)


def _collect(tensor: Tensor, found: dict[str, None], seen: set[Tensor]) -> None:
    if tensor in seen:
        return
    seen.add(tensor)
    if isinstance(tensor, Map) and (positive(tensor.args[0]) or isinstance(tensor.args[0], Size)):
        _collect(tensor.args[0], found, seen)
        return
    for child in tensor.children:
        _collect(child, found, seen)
    try:
        if isinstance(tensor, Map):
            shown = [text(matrix(arg)) for arg in tensor.args]
            if tensor.function == "power" and moves(tensor.args[0]):
                whole = getattr(tensor.number, "denominator", 0) == 1
                if tensor.number < 0 or not whole:
                    found[f"{_base(tensor, shown[0])} {'≠' if whole or _is_norm(tensor) else '>'} 0"] = None
            elif tensor.function == "log" and _even(tensor.args[0]) is not None:
                found[f"{text(matrix(_even(tensor.args[0]) or tensor))} ≠ 0"] = None
            elif condition := FUNCTIONS[tensor.function].condition if tensor.function in FUNCTIONS else "":
                found[condition.format(*shown)] = None
        elif isinstance(tensor, Op) and tensor.name in CONDITIONS:
            found[CONDITIONS[tensor.name].format(text(matrix(tensor.args[0])))] = None
        elif isinstance(tensor, Op) and tensor.name in ("inv", "logdet", "det"):
            facts = tensor.args[0].facts if isinstance(tensor.args[0], Argument) else frozenset()
            if not {"spd", "orthogonal", "invertible"} & facts:
                found[f"{text(matrix(tensor.args[0]))} invertible"] = None
    except NotMatrix:
        pass


def _even(tensor: Tensor) -> Tensor | None:
    """x of x², x⁴, …"""
    even = isinstance(tensor, Map) and tensor.function == "power" and tensor.number % 2 == 0
    return tensor.children[0] if even else None


def _is_norm(tensor: Map) -> bool:
    return text(matrix(tensor)).startswith("‖") or "/‖" in text(matrix(tensor))


def _base(tensor: Map, shown: str) -> str:
    return shown if not _is_norm(tensor) else text(matrix(tensor)).removeprefix("1/").rstrip("²³")
