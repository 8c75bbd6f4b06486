"""Rules of the catalogue within loops and branches, where JAX differentiates: by their closed forms, not their primals.

The marker of such a rule is exchanged for one whose JVP is a step ``jmc_step``, linear in the tangent of one argument:
J t in forward mode, and transposed the rule's own vjp.
"""

from typing import TYPE_CHECKING, Any

import jax
from jax.extend.core import JaxprEqn, Primitive
from jax.extend.core import primitives as p
from jax.interpreters import ad, batching, mlir

from jmc.catalogue import marker
from jmc.differentiate.jvp import NESTED

if TYPE_CHECKING:
    from jmc.catalogue.record import Rule

# Where an equation keeps the programs that are searched for rules.
PROGRAMS = {**NESTED, p.scan_p: "jaxpr", p.while_p: "body_jaxpr", p.cond_p: "branches"}
rule_p = Primitive("jmc_closed_rule")
step_p = Primitive("jmc_step")


def with_closed_forms(eqn: JaxprEqn) -> JaxprEqn:
    """The same equation, in whose programs JAX differentiates rules by their closed forms."""
    if eqn.primitive is marker.primitive:
        return eqn.replace(primitive=rule_p)
    name = PROGRAMS.get(eqn.primitive)
    if name is None:
        return eqn
    inner = eqn.params[name]
    programs = inner if isinstance(inner, tuple) else (inner,)
    changed = tuple(map(_program, programs))
    if all(new is old for new, old in zip(changed, programs, strict=True)):
        return eqn
    return eqn.replace(params={**eqn.params, name: changed if isinstance(inner, tuple) else changed[0]})


def _program(inner: Any) -> Any:
    """A traced program with the equations exchanged; itself if there is no rule in it."""
    jaxpr = getattr(inner, "jaxpr", inner)
    eqns = [with_closed_forms(eqn) for eqn in jaxpr.eqns]
    if all(new is old for new, old in zip(eqns, jaxpr.eqns, strict=True)):
        return inner
    changed = jaxpr.replace(eqns=eqns)
    return changed if jaxpr is inner else inner.replace(jaxpr=changed)


# the marker


def _value(*args: Any, rule: "Rule", precision: str | None) -> Any:
    return marker.primitive.bind(*args, rule=rule, precision=precision)


def _jvp(primals: Any, tangents: Any, **params: Any) -> tuple[Any, Any]:
    out, total = _value(*primals, **params), None
    for k, tangent in enumerate(tangents):
        if not isinstance(tangent, ad.Zero):
            step = step_p.bind(*primals, out, tangent, k=k, **params)
            total = step if total is None else total + step
    return out, total


def _batch(args: Any, axes: Any, **params: Any) -> Any:
    return jax.vmap(lambda *args: _value(*args, **params), axes)(*args), 0


rule_p.def_impl(_value)
rule_p.def_abstract_eval(lambda *avals, **params: marker.primitive.abstract_eval(*avals, **params)[0])
ad.primitive_jvps[rule_p] = _jvp
batching.primitive_batchers[rule_p] = _batch
mlir.register_lowering(rule_p, mlir.lower_fun(_value, multiple_results=False))

# one tangent


def _step(*operands: Any, k: int, rule: "Rule", precision: str | None) -> Any:
    """J t, for the arguments, the value and the tangent of argument k."""
    *args, out, tangent = operands
    if k == 0 and rule.derivative is not None and rule.jacobians[0] is None:
        return marker.at(precision, rule.derivative)(*args) * tangent
    if rule.jacobians[k] is not None:
        return marker.at(precision, lambda *args: rule.map(k, *args).mv(tangent))(*args)
    (moved,) = jax.linear_transpose(lambda u: _pulled(u, args, out, k, rule, precision), out)(tangent)
    return moved


def _pulled(u: Any, args: Any, out: Any, k: int, rule: "Rule", precision: str | None) -> Any:
    return marker.at(precision, lambda u: rule.vjp(k, u, out, *args))(u)


def _step_jvp(primals: Any, tangents: Any, **params: Any) -> Any:
    moving = [i for i, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

    def restricted(*moved: Any) -> Any:
        operands = list(primals)
        for i, operand in zip(moving, moved, strict=True):
            operands[i] = operand
        return _step(*operands, **params)

    return jax.jvp(restricted, [primals[i] for i in moving], [tangents[i] for i in moving])


def _step_transpose(u: Any, *operands: Any, **params: Any) -> list[Any]:
    *args, out, _ = operands
    none = [None] * (len(operands) - 1)
    return [*none, u if isinstance(u, ad.Zero) else _pulled(u, args, out, **params)]


def _step_batch(operands: Any, axes: Any, **params: Any) -> Any:
    return jax.vmap(lambda *operands: _step(*operands, **params), axes)(*operands), 0


step_p.def_impl(_step)
step_p.def_abstract_eval(lambda *avals, **_: avals[-2])
ad.primitive_jvps[step_p] = _step_jvp
ad.primitive_transposes[step_p] = _step_transpose
batching.primitive_batchers[step_p] = _step_batch
mlir.register_lowering(step_p, mlir.lower_fun(_step, multiple_results=False))
