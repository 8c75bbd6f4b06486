"""The record of a rule: a primal, what it takes, and its derivatives in closed form."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue.domain import draw
from jmc.catalogue.signature import Parameter
from jmc.linear import build
from jmc.linear.linear_map import LinearMap

Formula = Callable[..., Any]
PRIMES = (3, 5, 7, 2, 11, 13, 17)
"""Sizes of axes: distinct, so that a transposed or swapped axis cannot pass."""


@dataclass(frozen=True, eq=False, repr=False)
class Rule:
    """A primal and its derivatives; two rules are equal only if they are the same object.

    Attributes:
        name: of the function, or a few words.
        f: the primal, on arrays that fit ``parameters``: plain JAX, which JAX differentiates by itself.
        parameters: its arguments.
        jacobians: per argument ``(*args) -> ∂f/∂argument``, a LinearMap, or an array of shape ``out + in`` (for a
            scalar f, its gradient); None where only a vjp is stated, or nothing.
        vjps: per argument ``(u, value, *args) -> uᵀ ∂f/∂argument``, written by itself for accuracy or speed.
        argnum: the argument, or arguments, that this rule is about.
        ids: the identities of the sources that it states.
        derivative, second: f′ and f″ of an element-wise rule, in its first argument (the others are scalars);
            ``second`` of any other rule is ``(*args) -> ∂²f/∂x∂x`` of the first argument that it is about, as a
            Jacobian of its gradient.
        source: where the formula comes from (section, equation).
        conditions: what must hold beyond what the arguments' kinds say.
        kinks: where the derivative is a convention, and which one is taken.
        kinks_at: of an element-wise rule, the points where that is.
        analytic: the primal is complex-analytic as it is written, so that a complex step may check it.
        decreasing: axes whose sizes decrease in this order.
        small: the sizes that axes are drawn with, where primes would be too large or would not do.
        options: the values of the primal's keyword-only arguments (a stride, ε) that this rule has.
        examples: the value has the leading axes ``*n`` of its arguments, and each example is by itself.
        erratum, printed: what is wrong with the formula in the source, and that formula as code.
        steps: of a worked example, its intermediate variables.
    """

    name: str
    f: Formula
    parameters: tuple[Parameter, ...]
    jacobians: tuple[Formula | None, ...]
    argnum: int | tuple[int, ...]
    vjps: tuple[Formula | None, ...] = ()
    ids: tuple[str, ...] = ()
    derivative: Formula | None = None
    second: Formula | None = None
    source: str = ""
    conditions: str = ""
    kinks: str = ""
    kinks_at: tuple[float, ...] = ()
    analytic: bool = False
    decreasing: tuple[str, ...] = ()
    small: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    examples: bool = False
    erratum: str = ""
    printed: Formula | None = None
    steps: Any = None

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {' '.join(self.ids)})" if self.ids else f"Rule({self.name!r})"

    @property
    def family(self) -> str:
        """The file of the catalogue that it stands in."""
        return (self.f.__module__ or "").rpartition(".")[2]  # what exec defines may have no module

    @property
    def argnums(self) -> tuple[int, ...]:
        """``argnum`` as a tuple."""
        return self.argnum if isinstance(self.argnum, tuple) else (self.argnum,)

    def jacobian(self, *args: Any) -> Any:
        """The derivative in closed form: LinearMaps, nested as ``jax.jacfwd(rule.f, rule.argnum)`` nests arrays."""
        rows = [self.map(k, *args) for k in self.argnums]
        if isinstance(self.argnum, int):
            return rows[0]
        return tuple(zip(*rows, strict=True)) if isinstance(rows[0], tuple) else tuple(rows)

    def map(self, argument: int | str, *args: Any) -> Any:
        """∂f/∂argument, the argument by position or by name: a LinearMap, or a tuple of them if f returns several."""
        k = self.position(argument)
        x = jnp.asarray(args[k])
        if (formula := self.jacobians[k]) is not None:
            return as_map(formula(*args), x, args)
        if k == 0 and self.derivative is not None:
            return build.diagonal(self.derivative(*args))
        return self._swept(k, x, args)

    def hessian(self, *args: Any) -> Any:
        """The second derivative in closed form: the Jacobian of ``jax.jacfwd(rule.f, rule.argnum)``.

        For an element-wise rule, of f′: diag(f″). Raises TypeError if there is none.
        """
        if self.second is None:
            raise TypeError(f"{self.name} states no second derivative")
        x = jnp.asarray(args[self.argnums[0]])
        found = self.second(*args)
        return build.diagonal(found) if self.derivative is not None else as_map(found, x, args)

    def vjp(self, argument: int | str, cotangent: jax.Array, value: jax.Array, *args: jax.Array) -> jax.Array:
        """``cotangentᵀ ∂value/∂argument``, the argument by position or by name."""
        k = self.position(argument)
        if self.vjps and (formula := self.vjps[k]) is not None:
            return formula(cotangent, value, *args)
        return self.map(k, *args).vm(cotangent)

    def position(self, argument: int | str) -> int:
        """The position of an argument that has a derivative. Raises TypeError for any other."""
        k = argument if isinstance(argument, int) else [p.name for p in self.parameters].index(argument)
        if self.jacobians[k] is None and (not self.vjps or self.vjps[k] is None) and self.derivative is None:
            kind = "a real" if self.parameters[k].real else "an integer"
            raise TypeError(f"`{self.parameters[k].name}` of {self.name} is {kind} argument without a derivative")
        return k

    def sample(self, key: Any, dtype: Any = None, sizes: Mapping[str, Any] | None = None) -> list[jax.Array]:
        """Arguments from the rule's domain.

        Args:
            key: a JAX key, a NumPy generator, or an integer.
            dtype: of the real arguments; JAX's default one if None.
            sizes: of axes, ``{"d": 5, "*n": (2, 3)}``; distinct primes, which the key chooses, where left out.
        """
        rng = key if isinstance(key, np.random.Generator) else np.random.default_rng(_seed(key))
        sizes = self.sizes(rng) | dict(sizes or {})
        dtype = jnp.asarray(0.0).dtype if dtype is None else dtype
        drawn = []
        for parameter in self.parameters:
            array = draw(parameter.kind, rng, parameter.shape(sizes), sizes)
            wanted = dtype if parameter.real else bool if parameter.boolean else array.dtype
            drawn.append(jnp.asarray(array.astype(wanted)))
        return drawn

    def sizes(self, rng: np.random.Generator) -> dict[str, Any]:
        """A size for each axis, of ``*n`` a tuple: distinct primes, in a random order."""
        every = dict.fromkeys(axis for p in self.parameters for axis in p.axes if not axis.isdecimal())
        names = [axis for axis in every if axis not in self.small]
        primes = [p for p in PRIMES if p not in self.small.values()][: max(len(names), 3)]
        primes = rng.permutation(sorted(primes))
        sizes = dict(zip(names, map(int, primes), strict=False)) | dict(self.small)
        largest_first = sorted((sizes[axis] for axis in self.decreasing), reverse=True)
        sizes.update(zip(self.decreasing, largest_first, strict=True))
        return {axis: (size,) if axis.startswith("*") else size for axis, size in sizes.items()}

    def restricted(self, names: Sequence[str], ids: Sequence[str]) -> "Rule":
        """The same rule, about these arguments alone."""
        positions = [self.position(name) for name in names]
        argnum = positions[0] if len(positions) == 1 else tuple(positions)
        second = self.second if positions[0] == self.argnums[0] else None
        return replace(self, argnum=argnum, ids=tuple(ids), second=second)

    def at(self, **options: Any) -> "Rule":
        """The same rule with other options; the same object for the same ones.

        Raises TypeError for one that the primal does not have, or that is not hashable (an array).
        """
        if unknown := options.keys() - self.options.keys():
            raise TypeError(f"{self.name} has the options {list(self.options)}, but got {sorted(unknown)}")
        for name, option in options.items():
            try:
                hash(option)
            except TypeError as error:
                raise TypeError(
                    f"`{name}` of {self.name} must be a constant, but got {type(option).__name__}"
                ) from error
        changed = {name: option for name, option in options.items() if option != self.options[name]}
        return _at(self, tuple(sorted(changed.items()))) if changed else self

    def derived(self, ids: Sequence[str]) -> "Rule":
        """The rule of the first derivative, taken by JAX: its closed form is this rule's second derivative."""
        assert self.second is not None
        k = self.argnums[0]
        elementwise = self.derivative is not None
        positions = range(len(self.parameters))
        return replace(
            self,
            name=f"{self.name}, second derivative",
            f=_slope(self.f) if elementwise else _gradient(self.f, k),
            jacobians=tuple(self.second if i == k and not elementwise else None for i in positions),
            argnum=k,
            vjps=(),
            ids=tuple(ids),
            derivative=self.second if elementwise else None,
            second=None,
            analytic=False,
            erratum="",
            printed=None,
            steps=None,
        )

    def _swept(self, k: int, x: jax.Array, args: Sequence[Any]) -> LinearMap:
        """∂f/∂argument from the rule's vjp at every one-hot cotangent."""
        value = self.f(*args)
        basis = jnp.eye(math.prod(value.shape), dtype=value.dtype).reshape(-1, *value.shape)
        rows = jax.vmap(lambda u: self.vjp(k, u, value, *args))(basis)
        return build.dense(rows.reshape(value.shape + x.shape), value.ndim)


def as_map(found: Any, x: jax.Array, args: Sequence[Any]) -> Any:
    """What a formula gave as LinearMaps with respect to ``x``: an array is the whole Jacobian, a tuple several."""
    if isinstance(found, tuple):
        return tuple(as_map(one, x, args) for one in found)
    dtype = jnp.result_type(*(a for a in map(jnp.asarray, args) if jnp.issubdtype(a.dtype, jnp.floating)))
    if isinstance(found, LinearMap):
        return LinearMap(found.terms, found.out_shape, found.in_shape, dtype)
    array = jnp.asarray(found, dtype)
    return build.dense(array, array.ndim - x.ndim)


def _seed(key: Any) -> Any:
    if isinstance(key, int):
        return key
    return np.asarray(jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key)


@functools.cache
def _at(rule: Rule, changed: tuple[tuple[str, Any], ...]) -> Rule:
    return with_options(rule, dict(rule.options) | dict(changed))


def with_options(rule: Rule, options: Mapping[str, Any]) -> Rule:
    """The rule at these options, of which each formula takes those that it names."""

    def at(formula: Formula | None) -> Formula | None:
        if formula is None:
            return None
        named = inspect.signature(formula).parameters
        return functools.partial(formula, **{name: option for name, option in options.items() if name in named})

    return replace(
        rule,
        f=functools.update_wrapper(functools.partial(rule.f, **options), inspect.unwrap(rule.f)),
        jacobians=tuple(map(at, rule.jacobians)),
        vjps=tuple(map(at, rule.vjps)),
        second=at(rule.second),
        options=dict(options),
    )


def _gradient(f: Formula, argnum: int) -> Formula:
    """∂f/∂argument by JAX, of any shape of f."""
    return functools.wraps(f)(jax.jacrev(f, argnum))


def _slope(f: Formula) -> Formula:
    """f′ of an element-wise f by JAX."""
    return functools.wraps(f)(lambda x, *rest: jax.jvp(lambda x: f(x, *rest), (x,), (jnp.ones_like(x),))[1])
