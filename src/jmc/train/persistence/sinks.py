"""Rows of metrics beside metrics.jsonl, where `[log]` asks for them: metrics.csv and tensorboard/."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jmc.train.config.schema import LogConfig
from jmc.train.data.extras import require
from jmc.train.learning.problem import Problem

Sink = Callable[[Mapping[str, Any]], None]


def check(config: LogConfig) -> None:
    """Raises MissingExtraError where a sink needs a package that is not there."""
    if config.tensorboard:
        require("tensorboardX", "tensorboard", "`log.tensorboard` = true")


@contextmanager
def sinks(problem: Problem, directory: Path, rows: Sequence[Mapping[str, Any]] = ()) -> Iterator[Sink]:
    """Yields a function that takes each new row. ``rows`` are those of the run before it was resumed: metrics.csv is
    written anew from them, and TensorBoard forgets what it knew beyond them.
    """
    found: list[Sink] = []
    closing: list[Callable[[], None]] = []
    try:
        if problem.config.log.csv:
            file = (directory / "metrics.csv").open("w", encoding="utf-8", newline="")
            closing.append(file.close)
            writer = csv.DictWriter(file, problem.columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            file.flush()

            def to_csv(row: Mapping[str, Any]) -> None:
                writer.writerow(row)
                file.flush()

            found.append(to_csv)
        if problem.config.log.tensorboard:
            from tensorboardX import SummaryWriter

            events = SummaryWriter(str(directory / "tensorboard"), purge_step=rows[-1]["step"] + 1 if rows else 0)
            closing.append(events.close)

            def to_tensorboard(row: Mapping[str, Any]) -> None:
                for name, value in row.items():
                    if name != "step":
                        events.add_scalar(name, value, row["step"])
                events.flush()

            found.append(to_tensorboard)

        def give(row: Mapping[str, Any]) -> None:
            for sink in found:
                sink(row)

        yield give
    finally:
        for close in closing:
            close()
