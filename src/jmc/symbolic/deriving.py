"""`jmc.derive`: a function in, its derivative out as a formula, as code, and with a certificate that it is right."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jmc.checking.oracles import double_precision
from jmc.symbolic.algebra import full
from jmc.symbolic.cancellation import kept
from jmc.symbolic.certificate import certify
from jmc.symbolic.conditions import conditions
from jmc.symbolic.derivation import Derivation, function_name
from jmc.symbolic.derivative import NoFormula, derivative
from jmc.symbolic.indices import Written, indexed
from jmc.symbolic.inputs import Inputs, inputs
from jmc.symbolic.matrix import NotMatrix
from jmc.symbolic.read import Program, read
from jmc.symbolic.rebuilt import written_out
from jmc.symbolic.tensor import Tensor
from jmc.symbolic.tidy import expanded, tidy
from jmc.symbolic.tied import tied
from jmc.symbolic.written import InMatrices, Shapes, in_matrices

LAYOUTS = ("numerator", "denominator", "gradient")


def derive(
    f: Callable[..., Any],
    wrt: str | Sequence[str] | None = None,
    order: int = 1,
    *,
    layout: str | None = None,
    notation: str | None = None,
) -> Callable[..., Any]:
    """The derivative of ``f`` as a formula: ``derive(f, "x")(shape, …)`` is a :class:`Derivation`.

    What cannot be written (a loop, a sort) is a function with a name, h(x), with the Jacobian h′(x); an array that
    ``f`` closes over is a constant with a name. ``Derivation.notes`` says what each is. By a matrix that is said to be
    symmetric the gradient is the symmetric G with df = tr(G dS), by a diagonal one it has a number for each entry.

    Args:
        f: a JAX function of arrays, or nests of them, that returns an array; or a nest of them, which gives a nest.
        wrt: the name of the argument, the first one if None; ``"params.W1"`` in a nest; several give several, and the
            name of a nest a dictionary.
        order: of the derivative, 1 or more.
        layout: "numerator" (∂y_i/∂x_j in row i), "denominator" (its transpose), or "gradient": the shape of the
            argument, for a function that returns a scalar. By default "gradient" for those, as in 2 Aᵀ (A x − b), and
            "numerator" for others.
        notation: "matrix" or "index"; by default matrix notation where there is one.

    Returns:
        A function of a shape for each argument of ``f``, which may also be given by name: a tuple of symbols and sizes,
        ``("m", "n")``; a text with facts, ``"n, n symmetric"``; or an array, of which only the shape counts.

    Raises:
        NoFormula: nothing is left to derive around what has no formula; the message names the operation and its line.
        NotCertified: the formula did not agree with the derivative.
        TypeError, ValueError: an argument or a shape is not what it must be.
    """
    if not callable(f):
        raise TypeError(f"`f` must be callable, but got {type(f).__name__}")
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"`order` must be a whole number of at least 1, but got {order!r}")
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"`layout` must be one of {', '.join(LAYOUTS)}, but got {layout!r}")
    if notation not in (None, "matrix", "index"):
        raise ValueError(f"`notation` must be matrix or index, but got {notation!r}")

    def at(*shapes: Any, **named: Any) -> Any:
        given = inputs(f, shapes, named)
        if isinstance(wrt, str) or wrt is None:
            return _all(f, given, wrt, order, layout, notation)
        return tuple(_all(f, given, one, order, layout, notation) for one in wrt)

    return at


def _all(f: Callable[..., Any], given: Inputs, wrt: str | None, *options: Any) -> Any:
    """The derivation of each result of ``f``, nested as they are; of each array in ``wrt``, if that is a nest."""
    flat = given.flat(f)
    with double_precision():
        program = read(flat, given, _names(f))
    name = getattr(f, "__name__", "f").replace("<lambda>", "f")
    found = {}
    for argument in given.find(given.arguments[0].name if wrt is None else wrt):
        results = []
        for k, path in enumerate(program.paths):
            own = f"{name}{int(path) + 1}" if path.isdigit() else path.rpartition(".")[2] or name
            results.append(_derived(_result(flat, k), program, k, argument, own, *options))
        found[argument.name] = jax.tree.unflatten(program.tree, results)
    return next(iter(found.values())) if len(found) == 1 else found


def _result(flat: Callable[..., Any], k: int) -> Callable[..., Any]:
    return lambda *arrays: jax.tree.leaves(flat(*arrays))[k]


def _names(f: Callable[..., Any]) -> Callable[[np.ndarray], str]:
    """What ``f`` calls an array that it closes over, "" if that is not found."""

    def near(array: np.ndarray) -> str:
        try:
            known = inspect.getclosurevars(f)
        except TypeError:
            return ""
        for name, value in {**known.globals, **known.nonlocals}.items():
            alike = isinstance(value, (np.ndarray, jax.Array)) and value.shape == array.shape
            if alike and np.array_equal(np.asarray(value), array):
                return name
        return ""

    return near


def _in_matrices(found: Tensor, shapes: Shapes, given: Inputs, layout: str, order: int) -> InMatrices | None:
    """In matrix notation, which batches of diag(p) − p pᵀ have only when they are multiplied out; None without one."""
    plain = written_out(found, 2)
    for tensor in (found,) if plain == found else (tidy(plain), tidy(expanded(plain) or plain)):
        try:
            return in_matrices(kept(tensor), shapes, given, layout, order)
        except NotMatrix:
            continue
    return None


def _in_indices(found: Tensor, shapes: Shapes, given: Inputs) -> Written:
    """In index notation, where diag(p) − p pᵀ has two terms: with what they share taken out, if that is shorter."""
    plain = written_out(found)
    ways = [found] if plain == found else [found, tidy(plain)]
    return min((indexed(kept(tensor), shapes, given) for tensor in ways), key=lambda written: written.size)


def _derived(
    flat: Callable[..., Any],
    program: Program,
    k: int,
    argument: Any,
    name: str,
    order: int,
    layout: str | None,
    notation: str | None,
) -> Derivation:
    value, given, kind = program.values[k], program.given, tied(argument)
    with double_precision():
        found = value
        for _ in range(order):
            found = derivative(found, argument) or full(0, found.shape + argument.shape)
            found = kind.derivative(found) if kind else found
        found = tidy(found)
        layout = layout or ("numerator" if value.shape else "gradient")
        by = found.shape[len(found.shape) - (len(found.shape) - len(value.shape)) // order :]
        full_by = given.named(argument.name).shape if len(by) == len(argument.shape) else by
        shapes = by, value.shape, program.shapes[k] + full_by * order
        written = _in_matrices(found, shapes, given, layout, order) if notation != "index" else None
        if written is None and notation == "matrix":
            raise NoFormula("the derivative has no matrix notation; index notation has it")
        written = _in_indices(found, shapes, given) if written is None else written
    function = function_name(name, order)
    codes = {target: written.code(function, target, order) for target in ("jax", "numpy")}
    certificate, sample = certify(flat, given, argument, order, codes, function)
    return Derivation(
        f=name,
        wrt=argument.name,
        order=order,
        layout=layout,
        notation="matrix" if isinstance(written, InMatrices) else "index",
        conditions=conditions(value),
        certificate=certificate,
        _written=written,
        _codes=codes,
        _read=(value, argument, given, sample),
        _flat=flat,
    )
