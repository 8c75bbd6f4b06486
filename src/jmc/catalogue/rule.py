"""A rule: a primal and, next to it, its derivative in closed form.

A rule is written once, as a decorator over the primal::

    @elementwise(derivative=lambda x: ..., source="...")
    def softplus(x: Float[Array, "*s"]): ...

    @rule(vjp={"w": lambda u, a, w, b, x: ..., ...}, source="...")
    def neuron(w, b, x): ...

``u`` is the cotangent of the value, ``a`` the value, and a vjp returns the cotangent of its argument, uᵀ J in
numerator layout. The decorated name stays a plain function, which carries its rule into traced programs
(``catalogue/marker.py``); the record itself stands in ``RULES``.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp
import numpy as np

from jmc.catalogue import marker
from jmc.catalogue.signature import Parameter, checked, parameters
from jmc.linear.term import Term

P = ParamSpec("P")
Vjp = Callable[..., jax.Array]
Draw = Callable[[np.random.Generator, tuple[int, ...], Mapping[str, Any]], np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class Rule:
    """A primal and its derivatives; two rules are equal only if they are the same object.

    Attributes:
        name: the public name of the primal.
        primal: the mathematics, on arrays that fit ``parameters``.
        parameters: what the primal's annotations say about its arguments.
        vjps: per argument ``(u, value, *args) -> uᵀ ∂value/∂argument``; None for an integer argument.
        derivative: for an element-wise rule f′, with ``vjp = u ⊙ f′(x)``; None otherwise.
        jacobians: per argument ``(value, *args) -> terms`` of ∂value/∂argument, where its vjp, written for accuracy,
            would not show them.
        source: where the formula comes from (section, equation).
        kinks: where the derivative is a convention, and which one is taken.
        analytic: the primal is complex-analytic as it is written, so that a complex step may check it.
        domain: how to draw an argument that is not a plain normal one: ``(rng, shape, sizes) -> array``.
    """

    name: str
    primal: Callable[..., jax.Array]
    parameters: tuple[Parameter, ...]
    vjps: tuple[Vjp | None, ...]
    derivative: Callable[[jax.Array], jax.Array] | None
    jacobians: Mapping[str, Callable[..., Sequence[Term]]]
    source: str
    kinks: str
    analytic: bool
    domain: Mapping[str, Draw]

    def __repr__(self) -> str:
        return self.name

    def vjp(self, argument: int | str, cotangent: jax.Array, value: jax.Array, *args: jax.Array) -> jax.Array:
        """``cotangentᵀ ∂value/∂argument``, the argument by position or by name."""
        if isinstance(argument, str):
            argument = [parameter.name for parameter in self.parameters].index(argument)
        formula = self.vjps[argument]
        if formula is None:
            raise TypeError(f"`{self.parameters[argument].name}` of {self.name} is an integer argument")
        return formula(cotangent, value, *args)

    def sample(self, rng: np.random.Generator, sizes: Mapping[str, Any], dtype: Any) -> list[jax.Array]:
        """Arguments from the rule's domain; ``sizes`` gives each axis, ``{"d": 5, "*n": (2, 3)}``."""
        drawn = []
        for parameter in self.parameters:
            draw = self.domain.get(parameter.name, lambda rng, shape, _: rng.normal(size=shape))
            array = np.asarray(draw(rng, parameter.shape(sizes), sizes))
            drawn.append(jnp.asarray(array.astype(dtype) if parameter.real else array))
        return drawn


RULES: dict[str, Rule] = {}


def rule(
    *,
    vjp: Mapping[str, Vjp],
    source: str,
    kinks: str = "none",
    analytic: bool = False,
    domain: Mapping[str, Draw] | None = None,
    derivative: Callable[[jax.Array], jax.Array] | None = None,
    jacobian: Mapping[str, Callable[..., Sequence[Term]]] | None = None,
) -> Callable[[Callable[P, jax.Array]], Callable[P, jax.Array]]:
    """Register the decorated primal with a vjp in closed form for every real argument.

    Raises TypeError if an argument lacks its annotation or its vjp, ValueError if the name is taken.
    """

    def register(primal: Callable[P, jax.Array]) -> Callable[P, jax.Array]:
        name = primal.__name__
        wanted = parameters(primal)
        real = {parameter.name for parameter in wanted if parameter.real}
        if real != set(vjp):
            raise TypeError(f"`vjp` of {name} must have a formula for each of {sorted(real)}, but got {sorted(vjp)}")
        if name in RULES:
            raise ValueError(f"`{name}` must be a new name, but there is a rule for it from {RULES[name].source}")
        vjps = tuple(vjp.get(parameter.name) for parameter in wanted)
        made = Rule(name, primal, wanted, vjps, derivative, jacobian or {}, source, kinks, analytic, domain or {})
        RULES[name] = made
        signature = inspect.signature(primal)

        @functools.wraps(primal)
        def call(*args: P.args, **kwargs: P.kwargs) -> jax.Array:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return marker.bind(made, checked(name, wanted, tuple(bound.arguments.values())))

        return call

    return register


def elementwise(
    *, derivative: Callable[[jax.Array], jax.Array], source: str, kinks: str = "none", analytic: bool = False
) -> Callable[[Callable[P, jax.Array]], Callable[P, jax.Array]]:
    """Register the decorated f(x) with its derivative f′(x); the Jacobian is diag(f′(x)) (article §4.1)."""
    vjp = {"x": lambda u, _, x: u * derivative(x)}
    return rule(vjp=vjp, source=source, kinks=kinks, analytic=analytic, derivative=derivative)
