"""Which classes are taken for which: the matrix, or of many classes the pairs confused most often."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from jmc.page.formatting import number

MOST_MATRIX_CLASSES = 20
MOST_PAIRS = 15


@dataclass(frozen=True)
class Pair:
    """How many examples of a class were predicted as another or the same, and their share of the class."""

    true: str
    predicted: str
    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Confusion:
    """``matrix`` has a row per true and a column per predicted class, and is empty beyond 20 classes;
    ``mistakes`` are the 15 most frequent, the most frequent first; ``summary`` says it in a sentence or two.
    """

    summary: str
    matrix: list[list[Pair]]
    mistakes: list[Pair]


def confusion(true: Int[np.ndarray, " N"], predicted: Int[np.ndarray, " N"], class_names: Sequence[str]) -> Confusion:
    """Count the pairs of true and predicted class; both arrays hold indices into ``class_names``."""
    k = len(class_names)
    counts = np.bincount(true.astype(int) * k + predicted.astype(int), minlength=k * k).reshape(k, k)
    totals = np.maximum(counts.sum(axis=1), 1)

    def pair(i: int, j: int) -> Pair:
        return Pair(class_names[i], class_names[j], int(counts[i, j]), float(counts[i, j] / totals[i]), i == j)

    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    mistakes = [pair(*divmod(int(flat), k)) for flat in order if wrong.flat[flat]]
    matrix = [[pair(i, j) for j in range(k)] for i in range(k)] if k <= MOST_MATRIX_CLASSES else []
    return Confusion(_summary(len(true), int(np.trace(counts)), mistakes), matrix, mistakes)


def _summary(examples: int, right: int, mistakes: Sequence[Pair]) -> str:
    text = f"{number(right)} of {number(examples)} are right."
    if mistakes:
        first = mistakes[0]
        times = {1: "once", 2: "twice"}.get(first.count) or f"{number(first.count)} times"
        text += f" The most frequent mistake: {first.true} taken for {first.predicted}, {times}."
    return text
