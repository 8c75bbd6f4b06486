"""What a vjp or jvp must be besides right: linear, finite for nothing, and the same when it is asked again."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jmc.checking.hypotheses import Finding
from jmc.checking.observe import CLEAN, Observation, Observer

_LINEAR = 3e-2  # low precision inside a rule is not linear to its last digits


def lawless(observer: Observer, seen: Sequence[Observation]) -> Iterator[Finding]:
    """Findings about each argument (of a jvp, each output) whose claim breaks a law."""
    problem = observer.problem
    if problem.mode not in ("vjp", "jvp"):
        return
    o = next((o for o in seen if o.point.kind in CLEAN), seen[0])
    rng = np.random.default_rng(observer.seed)
    like = o.us if problem.mode == "vjp" else [o.leaves[k] for k in problem.moving]
    ones, others = ([rng.normal(size=x.shape) for x in like] for _ in range(2))
    both = [u - 2 * v for u, v in zip(ones, others, strict=True)]
    asked = [observer.ask(o, us) for us in (ones, others, both, [0 * u for u in ones], ones)]
    if any(answer is None for answer in asked):
        return
    word = "cotangent" if problem.mode == "vjp" else "tangent"
    for k, answers in enumerate(zip(*[answer or [] for answer in asked], strict=True)):
        if any(answer is None for answer in answers):
            continue
        name, argnum = problem.named(k if problem.mode == "vjp" else 0)
        if found := _broken(word, *answers):
            kind, text = found
            yield Finding(kind, argnum, f"∂/∂{name} {text}", 0.0, name)


def _broken(word: str, one: Any, other: Any, both: Any, none: Any, again: Any) -> tuple[str, str] | None:
    if not np.array_equal(one, again, equal_nan=True):
        return "unknown", "is not the same when the rule is asked again"
    if one.shape != other.shape:
        return None
    if np.array_equal(one, other):
        return ("cotangent_ignored", f"is the same for every {word}: it is not used") if np.any(one) else None
    size = max(float(np.max(np.abs(x), initial=0)) for x in (one, other, both)) or 1.0
    if float(np.max(np.abs(both - (one - 2 * other)), initial=0)) > _LINEAR * size:
        return "nonlinear_in_cotangent", f"is not linear in the {word}: u − 2v gives another answer than u less twice v"
    if not np.all(np.isfinite(none)) and np.all(np.isfinite(one)):
        return "unknown", f"is not finite for a {word} of zero"
    return None
