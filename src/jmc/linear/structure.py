"""Names of structures, read off the labels: never off the values of an array, and off sizes only where that is said.

A name is a sum of parts, ``diagonal(10) + rank 1``; sizes are those of flattened axes, output × input. Kinds of parts:

====================  =========================================================================================
``zero(m×n)``         no terms
``scalar``            a number
``identity(n)``       each output axis shares its label with an input axis, and there is no factor
``diagonal(n)``       the same with factors or a coefficient
``permutation(n)``    the identity with axes exchanged or reversed
``selection(m×n)``    0/1: each output is one input: slices, gathers
``embedding(m×n)``    0/1: each input goes to one output: padding, scatters; x ↦ diag(x)
``banded(−1…1)``      input minus output position; ``banded(−4, 0)`` if there are gaps, ``banded(0…1 × 0…1)`` on two
                      axes, ``banded(0…2 of dense(4×3))`` with blocks on the other axes
``row(n)``            one output; ``column(m)``: one input
``row of ones(n)``    no factor; ``column of ones(m)``, ``ones(m×n)``
``row of identity(n)``  Σ v[i, i]; ``row of diagonal(n)`` with factors; ``column of …`` is the transpose
``rank r``            outputs and inputs are connected through summed labels alone, of r values in all, or not at all
                      (rank 1); dense if r is not below m and n
``block_diagonal(k × …)``   k blocks, one for each value of shared labels that a factor holds
``kronecker(… ⊗ …)``  parts that share no factor, in the order of the output axes; Iₖ is the identity(k)
``stack(…, …)``       parts above one another
``dense(m×n)``        one factor on all labels, or a sum with such a term
``sparse(m×n)``       none of these
====================  =========================================================================================

``scaled`` before permutation, selection and embedding says that there are factors. Permutations apart, names are up to
the order of axes.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from jmc.linear.parts import (
    Part,
    components,
    cropped,
    digits,
    distances,
    distinct,
    extent,
    labels_of,
    least_rank,
    m_by_n,
    ordered,
    shared_axes,
    span,
    split,
    tiled,
    whole_axis,
)
from jmc.linear.term import Axis, Label, Term

_DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def name(terms: Sequence[Term], out_shape: Sequence[int], in_shape: Sequence[int]) -> str:
    """The name of a sum of terms."""
    if not terms:
        return f"zero({math.prod(out_shape)}×{math.prod(in_shape)})"
    parts = [Part(t.coefficient != 1, tuple(frozenset(f.labels) for f in t.factors), t.out, t.in_) for t in terms]
    return _stacked(parts) or _named(split(parts))


def _named(parts: Sequence[Part]) -> str:
    """The name of a sum whose axes are split."""
    first = parts[0]
    shared = shared_axes(parts)
    if len(shared) == len(first.out) == len(first.in_) > 0:
        return _diagonal(parts, shared)
    if len(parts) == 1:
        found = components(first)
        if len(found) > 1 and any(part.out and part.in_ for part in found):
            return _kronecker(found)
        return _alone(first, shared)
    held = {(p, q) for p, q in shared if any(part.out[p].label in f for part in parts for f in part.factors)}
    free = [pair for pair in shared if pair not in held]
    if not shared:
        return _sum(parts)
    fixed = [part.without({part.out[p].label for p, _ in free}) for part in parts]  # pyright: ignore[reportArgumentType] - shared axes have labels
    inner = _blocks(fixed, shared_axes(fixed)) if held else _sum(fixed)
    if not free:
        return inner
    eyes = [Part(False, (), (first.out[p],), (first.in_[q],)) for p, q in free]
    return _kronecker(ordered([*eyes, fixed[0]], first), {id(fixed[0]): inner})


def _diagonal(parts: Sequence[Part], shared: Sequence[tuple[int, int]]) -> str:
    """All labels are shared."""
    n = extent(parts[0].out)
    pure = len(parts) == 1 and parts[0].pure
    if all(p == q for p, q in shared):
        return f"identity({n})" if pure else f"diagonal({n})"
    return f"{'' if pure else 'scaled '}permutation({n})"


def _blocks(parts: Sequence[Part], shared: Sequence[tuple[int, int]]) -> str:
    fixed = [part.without({part.out[p].label for p, _ in shared}) for part in parts]  # pyright: ignore[reportArgumentType] - shared axes have labels
    inner = _named(fixed)
    count = math.prod(parts[0].out[p].size for p, _ in shared)
    return f"block_diagonal({count} × {_bracketed(inner)})"


def _bracketed(inner: str) -> str:
    return f"({inner})" if " + " in inner else inner


def _kronecker(factors: Sequence[Part], known: Mapping[int, str] = MappingProxyType({})) -> str:
    texts = [known.get(id(part)) or _named([part]) for part in factors]
    eyes = [text == f"identity({extent(part.out)})" for part, text in zip(factors, texts, strict=True)]
    names = []
    for is_eye, run in itertools.groupby(zip(eyes, factors, texts, strict=True), key=lambda item: item[0]):
        if is_eye:
            names.append("I" + str(math.prod(extent(part.out) for _, part, _ in run)).translate(_DIGITS))
        else:
            names += [_bracketed(text) for *_, text in run]
    return f"kronecker({' ⊗ '.join(names)})"


def _alone(part: Part, shared: Sequence[tuple[int, int]]) -> str:
    """One term whose labels are connected, or which has an output side and an input side that are not."""
    if shared:
        return _blocks([part], shared)
    if not part.out or not part.in_:
        return _one_sided(part)
    if set(labels_of(part.out)).isdisjoint(labels_of(part.in_)) and labels_of(part.axes):
        rank = least_rank(part)
        if rank is None:
            return f"dense{m_by_n(part)}"
        covers = part.pure and all(axis.label is not None for axis in part.axes)
        return f"ones{m_by_n(part)}" if covers and distinct(part.axes) else f"rank {rank}"
    return _placed(part)


def _one_sided(part: Part) -> str:
    """Only an output or only an input."""
    if not part.axes:
        return "scalar"
    side = "row" if part.in_ else "column"
    n = extent(part.axes)
    labels = labels_of(part.axes)
    if all(axis.label is not None for axis in part.axes):
        if distinct(part.axes):
            return f"{side} of ones({n})" if part.pure else f"{side}({n})"
        if all(labels.count(label) == 2 for label in labels):
            return f"{side} of {'identity' if part.pure else 'diagonal'}({math.isqrt(n)})"
    if part.pure and not labels:
        return ("selection" if part.in_ else "embedding") + m_by_n(part)
    return f"{side}({n})"


def _placed(part: Part) -> str:
    """One term that shares labels between output and input, not each as a whole axis with a whole axis."""
    scaled = "" if part.pure else "scaled "
    out, in_ = labels_of(part.out), labels_of(part.in_)
    if set().union(*part.factors) <= {*out, *in_}:
        reads_all = set(in_) <= set(out) and distinct(part.out) and all(map(whole_axis, part.out))
        fills_all = set(out) <= set(in_) and distinct(part.in_) and all(map(whole_axis, part.in_))
        if reads_all and fills_all:
            written, read = (digits(axes) for axes in (part.out, part.in_))
            if written is not None and written == read:
                return f"{'identity' if part.pure else 'diagonal'}({extent(part.out)})"
            return f"{scaled}permutation({extent(part.out)})"
        if reads_all or fills_all:
            return f"{scaled}{'selection' if reads_all else 'embedding'}{m_by_n(part)}"
    return _bands([part]) or _block_bands(part) or f"sparse{m_by_n(part)}"


def _block_bands(part: Part) -> str | None:
    """Bands on some axes, and on the others a block for each place, as a convolution of channels has them."""
    pairs = [
        (p, q)
        for p, q in itertools.product(range(len(part.out)), range(len(part.in_)))
        if not set(part.out[p].labels).isdisjoint(part.in_[q].labels)
    ]
    ps, qs = [p for p, _ in pairs], [q for _, q in pairs]
    if not pairs or len(set(ps)) < len(ps) or len(set(qs)) < len(qs):
        return None
    core = part._replace(out=tuple(part.out[p] for p in ps), in_=tuple(part.in_[q] for q in qs))
    bands = _bands([core])
    gone = set(labels_of(core.axes))
    rest = part._replace(
        factors=tuple(f - gone for f in part.factors),
        out=tuple(axis for p, axis in enumerate(part.out) if p not in ps),
        in_=tuple(axis for q, axis in enumerate(part.in_) if q not in qs),
    )
    return f"{bands[:-1]} of {_named([rest])})" if bands is not None and rest.axes else None


def _sum(parts: Sequence[Part]) -> str:
    """Several terms that have no shared axes in common."""
    first = parts[0]
    if len(parts) == 1:
        return _named(parts)
    if not first.out or not first.in_:
        return _one_sided(first._replace(scaled=True, out=_unlike(parts, first.out), in_=_unlike(parts, first.in_)))
    sides = [set(labels_of(part.out)).isdisjoint(labels_of(part.in_)) and labels_of(part.axes) for part in parts]
    apart = [part for part, disjoint in zip(parts, sides, strict=True) if disjoint]
    near = [part for part, disjoint in zip(parts, sides, strict=True) if not disjoint]
    ranks = [least_rank(part) for part in apart]
    if None in ranks or _full(parts):
        texts = [_named([part]) for part in parts]
        products = all(text.startswith("kronecker(") for text in texts)
        return " + ".join(texts) if products else f"dense{m_by_n(first)}"
    names = [_near(near, whole=not apart)] if near else []
    if any(text.startswith("dense(") for text in names):
        return names[0]
    total = sum(rank for rank in ranks if rank is not None)
    return " + ".join([*names, *([f"rank {total}"] if ranks else [])])


def _unlike(parts: Sequence[Part], axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """One-sided terms with the same repeated labels keep them; else the sum has no structure."""
    alike = {tuple(labels_of(part.axes).index(label) for label in labels_of(part.axes)) for part in parts}
    return axes if len(alike) == 1 else tuple(Axis(axis.size, ((Label(axis.size), 1),)) for axis in axes)


def _full(parts: Sequence[Part]) -> bool:
    """Whether the parts are single entries, and all of them."""
    if any(labels_of(part.axes) for part in parts):
        return False
    places = {tuple(axis.offset for axis in part.axes) for part in parts}
    return len(places) == extent(parts[0].axes)


def _near(parts: Sequence[Part], whole: bool) -> str:
    """The sum of terms that share labels between output and input."""
    if not whole and (len(parts) == 1 or shared_axes(parts)):
        return _named(parts)
    bands = _bands(parts)
    if bands is not None:
        return bands if bands.startswith("diagonal") else _pieces(parts) or bands
    names = list(dict.fromkeys(_named([part]) for part in parts))
    if any(text.startswith("dense(") for text in names):
        return f"dense{m_by_n(parts[0])}"
    if len(names) < len(parts) or any(
        text.startswith(("sparse", "selection", "embedding", "scaled")) for text in names
    ):
        return f"sparse{m_by_n(parts[0])}"
    return " + ".join(names)


def _bands(parts: Sequence[Part]) -> str | None:
    """``diagonal`` or ``banded``, if the distance of input and output position is bounded by labels not in common."""
    ranges = [found for part in parts if (found := distances(part)) is not None]
    if len(ranges) < len(parts):
        return None
    m, n = extent(parts[0].out), extent(parts[0].in_)
    if m == n and all(pair == (0, 0) for found in ranges for pair in found):
        return f"diagonal({m})"
    return f"banded({' × '.join(map(_offsets, zip(*ranges, strict=True)))})"


def _offsets(ranges: Iterable[tuple[int, int]]) -> str:
    """Ranges of offsets, with those that touch as one."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return ", ".join(f"{low}…{high}" if low < high else str(low) for low, high in merged).replace("-", "−")


def _pieces(parts: Sequence[Part]) -> str | None:
    """A permutation in pieces: terms that read ranges of one axis and write them side by side, as roll does."""
    if any(len(part.out) != 1 or len(part.in_) != 1 or part.out[0].labels != part.in_[0].labels for part in parts):
        return None
    if not all(
        tiled([span(axes[0]) for axes in side], side[0][0].size)
        for side in zip(*((p.out, p.in_) for p in parts), strict=True)
    ):
        return None
    return f"{'' if all(part.pure for part in parts) else 'scaled '}permutation({extent(parts[0].out)})"


def _stacked(parts: Sequence[Part]) -> str | None:
    """Groups of terms that fill separate ranges of one output axis from the whole input, as concatenation does."""
    if not all(axis.label is not None or axis.radix for part in parts for axis in part.in_):
        return None
    for p, axis in enumerate(parts[0].out):
        ranges = [span(part.out[p]) for part in parts]
        cuts = dict.fromkeys(ranges)
        if len(cuts) < 2 or not tiled(list(cuts), axis.size):
            continue
        names = []
        for cut in sorted(cuts, key=lambda found: found or (0, 0)):
            group = [cropped(part, p) for part, found in zip(parts, ranges, strict=True) if found == cut]
            names.append(_stacked(group) or _named(split(group)))
        m, n = extent(parts[0].out), extent(parts[0].in_)
        if not parts[0].in_:
            return f"column({m})"
        flat = all(text.startswith(("row(", "row of ones(", "dense(")) for text in names)
        return f"dense({m}×{n})" if flat else f"stack({', '.join(names)})"
    return None
