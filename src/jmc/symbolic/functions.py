"""Functions applied entry by entry: how each is written, what it is in code, and its derivative as a formula.

``text`` and ``latex`` are templates of the arguments; a bare name is written as a call. The code is stable where the
textbook form is not: 1 − σ(x) is computed as σ(−x), 1 − tanh² x as sech² x.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from jmc.symbolic.algebra import add, full, negated, number, power, product, reciprocal, repeated, scale, times
from jmc.symbolic.sources import DENSITY, ERF, SECH2, SIGMOID, SPECIAL
from jmc.symbolic.tensor import Argument, Map, Op, Product, Size, Sum, Tensor, constant, is_mask

Slope = Callable[..., Tensor | None]


@dataclass(frozen=True)
class Function:
    """An element-wise function.

    Attributes:
        text, latex: a name, or a template with {0}, {1} for the arguments.
        code: the template of the code, with {np} for the module of arrays.
        slopes: the derivative with respect to each argument, as a formula of the arguments; None is 0.
        helper: the definition that the code calls.
        condition: where it is defined or has a kink, as a template.
    """

    text: str
    latex: str
    code: str
    slopes: Sequence[Slope] = ()
    helper: str = ""
    condition: str = ""


def _zero(*_: Tensor) -> None:
    return None


def _f(name: str) -> Callable[..., Tensor]:
    return lambda *args: apply(name, *args)


def _one(x: Tensor) -> Tensor:
    return full(1, x.shape)


def _compared(sign: str, latex: str, code: str) -> Function:
    code = f"{{np}}.where({{0}} {code} {{1}}, 1.0, 0.0)"  # a number, which every dtype takes
    return Function(f"1[{{0}} {sign} {{1}}]", rf"\mathbf{{{{1}}}}[{{0}} {latex} {{1}}]", code, (_zero, _zero))


FUNCTIONS: dict[str, Function] = {
    "exp": Function("exp", r"\exp", "{np}.exp({0})", (_f("exp"),)),
    "log": Function("ln", r"\ln", "{np}.log({0})", (reciprocal,), condition="{0} > 0"),
    "log1p": Function("ln(1 + {0})", r"\ln(1 + {0})", "{np}.log1p({0})", (lambda x: reciprocal(add([_one(x), x])),)),
    "expm1": Function("exp({0}) − 1", r"\exp({0}) - 1", "{np}.expm1({0})", (_f("exp"),)),
    "sin": Function("sin", r"\sin", "{np}.sin({0})", (_f("cos"),)),
    "cos": Function("cos", r"\cos", "{np}.cos({0})", (lambda x: scale(-1, apply("sin", x)),)),
    "tan": Function("tan", r"\tan", "{np}.tan({0})", (lambda x: add([_one(x), power(apply("tan", x), 2)]),)),
    "sinh": Function("sinh", r"\sinh", "{np}.sinh({0})", (_f("cosh"),)),
    "cosh": Function("cosh", r"\cosh", "{np}.cosh({0})", (_f("sinh"),)),
    "asin": Function("arcsin", r"\arcsin", "{np}.arcsin({0})", (lambda x: power(_under(x, -1), Fraction(-1, 2)),)),
    "acos": Function(
        "arccos", r"\arccos", "{np}.arccos({0})", (lambda x: scale(-1, power(_under(x, -1), Fraction(-1, 2))),)
    ),
    "atan": Function("arctan", r"\arctan", "{np}.arctan({0})", (lambda x: reciprocal(_under(x, 1)),)),
    "asinh": Function(
        "arsinh", r"\operatorname{arsinh}", "{np}.arcsinh({0})", (lambda x: power(_under(x, 1), Fraction(-1, 2)),)
    ),
    "tanh": Function("tanh", r"\tanh", "{np}.tanh({0})", (_f("sech2"),)),
    "sech2": Function(
        "1 − tanh²({0})",
        r"1 - \tanh^2({0})",
        "sech2({0})",
        (lambda x: scale(-2, times(apply("tanh", x), apply("sech2", x))),),
        SECH2,
    ),
    "sigmoid": Function(
        "σ", r"\sigma", "sigmoid({0})", (lambda x: times(apply("sigmoid", x), apply("cosigmoid", x)),), SIGMOID
    ),
    "cosigmoid": Function(
        "1 − σ({0})",
        r"1 - \sigma({0})",
        "sigmoid(-({0}))",
        (lambda x: scale(-1, times(apply("sigmoid", x), apply("cosigmoid", x))),),
        SIGMOID,
    ),
    "softplus": Function("softplus", r"\operatorname{softplus}", "{np}.logaddexp({0}, 0)", (_f("sigmoid"),)),
    "log_sigmoid": Function("ln σ({0})", r"\ln\sigma({0})", "(-{np}.logaddexp(-({0}), 0))", (_f("cosigmoid"),)),
    "relu": Function(
        "relu", r"\operatorname{relu}", "{np}.maximum({0}, 0)", (_f("step"),), condition="{0} = 0: the value 0 is taken"
    ),
    "step": Function("1[{0} > 0]", r"\mathbf{{1}}[{0} > 0]", "{np}.where({0} > 0, 1.0, 0.0)", (_zero,)),
    "abs": Function("|{0}|", r"\left|{0}\right|", "abs({0})", (_f("sign"),), condition="{0} = 0: the value 0 is taken"),
    "sign": Function("sign", r"\operatorname{sign}", "{np}.sign({0})", (_zero,)),
    "erf": Function(
        "erf",
        r"\operatorname{erf}",
        "erf({0})",
        (
            lambda x: scale(
                2, times(apply("exp", scale(-1, power(x, 2))), power(number(3.141592653589793), Fraction(-1, 2)))
            ),
        ),
        ERF,
    ),
    "Phi": Function("Φ", r"\Phi", "ndtr({0})", (_f("phi"),), ERF),
    "phi": Function("φ", r"\varphi", "density({0})", (lambda x: scale(-1, times(x, apply("phi", x))),), DENSITY),
    "lgamma": Function("ln Γ({0})", r"\ln\Gamma({0})", "special.gammaln({0})", (_f("digamma"),), SPECIAL),
    "digamma": Function("ψ", r"\psi", "special.digamma({0})", (_f("trigamma"),), SPECIAL),
    "trigamma": Function("ψ′", r"\psi'", "special.polygamma(1, {0})", (), SPECIAL),
    "erf_inv": Function(
        "erf⁻¹",
        r"\operatorname{erf}^{-1}",
        "special.erfinv({0})",
        (
            lambda x: scale(
                Fraction(1, 2),
                times(power(number(math.pi), Fraction(1, 2)), apply("exp", power(apply("erf_inv", x), 2))),
            ),
        ),
        SPECIAL,
    ),
    "acosh": Function(
        "arcosh",
        r"\operatorname{arcosh}",
        "{np}.arccosh({0})",
        (lambda x: power(add([power(x, 2), scale(-1, _one(x))]), Fraction(-1, 2)),),
        condition="{0} > 1",
    ),
    "atanh": Function("artanh", r"\operatorname{artanh}", "{np}.arctanh({0})", (lambda x: reciprocal(_under(x, -1)),)),
    "atan2": Function(
        "atan2",
        r"\operatorname{atan2}",
        "{np}.arctan2({0}, {1})",
        (
            lambda y, x: times(x, reciprocal(add([power(x, 2), power(y, 2)]))),
            lambda y, x: scale(-1, times(y, reciprocal(add([power(x, 2), power(y, 2)])))),
        ),
    ),
    "floor": Function("⌊{0}⌋", r"\left\lfloor {0} \right\rfloor", "{np}.floor({0})", (_zero,)),
    "ceil": Function("⌈{0}⌉", r"\left\lceil {0} \right\rceil", "{np}.ceil({0})", (_zero,)),
    "round": Function("round", r"\operatorname{round}", "{np}.round({0})", (_zero,)),
    "pow": Function(
        "{0}^{1}",
        r"{0}^{{{1}}}",
        "({0} ** {1})",
        (
            lambda x, y: times(y, apply("pow", x, add([y, full(-1, y.shape)]))),
            lambda x, y: times(apply("pow", x, y), apply("log", x)),
        ),
        condition="{0} > 0",
    ),
    "maximum": Function("max", r"\max", "{np}.maximum({0}, {1})", (_f("gt"), lambda a, b: apply("gt", b, a))),
    "minimum": Function("min", r"\min", "{np}.minimum({0}, {1})", (_f("lt"), lambda a, b: apply("lt", b, a))),
    "where": Function(
        "({1} if {0}, else {2})",
        r"({1} \text{{ if }} {0} \text{{, else }} {2})",
        "{np}.where({0}, {1}, {2})",
        (_zero, lambda c, *_: c, lambda c, *_: apply("not", c)),
    ),
    "not": Function("1 − {0}", r"1 - {0}", "(1 - {0})", (_zero,)),
    "stop": Function("{0}", "{0}", "{0}", (_zero,)),
    "gt": _compared(">", ">", ">"),
    "ge": _compared("≥", r"\ge", ">="),
    "lt": _compared("<", "<", "<"),
    "le": _compared("≤", r"\le", "<="),
    "eq": _compared("=", "=", "=="),
    "ne": _compared("≠", r"\ne", "!="),
}
_OPPOSITE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}


def _under(x: Tensor, sign: int) -> Tensor:
    """1 ± x²."""
    return add([_one(x), scale(sign, power(x, 2))])


def apply(name: str, *args: Tensor) -> Tensor:
    """The function at these arguments, which have one shape or are scalars; written the shortest way that is known."""
    shape = max((arg.shape for arg in args), key=len)
    x = args[0]
    inner = x.function if isinstance(x, Map) else x.name if isinstance(x, Op) else ""
    match name:
        case "exp" if inner == "log":
            return x.children[0]
        case "exp" if inner == "log_softmax":
            return Op(shape, "softmax", x.children)
        case "exp" | "expm1" if constant(x) == 0:
            return full(1 if name == "exp" else 0, shape)
        case "log" | "log1p" if (u := _one_plus_exp(x, name)) is not None:
            return apply("softplus", u)
        case "log" if inner == "exp":
            return x.children[0]
        case "log" if inner == "softmax":
            return Op(shape, "log_softmax", x.children)
        case "log" if inner == "det":
            return Op((), "logdet", x.children)
        case "log" if inner in ("sigmoid", "cosigmoid"):
            return apply("log_sigmoid", x.children[0] if inner == "sigmoid" else negated(x.children[0]))
        case "log" if (u := _one_minus_sigmoid(x)) is not None:
            return apply("log_sigmoid", negated(u))
        case "log" if constant(x) == 1:
            return full(0, shape)
        case "sigmoid" | "cosigmoid" if _leads_negative(x):
            return apply("cosigmoid" if name == "sigmoid" else "sigmoid", negated(x))
        case "maximum" if constant(x) == -math.inf:
            return args[1]
        case "maximum" if constant(args[1]) == 0:
            return apply("relu", x)
        case "maximum" if constant(x) == 0:
            return apply("relu", args[1])
        case "gt" if constant(args[1]) == 0 and len(x.shape) == len(shape):
            return x if is_mask(x) else apply("step", x)
        case "relu" if inner == "spectral norm":
            return x
        case "abs" | "relu" | "step" | "sign" if inner == "exp":
            return full(1, shape) if name in ("step", "sign") else x
        case "sign" if inner == "sign":
            return x
        case "lt" if constant(args[1]) == 0 and _counts(x):
            return full(0, shape)  # it counts from 0
        case "not" if inner == "not":
            return x.children[0]
        case "not" if inner in _OPPOSITE:
            return Map(shape, _OPPOSITE[inner], x.children)
        case "where" if constant(args[1]) == 1 and constant(args[2]) == 0 and x.shape == shape:
            return x
        case "where" if args[1] == args[2]:
            return args[1]
        case "where" if constant(args[1]) == 0 and inner == "le" and _at_most_zero(x, args[2]):
            return apply("relu", args[2])
        case "where" if constant(args[2]) == 0 and inner == "step" and args[1] == x.children[0]:
            return apply("relu", args[1])
        case "where" if (known := truth(x)) is not None:
            chosen = args[1] if known else args[2]
            return chosen if chosen.shape == shape else repeated(chosen, shape, ())
    scalars = [_scalar(arg) for arg in args]
    if shape and None not in scalars:
        return repeated(apply(name, *(scalar for scalar in scalars if scalar is not None)), shape, ())
    return Map(shape, name, args)


def _scalar(tensor: Tensor) -> Tensor | None:
    """The scalar that is repeated in an array."""
    if isinstance(tensor, Product) and tensor.shape and len(set(tensor.out)) == len(tensor.out):
        labels = {label for _, labels in tensor.factors for label in labels}
        if not labels & set(tensor.out):
            return product(tensor.coefficient, tensor.factors, (), {k: tensor.dims[k] for k in labels})
    return None if tensor.shape else tensor


def _counts(x: Tensor) -> bool:
    """Whether it is no less than 0: whole numbers that are given count from 0."""
    given = isinstance(x, Argument) and "integer" in x.facts
    alone = isinstance(x, Product) and x.coefficient == 1 and len(x.factors) == 1
    return given or (isinstance(x, Op) and x.name in ("iota", "argmax", "argmin")) or (alone and _counts(x.children[0]))


def _at_most_zero(condition: Tensor, x: Tensor) -> bool:
    return condition.children[0] == x and constant(condition.children[1]) == 0


def truth(condition: Tensor) -> bool | None:
    """What a condition is, if it is decided by numbers."""
    condition = _scalar(condition) or condition
    value = constant(condition)
    if value is not None:
        return value != 0
    if isinstance(condition, Map) and condition.function in ("step", *_OPPOSITE):
        numbers = [constant(arg) for arg in condition.args]
        if condition.function == "step":
            numbers.append(Fraction(0))
        a, b = numbers
        if isinstance(condition.args[0], Size):
            a = Fraction(1) if b == 0 else None  # an axis has entries
        if a is None or b is None:
            return None
        return {
            "step": a > b, "gt": a > b, "ge": a >= b, "lt": a < b, "le": a <= b, "eq": a == b, "ne": a != b
        }[condition.function]  # fmt: skip
    return None


def _one_plus_exp(x: Tensor, name: str) -> Tensor | None:
    """u of 1 + exp(u), or for log1p of exp(u)."""
    if name == "log1p":
        return x.args[0] if isinstance(x, Map) and x.function == "exp" else None
    if isinstance(x, Sum) and len(x.terms) == 2:
        for one, other in (x.terms, x.terms[::-1]):
            if constant(one) == 1 and isinstance(other, Map) and other.function == "exp":
                return other.args[0]
    return None


def logistic_of(denominator: Tensor) -> Tensor | None:
    """1/(1 + exp(u)) as σ(−u)."""
    u = _one_plus_exp(denominator, "log")
    return None if u is None else apply("sigmoid", negated(u))


def _one_minus_sigmoid(x: Tensor) -> Tensor | None:
    if isinstance(x, Sum) and len(x.terms) == 2:
        for one, other in (x.terms, x.terms[::-1]):
            if constant(one) == 1 and isinstance(other, Product) and other.coefficient == -1:
                inner = negated(other)
                if isinstance(inner, Map) and inner.function == "sigmoid":
                    return inner.args[0]
    return None


def _leads_negative(x: Tensor) -> bool:
    """Whether it is written with a minus in front."""
    terms = x.terms if isinstance(x, Sum) else (x,)
    return all(isinstance(term, Product) and term.coefficient < 0 for term in terms)
