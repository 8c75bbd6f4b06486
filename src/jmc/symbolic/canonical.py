"""Labels of a product in an order that depends on nothing but what it says: equal products are written the same."""

import itertools
from collections.abc import Callable, Mapping, Sequence

from jmc.symbolic.tensor import Dim, Labels, Tensor

Part = tuple[Tensor, Labels]


def ranked(parts: Sequence[Part], out: Labels, sizes: Mapping[int, Dim], either: Callable[[Tensor], bool]) -> list[int]:
    """The labels in an order that does not depend on their names, as far as refinement of colours can tell.

    ``either`` says of which matrices the order of the labels does not matter.
    """
    labels = list(dict.fromkeys([*out, *(label for _, ls in parts for label in ls)]))
    spots = {label: tuple(k for k, o in enumerate(out) if o == label) for label in labels}
    colours = _compressed({label: (not spots[label], spots[label], str(sizes[label])) for label in labels})
    seen: dict[int, list[tuple[str, Labels, tuple[int, ...]]]] = {label: [] for label in labels}
    for tensor, ls in parts:
        swaps = len(ls) == 2 and either(tensor)
        for label in set(ls):
            at = () if swaps else tuple(k for k, other in enumerate(ls) if other == label)
            seen[label].append((tensor.key, ls, at))
    while True:
        count = len(set(colours.values()))
        colours = _compressed(
            {
                label: (
                    colours[label],
                    tuple(sorted((key, at, _around(ls, at, colours)) for key, ls, at in seen[label])),
                )
                for label in labels
            }
        )
        if len(set(colours.values())) > count:
            continue
        if len(set(colours.values())) == len(labels):
            return sorted(labels, key=colours.__getitem__)
        by_colour = sorted(labels, key=colours.__getitem__)
        tied = next(a for a, b in itertools.pairwise(by_colour) if colours[a] == colours[b])
        colours = _compressed({label: (colours[label], label != tied) for label in labels})


def _around(labels: Labels, at: tuple[int, ...], colours: Mapping[int, int]) -> tuple[int, ...]:
    found = tuple(colours[label] for label in labels)
    return found if at else tuple(sorted(found))


def _compressed(colours: Mapping[int, tuple]) -> dict[int, int]:
    ranks = {colour: k for k, colour in enumerate(sorted(set(colours.values())))}
    return {label: ranks[colour] for label, colour in colours.items()}
