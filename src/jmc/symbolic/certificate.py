"""The certificate of a formula: its code against AD and differences, at random points of two sizes, in float64."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from jmc.checking.oracles import QUICK, Estimate, double_precision, ridders
from jmc.symbolic.code import Coder
from jmc.symbolic.derivative import NoFormula
from jmc.symbolic.dims import value
from jmc.symbolic.einsums import Einsums
from jmc.symbolic.inputs import Inputs
from jmc.symbolic.opaque import Bound
from jmc.symbolic.rebuilt import written_out
from jmc.symbolic.tensor import Argument, Tensor
from jmc.symbolic.tied import tied

POINTS = 2  # of each set of sizes
CERTIFIED = (0, 2)  # of the sets of sizes the first, in which the function was read, and one in which it was not
NORMWISE, ENTRYWISE = 1e-10, 1e-8
KINDS = ("normal", "positive", "unit", "negative")


class NotCertified(NoFormula):
    """The formula that was found does not agree with the derivative: it is not a result."""


@dataclass(frozen=True)
class Certificate:
    """What a formula was held to.

    Attributes:
        ok: whether it agreed everywhere; a Derivation exists only if it did.
        max_error: the largest difference to an oracle, relative to the largest entry of the derivative.
        points: how many arguments were drawn.
        sizes: the two sets of sizes.
        oracles: what it was compared with.
        versions: of jax and numpy.
    """

    ok: bool
    max_error: float
    points: int
    sizes: tuple[dict[str, int], ...]
    oracles: tuple[str, ...]
    versions: dict[str, str]

    def __str__(self) -> str:
        names = ", ".join(self.oracles)
        sizes = " and ".join(", ".join(f"{k} = {v}" for k, v in s.items()) for s in self.sizes if s)
        at = f" ({sizes})" if sizes else ""
        return f"certified at {self.points} points{at} against {names}: largest error {self.max_error:.1g}"


Sample = tuple[dict[str, int], list[np.ndarray]]


def certify(
    f: Callable[..., Any], inputs: Inputs, wrt: Argument, order: int, codes: dict[str, str], name: str
) -> tuple[Certificate, Sample]:
    """The certificate of code for the derivative of a function of arrays, and one of its points.

    Raises NotCertified.
    """
    argnum, kind = [a.name for a in inputs.arguments].index(wrt.name), tied(wrt)

    def whole(args: Sequence[Any]) -> list[Any]:
        with double_precision():
            return [kind.matrix(a) if kind and k == argnum else a for k, a in enumerate(args)]

    below = _derived(lambda *args: f(*whole(args)), argnum, order - 1)
    compiled: dict[str, Any] = {target: bound(load(code, name), f, inputs) for target, code in codes.items()}
    if "jax" in compiled:
        compiled["jax"] = jax.jit(compiled["jax"], compiler_options=QUICK)
    worst, oracles = 0.0, {}
    used, samples = [], []
    for which in CERTIFIED:
        for usable in _usable(below, inputs, which, argnum):
            sizes, points = usable
            try:
                values = [
                    {target: _value(g, whole(args)) for target, g in compiled.items() if target != "jax" or not point}
                    for point, (args, _) in enumerate(points)
                ]
            except np.linalg.LinAlgError:  # XᵀX has no inverse if X has more columns than rows
                continue
            except (TypeError, ValueError) as error:  # the sizes of two axes are one in what was traced
                raise NotCertified(f"the formula's code does not run at sizes {sizes}") from error
            break
        else:
            raise NotCertified("no arguments were found at which AD, differences and the formula are defined")
        used.append(sizes)
        samples.append((sizes, [np.asarray(a) for a in whole(points[0][0])]))
        for found, (_, estimates) in zip(values, points, strict=True):
            for estimate in estimates:
                oracles[estimate.name] = None
                for target, array in found.items():
                    worst = max(worst, _difference(array, estimate, target))
    certificate = Certificate(
        ok=True,
        max_error=worst,
        points=2 * POINTS,
        sizes=tuple(used),
        oracles=tuple(oracles),
        versions={"jax": jax.__version__, "numpy": np.__version__},
    )
    return certificate, samples[0]


def bound(code: Callable[..., Any], f: Callable[..., Any], given: Inputs) -> Bound:
    """Code with the parts of the program that have only a name."""

    def evaluate(tensor: Tensor, args: Sequence[Any], parts: Mapping[str, Any]) -> Any:
        sizes = {
            dim: n
            for a, x in zip(given.arguments, args, strict=True)
            for dim, n in zip(a.shape, jnp.shape(x), strict=True)
        }
        return evaluator(tensor, (), {str(dim): n for dim, n in sizes.items() if str(dim).isidentifier()}, parts)()

    return Bound(code, f, given.parts, evaluate)


def evaluator(
    tensor: Tensor, names: Sequence[str], sizes: Mapping[str, int], parts: Mapping[str, Any]
) -> Callable[..., Any]:
    """A formula as a function of the arrays with these names."""
    coder = Coder("jax")
    code = Einsums(coder, {}).code(written_out(tensor))
    lines = [*coder.helpers, f"def value({', '.join(names)}):"]
    lines += [f"    {symbol} = {size}" for symbol, size in sizes.items()]
    lines.append(f"    return jnp.asarray({code})")
    return load("\n".join(lines), "value", parts)


def load(code: str, name: str, parts: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The function that a derivation's code defines."""
    space: dict[str, Any] = {"np": np, "jnp": jnp, "jax": jax, **(parts or {})}
    exec(compile(code, "<derivation>", "exec"), space)
    return space[name]


def _value(g: Callable[..., Any], args: Sequence[np.ndarray]) -> np.ndarray:
    with double_precision(), np.errstate(all="ignore"):
        return np.asarray(g(*args), np.float64)


def _difference(value: np.ndarray, estimate: Estimate, target: str) -> float:
    """The largest relative error beyond the oracle's own. Raises NotCertified if it is too large."""
    reference = estimate.jacobian
    if value.shape != reference.shape:
        raise NotCertified(f"the formula's shape {value.shape} is not the derivative's, {reference.shape}")
    if not value.size:
        return 0.0
    known = np.isfinite(reference)
    size = np.abs(reference[known]).max(initial=0)
    error = np.zeros(value.shape) if estimate.error is None else np.nan_to_num(estimate.error, posinf=0)
    off = np.maximum(np.abs(value - reference) - error, 0)[known]
    if not np.all(off <= NORMWISE * max(size, 1e-3) + ENTRYWISE * np.abs(reference[known])):
        at = np.unravel_index(int(np.nanargmax(np.where(known, np.abs(value - reference), -1))), value.shape)
        raise NotCertified(
            f"the formula's {target} code gives {value[at]:.9g} where {estimate.name} says {reference[at]:.9g}"
        )
    return float(off.max(initial=0) / max(size, 1e-3))


Points = list[tuple[list[np.ndarray], list[Estimate]]]


def _usable(f: Callable[..., Any], inputs: Inputs, which: int, argnum: int) -> Iterator[tuple[dict[str, int], Points]]:
    """Sizes and arguments at which the oracles agree with each other."""
    sizes, flat = inputs.sizes.at(which), []  # where the derivative is 0 there is little to compare
    swapped = dict(zip(sizes, reversed(sizes.values()), strict=True))
    rotated = dict(zip(sizes, [*list(sizes.values())[1:], *list(sizes.values())[:1]], strict=True))
    for chosen in (sizes, swapped, rotated) if len(sizes) > 1 else (sizes,):
        known: dict[str, Any] = {}
        for kind in KINDS:
            points = _points(f, inputs, chosen, kind, argnum, known)
            if points and _agree(points[0][1]):
                if np.max(np.abs(points[0][1][0].jacobian), initial=0) > 1e-6:
                    yield chosen, points
                else:
                    flat.append((chosen, points))
                break
    yield from flat


def _agree(estimates: Sequence[Estimate]) -> bool:
    """Whether every oracle says the same as the first, as far as it can tell."""
    reference = estimates[0].jacobian
    if not reference.size:
        return True
    size = np.abs(reference).max()
    for estimate in estimates[1:]:
        error = 0 if estimate.error is None else estimate.error
        if not np.all(np.abs(estimate.jacobian - reference) <= 1e-6 * size + 1e-9 + error) or np.max(error) > 1e-3 * (
            size + 1
        ):
            return False
    return True


def _derived(f: Callable[..., Any], argnum: int, times: int) -> Callable[..., Any]:
    """The derivative by AD, in reverse where there is such a rule."""

    def g(*args: Any) -> Any:
        try:
            return jax.jacrev(f, argnum)(*args)
        except ValueError:  # of a loop of unknown length there is none
            return jax.jacfwd(f, argnum)(*args)

    return f if times == 0 else _derived(g, argnum, times - 1)


def _points(
    f: Callable[..., Any], inputs: Inputs, sizes: dict[str, int], drawn: str, argnum: int, known: dict[str, Any]
) -> Points:
    """Arguments at which the function and its derivative are finite, and what the oracles say there.

    ``known`` keeps what is compiled for these sizes. There are none at sizes that the function does not take.
    """
    found: Points = []
    kind = tied(inputs.arguments[argnum])
    with double_precision():
        rng = np.random.default_rng(0)
        for _ in range(4 * POINTS):
            args = [_draw(a, sizes, drawn, rng) for a in inputs.arguments]
            if kind:
                args[argnum] = np.asarray(kind.free(args[argnum]))
            if not known:
                try:
                    jax.eval_shape(f, *args)
                except (TypeError, ValueError):
                    return []
                known["slopes"] = _slopes(f, argnum, args)
            names, slopes = known["slopes"]
            value, *found_by = (np.asarray(array, np.float64) for array in slopes(*args))
            if all(np.all(np.isfinite(array)) for array in (value, *found_by)):
                found.append((args, [Estimate(n, array) for n, array in zip(names, found_by, strict=True)]))
            if len(found) == POINTS and _agree(found[0][1]):
                found[0][1].append(ridders(f, found[0][0], argnum))
                return found
            if len(found) == POINTS:
                return []
    return []


def _slopes(f: Callable[..., Any], argnum: int, args: Sequence[Any]) -> tuple[list[str], Callable[..., Any]]:
    """The value and its derivative by each kind of AD that there is, with their names."""
    modes = {"forward AD": jax.jacfwd, "reverse AD": jax.jacrev}

    def compiled(names: Sequence[str]) -> Any:
        return jax.jit(lambda *a: (f(*a), *(modes[n](f, argnum)(*a) for n in names)), compiler_options=QUICK)

    try:
        return list(modes), compiled(list(modes)).lower(*args).compile()
    except (TypeError, ValueError, NotImplementedError):
        for name in modes:
            try:
                return [name], compiled([name]).lower(*args).compile()
            except (TypeError, ValueError, NotImplementedError):
                continue
    raise NoFormula("the function has no derivative by automatic differentiation, which its formula would be held to")


def _draw(argument: Argument, sizes: dict[str, int], kind: str, rng: np.random.Generator) -> np.ndarray:
    shape = tuple(value(dim, sizes) for dim in argument.shape)
    facts = argument.facts
    if "integer" in facts:
        return rng.integers(0, 2, shape)
    if "one-hot" in facts:
        return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    square = len(shape) == 2 and argument.shape[0] == argument.shape[1]
    x = rng.normal(size=shape)
    if "orthogonal" in facts:
        return np.linalg.qr(x)[0]
    if "diagonal" in facts:
        return np.diag(rng.uniform(0.5, 2, shape[:1]))
    if {"spd", "psd"} & facts or (square and kind == "positive"):
        return x @ x.T / len(x) + np.eye(len(x))
    if "symmetric" in facts:
        return (x + x.T) / 2
    if "positive" in facts or kind == "positive":
        return rng.uniform(0.5, 2, shape)
    if kind == "negative":
        return -rng.uniform(0.5, 2, shape)
    return rng.uniform(0.1, 0.9, shape) / max(1, shape[-1] if shape else 1) if kind == "unit" else x
