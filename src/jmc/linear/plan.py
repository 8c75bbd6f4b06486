"""The order of a contraction: what is multiplied first, and what the planned operations count."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence

from opt_einsum import paths

from jmc.linear.term import Factor, Label, Labels

FEW = 8  # operands, of which every path is tried


def groups(operands: Sequence[Factor]) -> list[list[int]]:
    """What is multiplied before any contraction, in the order in which it acts: factors on the same labels, and
    scalars with what comes before them, so that no product is larger than it is in the function.
    """
    found: list[list[int]] = []
    place: dict[frozenset[Label], list[int]] = {}
    for k, operand in enumerate(operands):
        labels = frozenset(operand.labels)
        if not labels and found:
            found[-1].append(k)
        elif labels and len(found) == 1 and not any(operands[i].labels for i in found[0]):
            found[0].append(k)
            place[labels] = found[0]
        elif labels in place:
            place[labels].append(k)
        else:
            found.append([k])
            place[labels] = found[-1]
    return found


def steps(operands: Sequence[Labels], keep: set[Label]) -> list[tuple[int, ...]]:
    """Steps of one or two operands, by position, of which the result goes to the end of the list.

    The path of the fewest operations, found by exhaustion; of many operands a greedy search first leaves few.
    """
    left = [frozenset(labels) for labels in operands]
    if len(left) <= 1:
        return [(0,)] if left and not left[0] <= keep else []
    if len(left) == 2:
        return [(0, 1)]
    number = {label: k for k, label in enumerate(dict.fromkeys(itertools.chain(*operands)))}
    inputs = tuple(frozenset(number[label] for label in labels) for labels in left)
    output = frozenset(number[label] for label in number if label in keep)
    return _path(inputs, output, tuple(max(label.size, 1) for label in number))


@functools.lru_cache(maxsize=4096)
def _path(inputs: tuple[frozenset[int], ...], output: frozenset[int], sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    left, first = list(inputs), []
    if len(left) > FEW:
        named = [frozenset(map(str, labels)) for labels in inputs]
        sized = {str(k): size for k, size in enumerate(sizes)}
        first = [tuple(step) for step in paths.greedy(named, frozenset(map(str, output)), sized)][: len(left) - FEW]
    for step in first:
        both = frozenset[int]().union(*(left.pop(k) for k in sorted(step, reverse=True)))
        left.append(both & output.union(*left))
    return first + _best(tuple(left), output, sizes)


def _best(inputs: tuple[frozenset[int], ...], output: frozenset[int], sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The best path, from the best split of every subset; a label may be in any number of operands."""
    everything = (1 << len(inputs)) - 1
    union = [frozenset[int]()]
    for subset in range(1, everything + 1):
        lowest = subset & -subset
        union.append(union[subset ^ lowest] | inputs[lowest.bit_length() - 1])
    kept = [union[subset] & (output | union[everything ^ subset]) for subset in range(everything + 1)]
    best: dict[int, tuple[int, int]] = {1 << k: (0, 0) for k in range(len(inputs))}  # cost, and one side of the split
    for subset in sorted(range(1, everything + 1), key=int.bit_count):
        if subset in best:
            continue
        splits = []
        side = (subset - 1) & subset
        while side:
            if side & subset & -subset:
                both = kept[side] | kept[subset ^ side]
                work = math.prod(sizes[m] for m in both) * (1 if both == kept[subset] else 2)
                splits.append((best[side][0] + best[subset ^ side][0] + work, side))
            side = (side - 1) & subset
        best[subset] = min(splits)
    left, path = [1 << k for k in range(len(inputs))], []

    def visit(subset: int) -> None:
        side = best[subset][1]
        if side:
            visit(side)
            visit(subset ^ side)
            step = sorted((left.index(side), left.index(subset ^ side)))
            path.append(tuple(step))
            left[:] = [other for k, other in enumerate(left) if k not in step] + [subset]

    visit(everything)
    return path


def flops(factors: Sequence[Factor], keep: Iterable[Label]) -> int:
    """Additions and multiplications of the planned contraction."""
    kept = set(keep)
    total, left = 0, []
    for group in groups(factors):
        largest = max((set(factors[k].labels) for k in group), key=len)
        total += (len(group) - 1) * _count(largest)
        left.append(largest)
    for step in steps([tuple(labels) for labels in left], kept):
        chosen = [left.pop(k) for k in sorted(step, reverse=True)]
        needed = kept.union(*left)
        if len(chosen) == 1:
            total += _count(chosen[0])
            left.append(chosen[0] & needed)
            continue
        a, b = chosen
        for one, other in ((a, b), (b, a)):  # sums over what only one of them has
            alone = {label for label in one if label not in needed and label not in other}
            total += _count(one) if alone else 0
            one -= alone
        summed = {label for label in a & b if label not in needed}
        total += _count(a | b) * (2 if summed else 1)
        left.append((a | b) - summed)
    return total


def _count(labels: Iterable[Label]) -> int:
    return math.prod(label.size for label in labels)
