"""Findings from what was made and undone: the least far-fetched first."""

from collections.abc import Iterator, Sequence

import numpy as np

from jmc.checking.hypotheses import LEFT, Case, Finding, explained_ratio
from jmc.checking.observe import Observer
from jmc.checking.repair import Made, Workshop, told, weight
from jmc.checking.sums import projections

Ranked = list[tuple[float, Finding]]
FAR = 3.0
"""From here on an explanation is so far-fetched that two plain mistakes are likelier."""
_SECOND = 1.2  # by which the second name of a mistake stands behind the first
_MOST = 12
TWO = 1.5
"""What a second mistake adds."""


def explained(case: Case, observer: Observer) -> tuple[Ranked, Workshop]:
    """Findings with how far-fetched they are, the nearest first."""
    work = Workshop(case, observer)
    found = _of_singles(case, work, work.singles())
    if work.loops and _far(found):
        steps = Workshop(case, observer, written_out=True)
        found += _of_singles(case, steps, steps.repeats())
    if _far(found):
        found += _of_two(case, work)
    if not found:
        for kind, text, undone in projections(case):
            for made in Workshop(case, observer, undone).singles()[:_MOST]:
                both = f"∂/∂{case.name} is {told(made)}, and {text}"
                found += [(weight(made) + 1, _finding(case, kind, both, made, made.kinds[0]))]
                found += [(weight(made) + 1, _finding(case, k, both, made, kind)) for k in made.kinds[:1]]
    return sorted(found, key=lambda item: item[0]), work


def _far(found: Ranked) -> bool:
    return all(cost >= FAR for cost, _ in found)


def _of_singles(case: Case, work: Workshop, singles: Sequence[Made]) -> Ranked:
    # a factor too many stands in the rule; where none can be taken out, one over it is missing
    too_many = any(not made.done and made.kinds[0] == "extra_factor" and not made.edit.put_in for made in singles)
    return [item for made in singles for item in _of_one(case, made, bool(work.claim) and not too_many)]


def _finding(case: Case, kind: str, text: str, made: Made, also: str = "") -> Finding:
    return case.finding(
        kind, text, made.error if made.error < LEFT else LEFT / 10, made.edit.line, made.edit.operation, also
    )


def _of_one(case: Case, made: Made, none_too_many: bool) -> Iterator[tuple[float, Finding]]:
    text = f"∂/∂{case.name} is {told(made)}"
    kinds = list(made.kinds)
    if none_too_many and made.edit.put_in and "extra_factor" in kinds:
        kinds.insert(kinds.index("extra_factor"), "missing_factor")
    elif not none_too_many and made.edit.put_in and made.done and kinds[0] == "missing_factor":
        kinds.insert(0, "extra_factor")
    for n, kind in enumerate(kinds):
        yield weight(made) + n * _SECOND, _finding(case, kind, text, made)


def _of_two(case: Case, work: Workshop) -> Ranked:
    found: Ranked = []
    for one, other, ratios in work.pairs():
        cost = weight(one) + (weight(other) if other is not None else 0) + TWO
        text = f"∂/∂{case.name} is {told(one)}"
        kinds = [(one.kinds[0], one)]
        if other is not None:
            text = f"{text}, and once {other.edit.text}"
            kinds.append((other.kinds[0], other))
        if not np.allclose(ratios, 1, rtol=LEFT):
            seconds = list(explained_ratio(_where(case, work), ratios, "", ""))
            if not seconds:
                continue
            text = f"{text}; and {seconds[0].message}"
            kinds.append((seconds[0].kind, one))
            if one.kinds[0] == "missing_term" and np.allclose(ratios, 2, rtol=1e-4):
                kinds.insert(0, ("wrong_term", one))  # one of two terms stands for the other as well
            cost += TWO if other is not None else 0
        elif other is None:
            continue
        elif (shared := _one_for_another(one, other)) is not None:
            kinds, cost = [("wrong_term", one), *kinds], cost + shared
        else:
            kinds.sort(key=lambda item: item[0] == "wrong_term")  # what says more comes first
        names = [kind for kind, _ in kinds]
        for n, (kind, made) in enumerate(kinds):
            also = next((name for name in names if name != kind), "")
            found.append((cost + n * 1e-3, _finding(case, kind, text, made, also)))
    return sorted(found, key=lambda item: item[0])[:_MOST]


def _one_for_another(one: Made, other: Made) -> float | None:
    """How little it says that a term, or a factor, is left out of both: what they share is left, one is another."""
    if one.kinds[0] == "missing_term" and other.kinds == ("wrong_term",) and other.edit.done[0] == "missing_term":
        return 1.25
    return 0.0 if one.kinds[0] == "missing_factor" and other.kinds[0] == "extra_factor" else None


def _where(case: Case, work: Workshop) -> Case:
    from dataclasses import replace

    return replace(case, seen=work.seen)


def first(findings: Sequence[Finding]) -> list[Finding]:
    """One of each kind."""
    kept: dict[str, Finding] = {}
    for finding in findings:
        kept.setdefault(finding.kind, finding)
    return list(kept.values())
