"""Two records compared: where did jmc become slower, beyond what the rounds scatter?

What is compared is jmc's time as a multiple of the fastest other contender's in the same case, round by round: the
machine may have become slower for both. Where jmc was alone, its time itself is compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jmc.bench.measure import fastest
from jmc.bench.timing import CONFIDENCE, RESAMPLES, Estimate


@dataclass(frozen=True)
class Change:
    """New ÷ old of one case; above 1 jmc is slower than it was."""

    suite: str
    case: str
    size: int
    against: str
    ratio: Estimate

    @property
    def regressed(self) -> bool:
        return self.ratio.low > 1

    @property
    def improved(self) -> bool:
        return self.ratio.high < 1


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """The cases that both records have measured. Raises ValueError where dtypes or devices differ."""
    for what, ours, theirs in (
        ("dtype", new["dtype"], old["dtype"]),
        ("device", new["machine"]["device"], old["machine"]["device"]),
    ):
        if ours != theirs:
            raise ValueError(f"`--compare` must name a record of the same {what}, {ours!r}, but got {theirs!r}")
    before = {(case["suite"], case["case"], case["size"]): case for case in old["cases"]}
    for case in new["cases"]:
        key = (case["suite"], case["case"], case["size"])
        found = before.get(key)
        if found is None or not (_rounds(found, "jmc") and _rounds(case, "jmc")):
            continue
        against = fastest(found, but="jmc") or ""
        if not (_rounds(found, against) and _rounds(case, against)):
            against = ""
        yield Change(*key, against, _quotient(_relative(case, against), _relative(found, against)))


def _rounds(case: Mapping[str, Any], name: str) -> list[float]:
    return case["contenders"].get(name, {}).get("rounds", [])


def _relative(case: Mapping[str, Any], against: str) -> np.ndarray:
    ours = np.asarray(_rounds(case, "jmc"))
    return ours / np.asarray(_rounds(case, against)) if against else ours


def _quotient(new: np.ndarray, old: np.ndarray) -> Estimate:
    """The quotient of two medians, with the interval of the bootstrap over both."""
    from scipy.stats import bootstrap

    def statistic(new: np.ndarray, old: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.median(new, axis=axis) / np.median(old, axis=axis)

    interval = bootstrap(
        (new, old), statistic, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=0
    ).confidence_interval
    return Estimate(float(statistic(new, old)), float(interval.low), float(interval.high))
