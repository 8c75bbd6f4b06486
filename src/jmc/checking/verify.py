"""The verdict on a hand-derived rule: kinks and tails told apart from mistakes, and mistakes explained."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jmc.checking import heatmap
from jmc.checking.arbiter import Arbiter, moved_together
from jmc.checking.diagnosis import CONVENTIONS, Diagnosis
from jmc.checking.hypotheses import Finding
from jmc.checking.laws import lawless
from jmc.checking.observe import CLEAN, Observation, Observer
from jmc.checking.problem import Problem
from jmc.checking.report import Report, Worst


def verified(problem: Problem, given: Sequence[Any], seed: int, named: bool = True) -> Report:
    """The report on a problem at the given arguments; ``named``: with the mistakes by name."""
    with np.errstate(all="ignore"):  # what is not finite says something here
        return _verified(problem, given, seed, named)


def _verified(problem: Problem, given: Sequence[Any], seed: int, named: bool) -> Report:
    observer = Observer(problem, given, seed)
    seen = _settled(observer, list(observer.observations()))
    report = Report(problem.name, problem.mode, [leaf.name for leaf in problem.leaves])
    report.warnings = list(degenerate(problem, given))
    report.points = [o.point.kind for o in seen]
    report.oracles = sorted({name for o in seen for name in o.truth.agreeing})
    report.notes = [f"not compared at {text}" for text in dict.fromkeys(observer.skipped)]
    _, argnum = problem.named(0)
    complaints = [Finding("unknown", argnum, text, float("inf")) for text in observer.complaints]
    if not seen:
        report.verdict = "wrong" if complaints else "undecided"
        report.findings = complaints
        return report
    diagnosis = Diagnosis(problem, observer)
    report.power_of = lambda: _quietly(diagnosis.power, seen)
    report.errors_of = lambda: _quietly(_errors, problem, observer, seen[0])
    count = len(seen[0].off)
    found = list(lawless(observer, seen))
    arbiters = [Arbiter(observer, k) for k in range(count)]
    for arbiter in arbiters:
        arbiter.settle(seen)
        report.notes += arbiter.notes
    turned = moved_together(observer, arbiters, seen)
    kinks = {arbiter.k: arbiter.findings(turned.get(arbiter.k, "")) for arbiter in arbiters}
    wrong = {k: off for k in range(count) if (off := [o for o in seen if o.point.kind in CLEAN and np.any(o.off[k])])}
    if not _ambiguous_sizes(given):
        for k, off in list(wrong.items()):
            if all(o.point.kind == "sizes" for o in off):
                text = "is right at these sizes and not at others: some are written into the rule"
                report.notes.append(f"∂/∂{problem.named(k)[0]} {text}")
                for o in off:
                    o.off[k][...] = False
                    o.rough[k][...] = False
                del wrong[k]
    report.worst = _worst(problem, seen)
    casts = {k: cast for k, off in wrong.items() if (cast := _cast(problem, k, off)) is not None}
    explained = diagnosis.findings({k: off for k, off in wrong.items() if k not in casts} if named else {})
    if problem.mode == "jvp" and len(wrong) < count:  # of the sum over the arguments, one term is wrong
        kinds = {"sign": "wrong_term", "constant_factor": "wrong_term", "zero": "missing_term"}
        terms = {f.name: replace(f, kind=kinds[f.kind]) for f in explained if f.kind in kinds}
        explained = [*terms.values(), *explained]
    found += [*casts.values(), *explained]
    for k in range(count):
        name, argnum = problem.named(k)
        if k not in wrong:
            undefined = [o for o in seen if _undefined(observer, o, k)]
            if undefined:
                text = "is not finite where entries are 0 or equal, though the derivative is: it divides by 0 there"
                report.notes.append(f"∂/∂{name} {text}")
            rest = [o for o in seen if o not in undefined]
            found += kinks[k] + [x for x in _at_edges(problem, k, rest) if not kinks[k] or x.kind != "region"]
        elif all(finding.name != name for finding in found):
            rest = f"; {report.worst}" if report.worst is not None else ""
            text = f"∂/∂{name} is wrong, and no single mistake that jmc knows explains it{rest}"
            found.append(Finding("unknown", argnum, text, float("inf"), name))
    report.findings = found + complaints
    report.verdict = _verdict(report.findings)
    return report


def _settled(observer: Observer, seen: list[Observation]) -> list[Observation]:
    """Those where the rule is right, or where iterations that have come to rest at the first have done so as well."""
    if not any(o.wrong for o in seen):
        return seen
    moving = observer.reference.unfinished([o.leaves for o in seen])
    left_out = [o for o, moves in zip(seen, moving, strict=True) if moves and o.wrong]
    observer.skipped += [f"{o.point.kind}: an iteration of the function has not come to rest there" for o in left_out]
    return [o for o in seen if o not in left_out]


def _errors(problem: Problem, observer: Observer, o: Observation) -> list[tuple[str, np.ndarray, float]]:
    """Tables of errors, with the largest true entry of each: of a Jacobian, or of derivatives that are tables."""
    if problem.mode in ("jacobian", "hessian") and len(o.us) == 1 and o.us[0].size <= heatmap.MOST:
        basis = np.eye(o.us[0].size).reshape(-1, *o.us[0].shape)
        claimed = [found for e in basis if (found := observer.ask(o, [e])) is not None]
        true = [observer.reference.pulled(o.leaves, [e]) for e in basis]
        pairs = [
            (_stacked([row[k] for row in claimed]), _stacked([row[k] for row in true]))
            for k in range(len(problem.moving))
        ]
    else:
        pairs = [(c, t) for c, t in zip(o.claimed, o.truth.cotangents, strict=True)]
    return [
        (f"∂{problem.name}/∂{problem.named(k)[0]} ({o.point.kind} point)", c - t, float(np.max(np.abs(t), initial=0)))
        for k, (c, t) in enumerate(pairs)
        if c is not None and t.ndim == 2 and c.shape == t.shape
    ]


def _stacked(rows: Sequence[np.ndarray | None]) -> np.ndarray:
    return np.array([np.ravel(row) for row in rows if row is not None])


def _verdict(findings: Sequence[Finding]) -> str:
    if not findings:
        return "equal"
    first = {finding.name: finding for finding in reversed(findings)}.values()
    # A convention is about the derivative as a whole; at one operation of a program it is a mistake.
    return "convention" if all(each.kind in CONVENTIONS and not each.operation for each in first) else "wrong"


def _undefined(observer: Observer, o: Observation, k: int) -> bool:
    """Whether a claim has no value at zeros or ties in whole arrays, which nobody gave.

    Of an element-wise function one entry suffices, and that is a mistake.
    """
    c, off = o.claimed[k], o.off[k]
    if o.point.kind != "zeros" or c is None or c.shape != off.shape or not np.any(off) or np.any(np.isfinite(c[off])):
        return False
    return not observer.reference.elementwise(o.leaves, o.us, k)


def _at_edges(problem: Problem, k: int, seen: Sequence[Observation]) -> list[Finding]:
    """What is off at zeros, at ties, or far out alone; or in the precision of the arguments alone."""
    name, argnum = problem.named(k)
    what = f"∂/∂{name}"
    for o in seen:
        if not np.any(o.off[k]):
            continue
        said, true, at = _entry(problem, o, k)
        if o.point.kind == "zeros":
            text = f"{what} is off only where entries are 0 or equal: {said:.6g} {at}, but it is {true:.6g}"
            return [Finding("region", argnum, text, 0.0, name)]
        text = f"{what} loses its digits far out: {said:.6g} {at}, but it is {true:.6g}"
        return [Finding("tail_accuracy", argnum, text, 0.0, name)]
    for o in seen:
        if not np.any(o.rough[k]) or o.point.kind not in CLEAN:
            continue
        _, said, true = _largest(o.own[k], o.truth.cotangents[k], o.rough[k])
        share = abs(said - true) / (float(np.max(np.abs(o.truth.cotangents[k]))) or 1.0)
        values = f"{said:.8g}, but it is {true:.8g}"
        if not share <= 1e-2 or abs(said - true) > 2e-2 * abs(true):  # a cast costs each entry its last digits
            text = f"{what} loses its digits in the precision of the arguments: {values}"
            return [Finding("tail_accuracy", argnum, text, share, name)]
        return [_hidden_cast(what, argnum, name, share, values)]
    return []


def _cast(problem: Problem, k: int, seen: Sequence[Observation]) -> Finding | None:
    """The finding if every entry is right to some digits, in float64 too."""
    shares = []
    for o in seen:
        c, t = o.claimed[k], o.truth.cotangents[k]
        if c is None or c.shape != t.shape or not np.all(np.abs(c - t) <= 1e-2 * np.abs(t)):
            return None
        shares.append(float(np.max(np.abs(c - t)) / np.max(np.abs(t))))
    name, argnum = problem.named(k)
    _, said, true = _largest(seen[0].claimed[k], seen[0].truth.cotangents[k], seen[0].off[k])
    return _hidden_cast(f"∂/∂{name}", argnum, name, max(shares), f"{said:.8g}, but it is {true:.8g}")


def _hidden_cast(what: str, argnum: int, name: str, share: float, values: str) -> Finding:
    cast = "bfloat16" if share > 3e-4 else "float32"
    text = f"{what} has the digits of {cast}, fewer than its arguments: a hidden cast ({values})"
    return Finding("unknown", argnum, text, share, name)


def _entry(problem: Problem, o: Observation, k: int) -> tuple[float, float, str]:
    """What is said and true at the entry with the largest error, and where that is."""
    index, said, true = _largest(o.claimed[k], o.truth.cotangents[k], o.off[k])
    x = o.leaves[problem.moving[k]]
    beside = x.shape == o.truth.cotangents[k].shape and x.dtype.kind == "f"
    return said, true, f"at {float(x[index]):.4g}" if beside else "there"


def _largest(c: Any, t: np.ndarray, off: np.ndarray) -> tuple[Any, float, float]:
    if c is None or c.shape != t.shape:
        return (), float("nan"), float("nan")
    error = np.where(off, np.nan_to_num(np.abs(c - t), nan=np.inf, posinf=np.inf), -1)
    index = np.unravel_index(np.argmax(error), t.shape)
    return index, float(np.real(c[index])), float(np.real(t[index]))


def _worst(problem: Problem, seen: Sequence[Observation]) -> Worst | None:
    """The entry with the largest error relative to its array, of all observations."""
    best, found = -1.0, None
    clean = [o for o in seen if o.point.kind in CLEAN and o.wrong]
    for o in clean or seen:
        for k, (c, t, off) in enumerate(zip(o.claimed, o.truth.cotangents, o.off, strict=False)):
            if c is None or not np.any(off):
                continue
            name, _ = problem.named(k)
            if c.shape != t.shape:
                return Worst(name, o.point.kind, (), np.nan, np.nan, f"has shape {c.shape}, but must have {t.shape}")
            index, said, true = _largest(c, t, off)
            share = abs(said - true) / (float(np.max(np.abs(t))) or 1.0)
            if not share <= best:
                best, found = share, Worst(name, o.point.kind, tuple(int(i) for i in index), said, true)
    return found


def _ambiguous_sizes(given: Sequence[Any]) -> bool:
    """Whether an array has two axes of one size, or one of size 1, so that the given sizes hide mistakes."""
    for x in given:
        sizes = list(x.shape)
        if len(set(sizes)) < len(sizes) or 1 in sizes:
            return True
    return False


def degenerate(problem: Problem, given: Sequence[Any]) -> Iterator[str]:
    """What about the given arguments hides mistakes."""
    for leaf, x in zip(problem.leaves, given, strict=True):
        name = leaf.name
        constant = isinstance(x, np.ndarray) and x.dtype.kind in "fc" and x.size > 1 and np.all(x == x.flat[0])
        if constant:
            yield f"`{name}` is {x.flat[0]:g} everywhere, which hides a factor that is missing or too many"
        if len(x.shape) == 2 and x.shape[0] == x.shape[1] > 1:
            yield f"`{name}` is square, which hides a transposed operand"
        if len(x.shape) > 1 and x.shape[0] == 1:
            yield f"`{name}` has one row, which hides a sum or a mean over rows"


def _quietly(f: Any, *args: Any) -> Any:
    with np.errstate(all="ignore"):
        return f(*args)
