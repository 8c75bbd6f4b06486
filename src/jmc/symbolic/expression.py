"""Expressions in the notation of NumPy and JAX as functions, without evaluating code: a few names, operators, methods.

What is wrong is said at its place, and shapes in the user's own symbols.
"""

import ast
import difflib
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp


class BadExpression(ValueError):  # noqa: N818 - it reads as what it says
    """What cannot be read, with the place of it: ``str()`` has a caret under it."""

    def __init__(self, reason: str, source: str, node: ast.expr | None = None, offset: int = 0):
        self.reason = reason
        start = offset if node is None else node.col_offset
        end = start + 1 if node is None or node.end_col_offset is None else node.end_col_offset
        super().__init__(f"{reason}\n  {source}\n  {' ' * start}{'^' * max(end - start, 1)}")


def _norm(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.sum(x * x))


def _extreme(whole: Callable[..., Any], pairwise: Callable[..., Any]) -> Callable[..., Any]:
    """Python's max of several values; of one, the largest entry, as NumPy has it."""

    def of(*values: Any, **settings: Any) -> Any:
        if len(values) < 2:
            return whole(*values, **settings)
        if isinstance(values[-1], int) and jnp.ndim(values[0]):
            name, short, last = pairwise.__name__, pairwise.__name__[:3], values[-1]
            raise ValueError(
                f"`{short}(x, {last})` can be read in two ways: write `{name}(x, {last})` for the entries, "
                f"or `{short}(x, axis={last})`"
            )
        return functools.reduce(pairwise, values)

    return of


def _cross_entropy(logits: jax.Array, target: jax.Array) -> jax.Array:
    return -jnp.sum(target * jax.nn.log_softmax(logits))


_OF_NUMPY = (
    "exp", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "arcsin",
    "arccos", "arctan", "arcsinh", "abs", "sign", "sqrt", "square", "maximum", "minimum", "where", "sum",
    "mean", "var", "std", "trace", "dot", "vdot", "outer", "transpose", "diag", "logaddexp", "matmul",
    "einsum", "prod", "argmax", "argmin", "sort", "cumsum", "cumprod", "diff", "roll", "flip", "kron",
    "concatenate", "median", "tril", "triu", "cross", "clip", "multiply", "divide", "add", "subtract", "power",
    "negative", "arctan2", "arccosh", "arctanh", "log2", "log10", "exp2", "floor", "reciprocal", "inner", "ravel",
)  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(jnp, name) for name in _OF_NUMPY},
    **{name: getattr(jax.nn, name) for name in ("relu", "softplus", "softmax", "log_softmax", "logsumexp", "silu")},
    "sigmoid": jax.nn.sigmoid,
    "log_sigmoid": jax.nn.log_sigmoid,
    "logistic": jax.nn.sigmoid,
    "erf": jax.lax.erf,
    **{name: getattr(jax.nn, name) for name in ("gelu", "elu", "selu", "leaky_relu", "one_hot", "relu6", "swish")},
    **{name: getattr(jnp.linalg, name) for name in ("eigvalsh", "pinv", "matrix_power", "cholesky")},
    **{name: getattr(jax.scipy.special, name) for name in ("gammaln", "digamma", "xlogy", "erfinv", "expit", "ndtr")},
    "expm": jax.scipy.linalg.expm,
    "inv": jnp.linalg.inv,
    "det": jnp.linalg.det,
    "solve": jnp.linalg.solve,
    "slogdet": jnp.linalg.slogdet,
    "logdet": lambda A: jnp.linalg.slogdet(A)[1],
    "norm": _norm,
    "tr": jnp.trace,
    "ln": jnp.log,
    "max": _extreme(jnp.max, jnp.maximum),
    "min": _extreme(jnp.min, jnp.minimum),
    "T": jnp.transpose,
    "cross_entropy": _cross_entropy,
    "I": lambda A: jnp.eye(A.shape[-1], dtype=A.dtype),
    "eye_like": lambda A: jnp.eye(A.shape[-1], dtype=A.dtype),
}
CONSTANTS = {"pi": jnp.pi, "e": jnp.e}
MODULES = {"np", "jnp", "numpy", "jax", "nn", "linalg", "scipy", "special"}
METHODS = {"sum", "mean", "dot", "var", "std", "max", "min", "prod", "trace", "transpose", "ravel", "cumsum"}
OPERATORS: dict[type, tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Add: ("+", lambda a, b: a + b),
    ast.Sub: ("-", lambda a, b: a - b),
    ast.Mult: ("*", lambda a, b: a * b),
    ast.Div: ("/", lambda a, b: a / b),
    ast.MatMult: ("@", lambda a, b: a @ b),
    ast.Pow: ("**", lambda a, b: a**b),
    ast.Gt: (">", lambda a, b: a > b),
    ast.GtE: (">=", lambda a, b: a >= b),
    ast.Lt: ("<", lambda a, b: a < b),
    ast.LtE: ("<=", lambda a, b: a <= b),
    ast.Eq: ("==", lambda a, b: a == b),
    ast.NotEq: ("!=", lambda a, b: a != b),
}


class Expression:
    """An expression as a function of its arguments; ``symbols`` says what sizes are called in messages."""

    def __init__(self, source: str, arguments: Sequence[str]):
        self.source, self.arguments = source, tuple(arguments)
        self.symbols: Mapping[int, str] = {}
        self.__name__ = "f"
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in arguments])
        try:
            self.tree = ast.parse(source.strip(), mode="eval").body
        except SyntaxError as error:
            reason, offset = f"the expression cannot be read: {error.msg}", (error.offset or 1) - 1
            raise BadExpression(reason, source.strip(), offset=offset) from None
        except ValueError as error:
            raise BadExpression(f"the expression cannot be read: {error}", "") from None
        self.source = source.strip()
        if "\n" in self.source:
            raise BadExpression("the expression must be one line", self.source.splitlines()[0])
        self._check(self.tree)

    def __call__(self, *args: Any) -> Any:
        """Its value."""
        return self._value(self.tree, dict(zip(self.arguments, args, strict=True)))

    def _bad(self, reason: str, node: ast.expr) -> BadExpression:
        # columns of ast are bytes of UTF-8
        data = self.source.encode()
        node.col_offset = len(data[: node.col_offset].decode(errors="ignore"))
        if node.end_col_offset is not None:
            node.end_col_offset = len(data[: node.end_col_offset].decode(errors="ignore"))
        return BadExpression(reason, self.source, node)

    def _check(self, node: ast.expr) -> None:
        """Raises BadExpression for what is not of the language."""
        match node:
            case ast.Constant(value=bool() | int() | float()) | ast.Constant(value=str()):
                return
            case ast.Name():
                if node.id not in self.arguments and node.id not in CONSTANTS:
                    known = [*self.arguments, *FUNCTIONS, *CONSTANTS]
                    near = difflib.get_close_matches(node.id, known, 1)
                    hint = f"; did you mean `{near[0]}`?" if near else f'; give its shape, as in "{node.id}: n"'
                    raise self._bad(f"`{node.id}` is neither an argument nor a constant{hint}", node)
            case ast.BinOp(op=ast.BitXor()):
                raise self._bad("a power is written **, not ^", node)
            case ast.BinOp() if type(node.op) in OPERATORS:
                self._check(node.left)
                self._check(node.right)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                self._check(node.operand)
            case ast.Compare() if len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
                self._check(node.left)
                self._check(node.comparators[0])
            case ast.Call():
                self._check_call(node)
            case ast.Attribute(attr="T"):
                self._check(node.value)
            case ast.Subscript():
                self._check(node.value)
                self._check_place(node.slice)
            case ast.Tuple():
                for item in node.elts:
                    self._check(item)
            case _:
                raise self._bad("this is not part of the language of expressions", node)

    def _check_place(self, node: ast.expr | None) -> None:
        match node:
            case None | ast.Constant(value=int()) | ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int())):
                return
            case ast.Slice():
                for bound in (node.lower, node.upper, node.step):
                    self._check_place(bound)
            case ast.Tuple():
                for item in node.elts:
                    self._check_place(item)
            case ast.Constant(value=v) if v is None or v is Ellipsis:
                return
            case _:
                self._check(node)

    def _place(self, node: ast.expr | None, env: Mapping[str, Any]) -> Any:
        match node:
            case ast.Slice():
                return slice(*(self._place(bound, env) for bound in (node.lower, node.upper, node.step)))
            case ast.Tuple():
                return tuple(self._place(item, env) for item in node.elts)
            case None:
                return None
        return self._value(node, env)

    def _check_call(self, node: ast.Call) -> None:
        name = self._function(node)
        method = isinstance(node.func, ast.Attribute) and not _is_module(node.func.value)
        if method and name not in METHODS:
            raise self._bad(f"`.{name}` is not a method that is known ({', '.join(sorted(METHODS))})", node)
        if name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f" ({', '.join(sorted(FUNCTIONS))})"
            raise self._bad(f"`{name}` is not a function that is known{hint}", node.func)
        if isinstance(node.func, ast.Attribute) and method:
            self._check(node.func.value)
        for arg in node.args:
            self._check(arg)
        for keyword in node.keywords:
            if keyword.arg not in ("axis", "keepdims", "ddof"):
                raise self._bad(f"`{name}` takes no `{keyword.arg}` here", keyword.value)
            try:
                ast.literal_eval(keyword.value)
            except ValueError:
                raise self._bad(f"`{keyword.arg}` must be a number or True or False", keyword.value) from None

    def _function(self, node: ast.Call) -> str:
        match node.func:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name
        raise self._bad("only functions by name can be called", node.func)

    def _value(self, node: ast.expr, env: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return env[node.id] if node.id in env else CONSTANTS[node.id]
            case ast.UnaryOp():
                value = self._value(node.operand, env)
                return -value if isinstance(node.op, ast.USub) else value
            case ast.BinOp():
                return self._operation(node, type(node.op), node.left, node.right, env)
            case ast.Compare():
                return self._operation(node, type(node.ops[0]), node.left, node.comparators[0], env)
            case ast.Attribute():
                return jnp.transpose(self._value(node.value, env))
            case ast.Subscript():
                array = self._value(node.value, env)
                try:
                    return array[self._place(node.slice, env)]
                except (TypeError, ValueError, IndexError) as error:
                    raise self._bad(f"a part of {self._said(node.value, array)}: {error}", node) from None
            case ast.Tuple():
                return tuple(self._value(item, env) for item in node.elts)
            case ast.Call():
                return self._call(node, env)
        raise self._bad("this is not part of the language of expressions", node)

    def _operation(self, node: ast.expr, op: type, left: ast.expr, right: ast.expr, env: Mapping[str, Any]) -> Any:
        a, b = self._value(left, env), self._value(right, env)
        sign, f = OPERATORS[op]
        try:
            return f(a, b)
        except (TypeError, ValueError):
            one, other = self._said(left, a), self._said(right, b)
            if sign == "@":
                need = "the last axis of the left side must be the first (of a matrix, the last but one) of the right"
                if not (jnp.ndim(a) and jnp.ndim(b)):
                    need = "neither side may be a scalar; write *"
            else:
                need = "the shapes must be equal, or one of them a scalar or a trailing part of the other"
            raise self._bad(f"`{sign}` of {one} and {other}: {need}", node) from None

    def _said(self, node: ast.expr, value: Any) -> str:
        shape = ", ".join(self.symbols.get(n, str(n)) for n in jnp.shape(value))
        text = ast.get_source_segment(self.source, node) or ""
        return f"{text}: ({shape})"

    def _call(self, node: ast.Call, env: Mapping[str, Any]) -> Any:
        name = self._function(node)
        given = [self._value(arg, env) for arg in node.args]
        nodes = list(node.args)
        if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
            given.insert(0, self._value(node.func.value, env))
            nodes.insert(0, node.func.value)
        options = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
        try:
            return FUNCTIONS[name](*given, **options)
        except (TypeError, ValueError) as error:
            said = ", ".join(self._said(n, v) for n, v in zip(nodes, given, strict=True))
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise self._bad(f"`{name}` of {said}: {first}", node) from None


def _is_module(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name):
            return name in MODULES
        case ast.Attribute(value=inner, attr=name):
            return name in MODULES and _is_module(inner)
    return False
