"""A traced function as a tape: each value once, and each step with the Jacobians of its operands.

The only loop over equations in jmc. An equation is, in this order: nothing (it does not depend on the argument), a
nested program (walked in place), a rule of the catalogue, a linear primitive (``operation.LINEAR``), an element-wise
one, the program of its own JVP (walked in place), or opaque: a function whose Jacobian is swept.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.extend import source_info_util
from jax.extend.core import Jaxpr, JaxprEqn, Literal
from jax.extend.core import primitives as p

from jmc.catalogue import marker
from jmc.differentiate.jvp import NESTED, NONLINEAR, REAL_LINEAR, jvp_program
from jmc.differentiate.known import evaluated, inexact, integer, is_complex
from jmc.differentiate.loops import unrolled
from jmc.differentiate.node import Node, Step
from jmc.differentiate.opaque import Pointwise
from jmc.differentiate.operation import LINEAR, SEVERAL, Memo, Value, literal, operation, value
from jmc.differentiate.references import joined
from jmc.differentiate.reverse import vjp_program
from jmc.differentiate.swept import swept
from jmc.linear.contract import TooLarge
from jmc.linear.term import Term, identity

# A scan of few equations in all is walked step by step.
UNROLLED = 256


# An equation's line is the user's, not that of the code here which traced it.
source_info_util.register_exclusion(str(Path(__file__).parents[1]))


class NotDifferentiable(NotImplementedError):  # noqa: N818 - it reads as what it says, as StopIteration does
    """The function applies, to what is differentiated, an operation that has no derivative rule."""


class Tape:
    """The steps of a program that depend on the argument, in order."""

    def __init__(self, gradient: bool = False) -> None:
        self.steps: list[Step] = []
        self.here = ("", "")  # the primitive and line of the equation that is walked
        self.memo: Memo = {}  # nothing is evaluated twice
        self.gradient = gradient  # only a row will be pulled back: JAX's own vjp is as good as terms, or better

    def walk(self, jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Node], line: str = "") -> list[Node]:
        """Evaluate ``jaxpr`` and append its active steps; ``line`` is named for an equation that has none."""
        nodes: dict[Any, Node] = dict(zip(jaxpr.invars, args, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            nodes[var] = const if isinstance(const, Node) else Node(value(const, computed=False))

        def read(atom: Any) -> Node:
            return Node(literal(atom.val)) if isinstance(atom, Literal) else nodes[atom]

        for eqn, whole in joined(_live(jaxpr), [node.active for node in args]):
            operands = [read(atom) for atom in eqn.invars]
            reaches = any(node.active for node in operands) and any(inexact(var.aval) for var in eqn.outvars)
            with source_info_util.user_context(eqn.source_info.traceback):
                outs = self._equation(eqn, operands, line, whole) if reaches else self._constant(eqn, operands)
            nodes.update(zip(eqn.outvars, outs, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def step(self, ins: Sequence[Node], outs: Sequence[Node], terms: Any = None, opaque: Any = None) -> None:
        """Append a step."""
        for node in ins:
            node.uses += node.active
        self.steps.append(Step(list(ins), list(outs), terms or {}, opaque, *self.here))

    def _equation(self, eqn: JaxprEqn, operands: list[Node], caller: str, whole: bool) -> Sequence[Node]:
        line = source_info_util.summarize(eqn.source_info) or caller
        if not whole and (name := NESTED.get(eqn.primitive)) is not None:
            inner = eqn.params[name]  # with constants of its own, or a bare Jaxpr
            return self.walk(getattr(inner, "jaxpr", inner), getattr(inner, "consts", []), operands, line)
        if eqn.primitive is p.scan_p and _short(eqn) and not self.gradient:
            return self._unrolled(eqn, operands, line)
        if eqn.primitive is p.cond_p and (platforms := eqn.params.get("branches_platforms")) is not None:
            branch = eqn.params["branches"][_platform(platforms)]
            return self.walk(getattr(branch, "jaxpr", branch), getattr(branch, "consts", []), operands[1:], line)
        if eqn.primitive is p.cond_p and (taken := integer(operands[0].value)) is not None:
            branch = eqn.params["branches"][min(max(taken, 0), len(eqn.params["branches"]) - 1)]
            return self.walk(getattr(branch, "jaxpr", branch), getattr(branch, "consts", []), operands[1:], line)
        moving = [k for k, node in enumerate(operands) if node.active]
        here = self.here = ("new_ref" if whole else eqn.primitive.name, line)
        try:
            return (whole and self._opaque(eqn, operands, moving)) or (
                self._by_rule(eqn, operands, moving)
                or self._linear(eqn, operands, moving)
                or (None if self.gradient else self._by_jvp(eqn, operands, moving, line))
                or (None if self.gradient else self._by_vjp(eqn, operands, moving))
                or self._opaque(eqn, operands, moving)
            )
        except (NotDifferentiable, TooLarge):
            raise
        except (NotImplementedError, TypeError, ValueError, AssertionError) as error:
            raise refusal(eqn, *here, error) from error

    # one equation

    def _constant(self, eqn: JaxprEqn, operands: Sequence[Node]) -> list[Node]:
        """The results as values alone."""
        return _nodes(eqn, evaluated(eqn, [node.value for node in operands if node.value is not None], self.memo))

    def _results(self, eqn: JaxprEqn, operands: Sequence[Node]) -> list[Node]:
        return self._constant(eqn, operands) if _known(operands) else [Node(None, aval=v.aval) for v in eqn.outvars]

    def _by_rule(self, eqn: JaxprEqn, operands: list[Node], moving: list[int]) -> Sequence[Node] | None:
        if eqn.primitive is not marker.primitive:
            return None
        from jmc.differentiate.rules import ClosedForm, rule_terms  # a rule's vjp is itself a program to walk

        (out,) = self._constant(eqn, operands)
        assert out.value is not None
        arrays = [node.value.array for node in operands if node.value is not None]
        form = ClosedForm if self.gradient else rule_terms
        found = form(eqn.params["rule"], eqn.params["precision"], arrays, out.value.array, moving)
        if not isinstance(found, dict):
            self.step([operands[k] for k in moving], [_active(out)], opaque=found)
        else:
            self.step(operands, [_active(out)], {(0, k): terms for k, terms in found.items()})
        return [out]

    def _linear(self, eqn: JaxprEqn, operands: list[Node], moving: list[int]) -> Sequence[Node] | None:
        if self.gradient and eqn.primitive in BULKY:
            return None
        several = SEVERAL.get(eqn.primitive)
        rule = LINEAR.get(eqn.primitive)
        by_slope = eqn.primitive in NONLINEAR
        real_linear = eqn.primitive in REAL_LINEAR or (
            eqn.primitive is p.convert_element_type_p
            and is_complex(eqn.invars[0].aval) != is_complex(eqn.outvars[0].aval)
            and not is_complex(eqn.outvars[0].aval)
        )
        if not (several or rule or real_linear) or (by_slope and not (_holomorphic(eqn) and _known(operands))):
            return None
        outs = self._results(eqn, operands)
        op = operation(eqn, [_value(node) for node in operands], self.memo)
        if real_linear:
            self.step(operands, [_active(outs[0])], opaque=Pointwise(op.bind, op.dtype))
            return outs
        terms: dict[tuple[int, int], list[Term]] = {}
        for k in moving:
            if several:
                for j, term in several(op, k):
                    terms.setdefault((j, k), []).append(term)
                continue
            found = rule(op, k) if rule else None
            if found is None:
                return None
            terms[0, k] = list(found)
        if not any(terms.values()):
            return outs
        reached = {j for (j, _), found in terms.items() if found}
        for j, out in enumerate(outs):
            if j in reached and inexact(eqn.outvars[j].aval):
                _active(out)
        self.step(operands, outs, {key: tuple(found) for key, found in terms.items()})
        return outs

    def _by_jvp(self, eqn: JaxprEqn, operands: list[Node], moving: list[int], line: str) -> Sequence[Node] | None:
        if not _known(operands) or eqn.primitive in _SWEPT:
            return None
        if eqn.primitive in LINEAR and eqn.primitive not in {*NONLINEAR, p.triangular_solve_p, p.linear_solve_p}:
            return None  # its rule declined: it is linear, and so is its JVP
        traced = jvp_program(eqn, tuple(moving))
        if traced is None:
            return None
        closed, active = traced
        primals = [Node(node.value) for node in operands]
        outs = self.walk(closed.jaxpr, closed.consts, [*primals, *(operands[k] for k in moving)], line)
        count = len(eqn.outvars)
        results = []
        tangents = iter(outs[count:])
        for j in range(count):
            out = Node(outs[j].value, aval=eqn.outvars[j].aval)
            if j in active:
                tangent = next(tangents)
                if tangent.active:
                    identity_step(self, tangent, out, eqn.outvars[j].aval)
            results.append(out)
        return results

    def _by_vjp(self, eqn: JaxprEqn, operands: list[Node], moving: list[int]) -> Sequence[Node] | None:
        if eqn.primitive is not p.custom_vjp_call_p or not _known(operands):
            return None
        differentiable = [j for j, var in enumerate(eqn.outvars) if inexact(var.aval)]
        closed = vjp_program(eqn, moving, differentiable)
        if closed is None:
            return None
        from jmc.differentiate.rules import linear_maps  # which walks its program as a tape

        count = len(eqn.outvars)
        known = [Node(node.value) for node in operands]
        ends, maps = linear_maps(closed, known, [eqn.outvars[j].aval for j in differentiable])
        outs = [Node(end.value, aval=var.aval) for end, var in zip(ends, eqn.outvars, strict=False)]
        terms = {}
        for k, row in zip(moving, maps[count:], strict=True):
            for j, J in zip(differentiable, row, strict=True):
                if J is not None:
                    terms[j, k] = tuple(term.T for term in J.terms)
                    _active(outs[j])
        self.step(operands, outs, terms)
        return outs

    def _opaque(self, eqn: JaxprEqn, operands: list[Node], moving: list[int]) -> Sequence[Node]:
        differentiable = [j for j, var in enumerate(eqn.outvars) if inexact(var.aval)]
        function, found = swept(eqn, [node.value for node in operands], moving, differentiable, self.gradient)
        outs = self._results(eqn, operands) if found is None else _nodes(eqn, map(value, found))
        linked = {differentiable[j] for j, _ in function.links}
        if linked:
            for j in linked:
                _active(outs[j])
            self.step([operands[k] for k in moving], [outs[j] for j in differentiable], opaque=function)
        return outs

    def _unrolled(self, eqn: JaxprEqn, operands: list[Node], line: str) -> Sequence[Node]:
        return unrolled(self, eqn, operands, line)


# Their terms hold more numbers than their operands.
BULKY = {
    p.conv_general_dilated_p,
    p.reduce_window_sum_p,
    p.cumsum_p,
    p.gather_p,
    p.scatter_add_p,
    p.dynamic_slice_p,
    p.dynamic_update_slice_p,
}
# Programs of their JVP would be long, and dense after all.
_SWEPT = {p.while_p, p.scan_p, p.cond_p, p.cumprod_p, p.cummax_p, p.cummin_p, p.cumlogsumexp_p}


def _live(jaxpr: Jaxpr) -> Jaxpr:
    """The program without equations of which nothing comes out: they need no derivative, and may have none."""
    needed = {var for var in jaxpr.outvars if not isinstance(var, Literal)}
    kept = []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or not needed.isdisjoint(eqn.outvars):
            kept.append(eqn)
            needed.update(var for var in eqn.invars if not isinstance(var, Literal))
    return jaxpr if len(kept) == len(jaxpr.eqns) else jaxpr.replace(eqns=kept[::-1])


def identity_step(tape: Tape, before: Node, after: Node, aval: Any) -> None:
    """``after`` moves as ``before`` does."""
    after.aval = aval
    tape.step([before], [_active(after)], {(0, 0): (identity(aval.shape),)})


def _active(node: Node) -> Node:
    node.active = True
    return node


def _known(operands: Sequence[Node]) -> bool:
    """Whether all values are known; within the program of a JVP, those of tangents are not."""
    return all(node.value is not None for node in operands)


def _value(node: Node) -> Value:
    return node.value if node.value is not None else Value(None, None, ())


def _nodes(eqn: JaxprEqn, found: Iterable[Value]) -> list[Node]:
    return [Node(v, aval=var.aval) for v, var in zip(found, eqn.outvars, strict=True)]


def _holomorphic(eqn: JaxprEqn) -> bool:
    """Whether a tangent of ones gives the derivative: not for |z| and sign of complex numbers."""
    return not is_complex(eqn.invars[0].aval) or eqn.primitive not in (p.abs_p, p.sign_p)


def _platform(platforms: Sequence[Any]) -> int:
    """Of branches that are the same function written for different platforms, the one for this."""
    here = jax.default_backend()
    return next((i for i, names in enumerate(platforms) if names is None or here in names), len(platforms) - 1)


def _short(eqn: JaxprEqn) -> bool:
    inner = eqn.params["jaxpr"]
    return eqn.params["length"] * len(getattr(inner, "jaxpr", inner).eqns) <= UNROLLED


def refusal(eqn: JaxprEqn, name: str, line: str, error: Exception) -> NotDifferentiable:
    """What JAX cannot differentiate, by primitive and line."""
    debug = getattr(getattr(eqn.params.get("call_jaxpr"), "jaxpr", None), "debug_info", None)
    function = f" of `{debug.func_name}`" if debug is not None else ""
    return NotDifferentiable(
        f"no derivative for the primitive `{name}`{function}, at {line or 'an unknown line'}: "
        f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
    )
