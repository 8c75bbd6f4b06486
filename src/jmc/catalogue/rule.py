"""How a rule is stated: once, a primal and next to it its derivative in closed form.

A function of jmc's is decorated, and becomes one that carries its rule into traced programs (``marker.py``)::

    @elementwise(derivative=lambda x: ..., second=lambda x: ..., source="...")
    def softplus(x: Float[Array, "*s"]): ...

    @rule(jacobian={"w": lambda w, b, x: ...}, source="...")
    def neuron(w, b, x): ...

A row of a table is one statement::

    entry("inverse", "K-60", "X: n n invertible", lambda X: inv(X), lambda X: -einsum("ij,kl->il,jk", inv(X), inv(X)))

A closed form is a LinearMap (``jmc.linear.build``) or an array of shape ``out + in``, which for a scalar function is
its gradient, of the shape of the argument. The layouts of the sources are the reader's choice: ``LinearMap.matrix``.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import jax

from jmc.catalogue import marker
from jmc.catalogue.domain import Draw
from jmc.catalogue.record import Formula, Rule, with_options
from jmc.catalogue.registry import cited, rules
from jmc.catalogue.signature import checked, parameters, returned_axes, specified

P = ParamSpec("P")
Ids = str | Mapping[str, str]


def rule(
    *,
    source: str,
    jacobian: Mapping[str, Formula] | None = None,
    vjp: Mapping[str, Formula] | None = None,
    derivative: Formula | None = None,
    second: Formula | None = None,
    ids: Ids = "",
    second_ids: str = "",
    kinks: str = "",
    kinks_at: Sequence[float] = (),
    conditions: str = "",
    analytic: bool = False,
    domain: Mapping[str, str | Draw] | None = None,
    decreasing: Sequence[str] = (),
    small: Mapping[str, int] | None = None,
    options: Mapping[str, Any] | None = None,
    erratum: str = "",
    printed: Formula | None = None,
) -> Callable[[Callable[P, jax.Array]], Callable[P, jax.Array]]:
    """Register the decorated primal with a closed form for every real argument.

    Axes ``*n`` of the value are those of examples, each by itself: arguments may have them in front or not at all.
    Keyword-only arguments of the primal are options, constants like a stride; each formula gets those that it names.

    Args:
        source: where the formula comes from.
        jacobian: per argument ``(*args) -> ∂f/∂argument``, a LinearMap, or an array of shape out + in.
        vjp: per argument ``(u, value, *args) -> uᵀ ∂f/∂argument``; enough by itself for a scalar function, and used for
            gradients where both are given.
        derivative: f′(x) of an element-wise function, instead of both.
        second: f″(x) of an element-wise function, or ``(*args) -> ∂²f/∂x∂x``.
        ids: of the identities that it states, separated by spaces; or by argument, ``{"x": "P-4.2.8"}``.
        second_ids: of those that the second derivative states.
        kinks: where the derivative is a convention, and which one is taken.
        kinks_at: the points where that is, of an element-wise function.
        conditions: what must hold.
        analytic: whether the primal, as written, is complex-analytic.
        domain: per argument the kind that is drawn for it (a word of ``domain.KINDS``, or a function).
        decreasing: axes whose sizes decrease in this order.
        small: sizes that axes are drawn with, where primes would be too large or would not do.
        options: values with which the rule is proved, where they are not the defaults.
        erratum: what is wrong in the source.
        printed: the printed form as a Jacobian with respect to the first argument, which must fail.

    Raises:
        TypeError: an argument lacks its annotation or its closed form.
        ValueError: the name or an id is taken.
    """

    def register(primal: Callable[P, jax.Array]) -> Callable[P, jax.Array]:
        name = primal.__name__
        wanted = parameters(primal, domain)
        real = {parameter.name for parameter in wanted if parameter.real}
        stated = {*(jacobian or {}), *(vjp or {})}
        if real != stated:
            raise TypeError(f"{name} must have a closed form for each of {sorted(real)}, but got {sorted(stated)}")
        whole, parts = _ids(ids)
        argnums = tuple(i for i, parameter in enumerate(wanted) if parameter.real)
        made = Rule(
            name=name,
            f=primal,
            parameters=wanted,
            jacobians=tuple((jacobian or {}).get(parameter.name) for parameter in wanted),
            vjps=tuple((vjp or {}).get(parameter.name) for parameter in wanted),
            argnum=argnums[0] if len(argnums) == 1 else argnums,
            ids=whole,
            derivative=derivative,
            second=second,
            source=source,
            conditions=conditions,
            kinks=kinks,
            kinks_at=tuple(kinks_at),
            analytic=analytic,
            decreasing=tuple(decreasing),
            small=small or {},
            examples=returned_axes(primal)[:1] == ("*n",),
            erratum=erratum,
            printed=printed,
        )
        signature = inspect.signature(primal)
        chosen = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
        if chosen:
            made = with_options(made, {p.name: p.default for p in chosen} | dict(options or {}))
        rules.add(made, parts, second_ids.split())

        @functools.wraps(primal)
        def call(*args: P.args, **kwargs: P.kwargs) -> jax.Array:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {p.name: bound.arguments.pop(p.name) for p in chosen}
            return marker.bind(made.at(**given), checked(name, wanted, tuple(bound.arguments.values())))

        return call

    return register


def elementwise(
    *,
    derivative: Formula,
    source: str,
    second: Formula | None = None,
    jacobian: Formula | None = None,
    parameters: Mapping[str, Formula] | None = None,
    ids: Ids = "",
    kinks: str = "",
    kinks_at: Sequence[float] = (),
    conditions: str = "",
    analytic: bool = False,
    domain: Mapping[str, str | Draw] | None = None,
    erratum: str = "",
) -> Callable[[Callable[P, jax.Array]], Callable[P, jax.Array]]:
    """Register the decorated f(x) with its derivatives f′(x), f″(x); the Jacobian is diag(f′(x)) (article §4.2).

    ``jacobian`` says so if it is more special than that. Further arguments of f are scalars α: its derivatives are
    then functions of them too, f′(x, α), and ``parameters`` has ∂f/∂α for each. The rest is that of :func:`rule`.
    """
    return rule(
        source=source,
        jacobian={**({} if jacobian is None else {"x": jacobian}), **(parameters or {})},
        vjp={"x": lambda u, _, *args: u * derivative(*args)},
        derivative=derivative,
        second=second,
        ids=ids,
        kinks=kinks,
        kinks_at=kinks_at,
        conditions=conditions,
        analytic=analytic,
        domain=domain,
        erratum=erratum,
    )


def entry(
    name: str,
    ids: Ids,
    signature: str,
    f: Formula,
    jacobian: Formula | Mapping[str, Formula] | None = None,
    *,
    derivative: Formula | None = None,
    second: Formula | None = None,
    second_ids: str = "",
    source: str = "",
    conditions: str = "",
    kinks: str = "",
    kinks_at: Sequence[float] = (),
    analytic: bool = True,
    decreasing: Sequence[str] = (),
    small: Mapping[str, int] | None = None,
    erratum: str = "",
    printed: Formula | None = None,
    steps: object = None,
) -> Rule:
    """Register a row of a table.

    Args:
        name: in words, a new one.
        ids: of the identities that it states, separated by spaces; or by argument, ``{"x": "P-3.2", "x y": "P-3.4"}``.
        signature: the arguments of ``f``, ``"X: n n invertible, a: n"``.
        f: the primal.
        jacobian: ``(*args)`` to the closed form with respect to the first argument, or a form by argument; of an f that
            returns a tuple, a tuple.
        derivative: f′(x) of an element-wise function, instead.
        second: the closed form of ∂²f/∂x∂x, or f″(x).
        second_ids: of the identities that it states.
        source: if not what the ids say.
        conditions: what must hold beyond what the kinds say.
        kinks: where the derivative is a convention, and which one is taken.
        kinks_at: the points where that is, of an element-wise function.
        analytic: whether a complex step may check it; not where ``f`` has absolute values or decompositions.
        decreasing: axes whose sizes decrease in this order.
        small: sizes that axes are drawn with, where primes would be too large or would not do.
        erratum: what is wrong in the source.
        printed: the printed form as a Jacobian, which must fail.
        steps: of a worked example, its intermediate variables.
    """
    wanted = specified(signature)
    names = tuple(inspect.signature(f).parameters)
    if names != tuple(parameter.name for parameter in wanted):
        raise ValueError(
            f"`signature` of {name} must describe the arguments {names} in this order, but got {signature!r}"
        )
    if (jacobian is None) == (derivative is None):
        raise TypeError(f"{name} must have either a Jacobian or an element-wise derivative")
    stated = jacobian if isinstance(jacobian, Mapping) else {names[0]: jacobian}
    argnums = tuple(i for i, argument in enumerate(names) if argument in stated)
    whole, parts = _ids(ids)
    every = [*whole, *(i for part in parts.values() for i in part), *second_ids.split()]
    made = Rule(
        name=name,
        f=f,
        parameters=wanted,
        jacobians=tuple(stated.get(argument) for argument in names),
        argnum=argnums[0] if len(argnums) == 1 else argnums,
        ids=whole,
        derivative=derivative,
        second=second,
        source=source or cited(every),
        conditions=conditions,
        kinks=kinks,
        kinks_at=tuple(kinks_at),
        analytic=analytic,
        decreasing=tuple(decreasing),
        small=small or {},
        erratum=erratum,
        printed=printed,
        steps=steps,
    )
    rules.add(made, parts, second_ids.split())
    return made


def _ids(ids: Ids) -> tuple[tuple[str, ...], dict[tuple[str, ...], tuple[str, ...]]]:
    """The ids of the whole rule, and those of parts of it by their arguments."""
    if isinstance(ids, str):
        return tuple(ids.split()), {}
    return (), {tuple(names.split()): tuple(part.split()) for names, part in ids.items()}
