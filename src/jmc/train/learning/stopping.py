"""Early stopping: which parameters are the best so far, and when there is no use in going on."""

import math
from typing import NamedTuple

from jmc.train.config.schema import TrainConfig

HIGHER_IS_BETTER = ("validation_r2", "validation_accuracy")


class Best(NamedTuple):
    """The best value of ``train.watch`` so far: the step it was seen at (0: none yet), and the times seen since."""

    step: int = 0
    value: float = math.nan
    since: int = 0


def update(best: Best, step: int, value: float, config: TrainConfig) -> Best:
    """The best after one more value: a new one only if it is better by more than ``train.min_delta``.

    The first value that is not nan is always a new best, and nan never is one.
    """
    sign = -1.0 if config.watch in HIGHER_IS_BETTER else 1.0
    gain = sign * (best.value - value)
    if not math.isnan(value) and (best.step == 0 or gain > config.min_delta):
        return Best(step, value)
    return best._replace(since=best.since + 1)


def is_over(best: Best, config: TrainConfig) -> bool:
    """Whether ``train.patience`` values in a row were no better."""
    return config.patience is not None and best.since >= config.patience
