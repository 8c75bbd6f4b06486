"""Mistakes that show only somewhere: on one side of a threshold, at zero, where an entry is used more than once."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jmc.checking.hypotheses import Case, Finding
from jmc.checking.observe import Observer
from jmc.checking.repair import Workshop

_MOST_ENTRIES = 4096  # of a Jacobian that is looked at entry by entry


def region(case: Case, observer: Observer, work: Workshop) -> Iterator[Finding]:
    """Where alone the claim is off, if that can be said of a value on the way, or of a difference of two arguments."""
    off = [np.broadcast_to(o.off[case.index], t.shape) for o, (_, t) in zip(case.seen, case.pairs, strict=True)]
    if not any(np.any(m) for m in off) or all(np.all(m) for m in off if m.size) or not _apart(case, off):
        return
    candidates: list[tuple[str, str, str, list[Any]]] = []
    for k, x in enumerate(case.seen[0].leaves):
        if x.dtype.kind == "f":
            candidates.append((f"`{case.names[k]}`", "", "", [o.leaves[k] for o in case.seen]))
    if len(work.truth) == len(case.seen):
        s = work.truth[0]
        for e in s.program.equations:
            if e.outs[0] not in s.cotangent_values:
                values = [other.values[e.outs[0]] for other in work.truth]
                candidates.append((s.called(e.outs[0]), e.line, e.name, values))
    same = [
        c for c in candidates if all(v.shape == m.shape and v.dtype.kind == "f" for v, m in zip(c[3], off, strict=True))
    ]
    for a in range(min(len(same), 4)):
        for b in range(a + 1, min(len(same), 4)):
            name = f"{same[a][0]} − {same[b][0]}"
            candidates.append((name, "", "", [x - y for x, y in zip(same[a][3], same[b][3], strict=True)]))
    found = []
    if _by_place(case, off):
        candidates = []
    told = [_told(c, t) for c, t in case.pairs]
    m = [mask[some] for mask, some in zip(off, told, strict=True)]
    for name, line, operation, values in candidates:
        if any(v.dtype.kind != "f" for v in values):
            continue
        try:
            spread = [np.broadcast_to(v, mask.shape) for v, mask in zip(values, off, strict=True)]
        except ValueError:
            continue
        v = [w[some] for w, some in zip(spread, told, strict=True)]
        place = f" ({line})" if line else ""
        for text, w in ((name, v), (f"|{name}|", [np.abs(w) for w in v])):
            if where := _side(w, m):
                sentence = f"∂/∂{case.name} is off only where {text}{place} {where}"
                found.append(case.finding("region", sentence, 0.0, line, operation))
                break
    yield from sorted(found, key=lambda finding: "|" in finding.message)[:1]
    if found:
        return
    often = _used_more_than_once(case, observer)
    if often is not None and all(not np.any(mask & ~many) for mask, many in zip(off, often, strict=True)):
        sentence = f"∂/∂{case.name} is off only where an entry is used more than once: its uses are not summed"
        yield case.finding("missing_sum", sentence, 0.0)


def _by_place(case: Case, off: Sequence[np.ndarray]) -> bool:
    """Whether the same entries are off at every point, so that it is their place that matters."""
    alike: dict[Any, list[tuple[int, np.ndarray]]] = {}
    for o, mask in zip(case.seen, off, strict=True):
        alike.setdefault(mask.shape, []).append((id(o.point), mask))
    several = [group for group in alike.values() if len({point for point, _ in group}) > 1]
    return bool(several) and all(np.array_equal(m, group[0][1]) for group in several for _, m in group)


def _told(c: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Which entries say something: not those that are nothing but almost."""
    size = np.maximum(np.abs(np.where(np.isfinite(c), c, t)), np.abs(t))
    return (size == 0) | (size > 1e-6 * np.max(size, initial=0))


def _apart(case: Case, off: Sequence[np.ndarray]) -> bool:
    """Whether entries are either right or clearly wrong, with nothing between: it is not a matter of how much."""
    shares = []
    for c, t in case.pairs:
        error = np.where(np.isfinite(c), np.abs(c - t), np.inf)
        shares.append(error / np.maximum(np.abs(t), 1e-3 * np.max(np.abs(t), initial=0) + 1e-300))
    bad = np.concatenate([s[m] for s, m in zip(shares, off, strict=True)])
    good = np.concatenate([s[~m] for s, m in zip(shares, off, strict=True)])
    # where it is right by being nothing, a mask of the derivative's own says so
    if not any(np.any(t[~m]) for (_, t), m in zip(case.pairs, off, strict=True)):
        return False
    return bool(len(bad) and len(good) and np.min(bad) > 1e-3 and np.max(good) < 1e-9)


def _side(values: Sequence[np.ndarray], off: Sequence[np.ndarray]) -> str:
    """In words, where the marked values lie; empty if that is no half-line and no point, anywhere."""
    v, m = np.concatenate(values), np.concatenate(off)
    bad, good = v[m], v[~m]
    if len(bad) < 2 or len(good) < 2:
        return ""
    if np.all(bad == 0) and not np.any(good == 0):
        return "is 0"
    if bad.max() < good.min():
        low, high = bad.max(), good.min()
        return "is negative" if low <= 0 <= high else f"is below a threshold between {low:.3g} and {high:.3g}"
    if bad.min() > good.max():
        low, high = good.max(), bad.min()
        return "is positive" if low <= 0 <= high else f"is above a threshold between {low:.3g} and {high:.3g}"
    mixed = [(w[n], w[~n]) for w, n in zip(values, off, strict=True) if np.any(n) and not np.all(n)]
    if len(mixed) > 1 and all(bad.min() > good.max() for bad, good in mixed):
        return "is above a threshold that depends on the arguments"
    if len(mixed) > 1 and all(bad.max() < good.min() for bad, good in mixed):
        return "is below a threshold that depends on the arguments"
    return ""


def _used_more_than_once(case: Case, observer: Observer) -> list[np.ndarray] | None:
    """Of each observation, which entries of the leaf several outputs depend on, if that differs among entries."""
    found = []
    for o in case.seen:
        x = o.leaves[case.leaf]
        if len(o.us) != 1 or x.size * o.us[0].size > _MOST_ENTRIES:
            return None
        rows = [
            observer.reference.pulled(o.leaves, [e])[case.index]
            for e in np.eye(o.us[0].size).reshape(-1, *o.us[0].shape)
        ]
        found.append(np.sum([row != 0 for row in rows], axis=0) > 1)
    mixed = any(np.any(many) and not np.all(many) for many in found)
    return found if mixed else None
