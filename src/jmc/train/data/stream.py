"""The examples of a table too large to load: which are held out, and the order in which training sees the others.

Both are pure functions: a row is held out or not by a hash of its number, and the order of an epoch follows from
(seed, epoch). So nothing has to be remembered for training to go on at any step, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jmc.train.data.tables import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Bool, Float64, Int64, Num, Shaped

    from jmc.train.data.blocks import Blocks

WINDOW_BYTES = 2**24
"""What the features of one window take in the dtype that the model computes in, unless one block takes more."""


@dataclass(frozen=True, eq=False)
class Stream:
    """The training and the validation part of a table, standardised, as they are read from its blocks.

    Attributes:
        counts: the number of training rows and of validation rows in each block.
        labels: the target's values that are classes, sorted; None in regression.
        digest: the SHA-256 of all features and targets, in hexadecimal.
        extremes: the largest magnitude of each feature, and last of the target, standardised.
    """

    blocks: Blocks
    seed: int
    fraction: float
    counts: Int64[np.ndarray, "blocks 2"]
    labels: Shaped[np.ndarray, " K"] | None
    feature_mean: Float64[np.ndarray, " d"]
    feature_scale: Float64[np.ndarray, " d"]
    target_mean: float
    target_scale: float
    digest: str
    extremes: Float64[np.ndarray, " d+1"]

    @property
    def training(self) -> int:
        return int(self.counts[:, 0].sum())

    @property
    def validation(self) -> int:
        return int(self.counts[:, 1].sum())

    def part(self, block: int, *, held_out: bool) -> tuple[Float64[np.ndarray, "n d"], Num[np.ndarray, " n"]]:
        """The block's training or validation rows, in their order: features, and values or indices of classes.

        Raises DataError where the file can no longer be read.
        """
        try:
            X, y = self.blocks.read(block)
        except OSError as error:
            raise DataError(f"{self.blocks.path}: cannot be read: {error.strerror or error}") from None
        rows = np.arange(self.blocks.starts[block], self.blocks.starts[block + 1])
        chosen = is_held_out(rows, self.seed, self.fraction) == held_out
        return self.scaled(X[chosen]), self.targets(y[chosen])

    def scaled(self, X: Num[np.ndarray, "n d"]) -> Float64[np.ndarray, "n d"]:
        scaled = X - self.feature_mean
        scaled /= self.feature_scale
        return scaled

    def targets(self, y: Shaped[np.ndarray, " n"]) -> Num[np.ndarray, " n"]:
        """Values, standardised, or the indices of classes."""
        return (y - self.target_mean) / self.target_scale if self.labels is None else np.searchsorted(self.labels, y)

    def in_order(self, *, held_out: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One part block by block."""
        for block in np.flatnonzero(self.counts[:, int(held_out)]):
            yield self.part(int(block), held_out=held_out)

    def shuffled(
        self, position: int, seed: int, dtype: str, encode: Callable[[np.ndarray], np.ndarray]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The training examples from a place in the order of all epochs on, without end: ``(X, encoded y)`` of a
        window at a time. Example number k is one of epoch k // N, in which each of the N examples comes once.

        An epoch takes the blocks in a random order, and shuffles the rows of as many as fit a window: all of them,
        where the whole part fits.
        """
        epoch, skipped = divmod(position, self.training)
        while True:
            for number, blocks in enumerate(self.windows(epoch, seed, dtype)):
                rows = int(self.counts[blocks, 0].sum())
                if skipped >= rows:
                    skipped -= rows
                    continue
                place = np.random.default_rng([seed, epoch, number + 1]).permutation(rows)
                X, y, done = np.empty((rows, len(self.feature_mean)), dtype), None, 0
                for block in blocks:
                    features, targets = self.part(int(block), held_out=False)
                    targets = encode(targets)
                    y = np.empty((rows, *targets.shape[1:]), targets.dtype) if y is None else y
                    places = place[done : done + len(features)]
                    X[places], y[places] = features, targets
                    done += len(features)
                assert y is not None
                yield X[skipped:], y[skipped:]
                skipped = 0
            epoch += 1

    def windows(self, epoch: int, seed: int, dtype: str) -> list[Int64[np.ndarray, " k"]]:
        """The blocks of each window of an epoch; those without a training row are in none."""
        order = np.random.default_rng([seed, epoch, 0]).permutation(np.flatnonzero(self.counts[:, 0]))
        most = max(1, WINDOW_BYTES // (np.dtype(dtype).itemsize * len(self.feature_mean)))
        cuts, rows = [], 0
        for place, count in enumerate(self.counts[order, 0].tolist()):
            if rows and rows + count > most:
                cuts.append(place)
                rows = 0
            rows += count
        return np.split(order, cuts)


def is_held_out(rows: Int64[np.ndarray, " n"], seed: int, fraction: float) -> Bool[np.ndarray, " n"]:
    """Whether the rows of these numbers belong to the validation part: about ``fraction`` of any set of rows does."""
    return uniform(rows, seed) < fraction


def uniform(rows: Int64[np.ndarray, " n"], seed: int) -> Float64[np.ndarray, " n"]:
    """A number of [0, 1) for each row number, by the mixing function of SplitMix64 (Steele, Lea and Flood, 2014)."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    z = state + rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53
