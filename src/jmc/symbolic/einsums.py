"""Code of formulas of any number of axes: every product is an einsum."""

import string
from typing import Any

from jmc.symbolic.code import Coder, rows
from jmc.symbolic.dims import symbols
from jmc.symbolic.functions import FUNCTIONS
from jmc.symbolic.style import number_code
from jmc.symbolic.tensor import Argument, Map, Op, Opaque, Product, Size, Sum, Tensor


class Einsums:
    """Code of formulas of any number of axes."""

    def __init__(self, coder: Coder, sizes: dict[Any, None]):
        self.coder, self.np, self.sizes = coder, coder.np, sizes

    def code(self, tensor: Tensor) -> str:
        """An expression whose value is the array."""
        match tensor:
            case Argument():
                return tensor.name
            case Size():
                self.sizes[tensor.name] = None
                return tensor.name
            case Sum():
                return "(" + " + ".join(map(self.code, tensor.terms)).replace("+ -", "- ") + ")"
            case Product():
                return self._einsum(tensor)
            case Map() if tensor.function == "power":
                return f"({self.code(tensor.args[0])}) ** ({number_code(tensor.number)})"
            case Map():
                function = FUNCTIONS[tensor.function]
                self.coder.need(function.helper)
                return self.coder.fill(function.code, *map(self.code, tensor.args))
            case Opaque():
                return self.coder.part(tensor.name, tensor.by, [self.code(arg) for arg in tensor.args])
            case Op() if tensor.name == "iota":
                return f"{self.np}.arange({self._size(tensor.shape[0])})"
            case Op() if tensor.name.startswith("basis"):
                return f"{self.np}.eye({self._size(tensor.shape[0])})[{self._size(tensor.name[6:])}]"
            case Op() if tensor.name.startswith("rows"):
                _, start, step = tensor.name.split("|")
                return rows(self.np, self._size(start), int(step), *map(self._size, tensor.shape))
            case Op() if tensor.name == "onehot":
                return self.coder.onehot(self.code(tensor.args[0]), self._size(tensor.shape[-1]))
            case Op() if tensor.name.startswith("tri"):
                return f"{self.np}.tri({self._size(tensor.shape[0])}, k={tensor.name[4:]})"
            case Op() if tensor.name == "halved":
                size = self._size(tensor.shape[0])
                return f"({self.np}.tri({size}) - {self.np}.eye({size}) / 2)"
            case Op():
                args = tensor.args
                if tensor.name.startswith("logit error"):
                    args = (*args[0].children, args[1])
                return self.coder.operation(tensor.name, *map(self.code, args))
        raise TypeError(f"`tensor` must be a formula, but got {type(tensor).__name__}")

    def _size(self, dim: Any) -> str:
        self.sizes.update((name, None) for name in symbols(dim))
        return str(dim)

    def _einsum(self, tensor: Product) -> str:
        letters = dict(enumerate(string.ascii_letters[: len(tensor.dims)]))
        rest = iter(string.ascii_letters[len(tensor.dims) :])
        specs = ["".join(letters[label] for label in labels) for _, labels in tensor.factors]
        operands = [self.code(factor) for factor, _ in tensor.factors]
        out, seen, used = "", set(), {label for _, labels in tensor.factors for label in labels}
        for label in tensor.out:
            if label in seen:
                letter = next(rest)
                specs.append(letters[label] + letter)
                operands.append(f"{self.np}.eye({self._size(tensor.dims[label])})")
                used.add(label)
            else:
                letter = letters[label]
            seen.add(label)
            out += letter
        for label in dict.fromkeys(tensor.out):
            if label not in used:
                specs.append(letters[label])
                operands.append(f"{self.np}.ones({self._size(tensor.dims[label])})")
        best = ", optimize=True" if len(operands) > 2 and self.np == "np" else ""
        number = number_code(tensor.coefficient)
        if not operands:
            return number if number.isdigit() else f"({number})"
        inner = f'{self.np}.einsum("{",".join(specs)}->{out}", {", ".join(operands)}{best})'
        if len(operands) == 1 and specs[0] == out:
            inner = operands[0]
        return inner if tensor.coefficient == 1 else f"({number}) * {inner}"
