"""Progress on stderr: a bar on a terminal, a few plain lines elsewhere, nothing when quiet."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_PLAIN_LINES = 10

Advance = Callable[[Mapping[str, Any]], None]


def note(text: str, *, quiet: bool) -> None:
    """A message of one line on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(steps: int, *, quiet: bool) -> Iterator[Advance]:
    """Yields a function that takes each row of metrics and shows how far ``steps`` have come."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(steps) as advance:
            yield advance
    else:
        yield _lines(steps)


def _figures(row: Mapping[str, Any]) -> str:
    shown = {name: row.get(name) for name in ("loss", "validation_loss", "validation_r2", "validation_accuracy")}
    words = (f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items() if value is not None)
    return " · ".join(words)


@contextmanager
def _bar(steps: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f} steps"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=steps, rate="compiling …", figures="")

        def advance(row: Mapping[str, Any]) -> None:
            rate = f"{row['steps_per_second']:,.0f}/s"
            bars.update(task, completed=row["step"], rate=rate, figures=_figures(row))

        yield advance


def _lines(steps: int) -> Advance:
    shown = 0

    def advance(row: Mapping[str, Any]) -> None:
        nonlocal shown
        tenths = row["step"] * _PLAIN_LINES // steps
        if tenths > shown:
            shown = tenths
            rest = (steps - row["step"]) / row["steps_per_second"]
            rate = f"{row['steps_per_second']:,.0f} steps/s · {rest:.0f} s left"
            note(f"step {row['step']:,}/{steps:,} · {rate} · {_figures(row)}", quiet=False)

    return advance
