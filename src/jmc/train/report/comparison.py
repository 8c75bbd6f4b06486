"""Runs beside each other: one page with their curves, their figures, and what their configs differ in."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmc.page.formatting import ABSENT, duration, number
from jmc.page.svg import CLASSES
from jmc.page.template import Plate, filled, plates
from jmc.train.config.toml_source import dump_key, shown
from jmc.train.persistence.runs import Run, ordered
from jmc.train.report import figures
from jmc.train.report.page import METRICS


@dataclass(frozen=True)
class Figure:
    """A cell of the table of metrics; ``best`` where no run has a better one and another has a worse."""

    text: str
    best: bool


@dataclass(frozen=True)
class Line:
    """A run's line in the table of metrics, with the stroke of its curves."""

    name: str
    colour: str
    dashes: str
    status: str
    steps: str
    figures: list[Figure]
    time: str


def render(runs: Sequence[Run]) -> str:
    """The page as HTML without a reference to anything outside it; equal runs give equal text.

    A run that is not finished is there with what it has so far, a damaged one with what can be read of it.
    """
    names = labels(runs)
    keys = [f"{part}_{name}" for part in ("validation", "train") for name in METRICS]
    keys = [key for key in keys if any(run.metrics.get(key) is not None for run in runs)]
    columns = {key: _column(runs, key) for key in keys}
    lines = []
    for index, (name, run) in enumerate(zip(names, runs, strict=True)):
        lines.append(
            Line(
                name=name,
                colour=f"var(--class-{index % len(CLASSES)})",
                dashes=" ".join(f"{2 * dash:g}" for dash in figures.stroke(index)[1]) or "none",
                status="; ".join([run.status, *run.faults]),
                steps=number(run.steps),
                figures=[column[index] for column in columns.values()],
                time=duration(run.seconds),
            )
        )
    return filled(
        "jmc.train.report",
        "comparison.html.j2",
        headline=f"{number(len(runs))} run{'s' * (len(runs) != 1)} compared",
        best=_best(runs, names, keys),
        learning=_learning(runs),
        titles=[title(key) for key in keys],
        lines=lines,
        names=names,
        differences=differences(runs),
    )


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, or its whole path where two folders have one name."""
    folders = [run.directory.resolve().name for run in runs]
    often = Counter(folders)
    return [name if often[name] == 1 else str(run.directory) for name, run in zip(folders, runs, strict=True)]


def title(key: str) -> str:
    """What stands above the column of a metric: validation_r2 is "validation R²", train_loss "training loss"."""
    part, _, name = key.partition("_")
    return f"{'training' if part == 'train' else part} {METRICS[name]}"


def differences(runs: Sequence[Run]) -> dict[str, list[str]]:
    """For each key that is not the same in all configs, its value in each run; a dash where it is not set.

    A run whose config cannot be read is no difference.
    """
    flat = [
        {dump_key((table, key)): value for table, keys in run.config.items() for key, value in keys.items()}
        for run in runs
    ]
    readable = [config for config in flat if config]
    keys = dict.fromkeys(key for config in readable for key in config)
    differing = [key for key in keys if len({repr(config.get(key, ABSENT)) for config in readable}) > 1]
    return {key: [shown(config[key]) if key in config else ABSENT for config in flat] for key in differing}


def _column(runs: Sequence[Run], key: str) -> list[Figure]:
    values = [run.metrics.get(key) for run in runs]
    first = ordered(runs, key)[0].metrics.get(key)
    several = len({value for value in values if value is not None}) > 1
    return [Figure(number(value), several and value is not None and value == first) for value in values]


def _best(runs: Sequence[Run], names: Sequence[str], keys: Sequence[str]) -> Mapping[str, Any] | None:
    """The run that is best by the first metric, where there is more than one to choose from."""
    if len(runs) < 2 or not keys:
        return None
    best = ordered(runs, keys[0])[0]
    position = next(index for index, run in enumerate(runs) if run is best)
    return {"name": names[position], "metric": title(keys[0]), "value": number(best.metrics.get(keys[0]))}


def _learning(runs: Sequence[Run]) -> list[Plate]:
    def curves(key: str, name: str, *, log: bool = True) -> str:
        series = [
            (index, [row["step"] for row in run.rows], [row.get(key) for row in run.rows])
            for index, run in enumerate(runs)
        ]
        return figures.compared_curves(series, name, log=log)

    return plates(
        [
            (curves("validation_loss", "validation loss"), "The loss on the validation examples."),
            (curves("loss", "training loss"), "The loss on the training batches, averaged between two points."),
            (curves("validation_r2", "validation R²", log=False), "R² on the validation examples: 1 is exact."),
            (
                curves("validation_accuracy", "validation accuracy", log=False),
                "The share of the validation examples whose class is predicted.",
            ),
        ]
    )
