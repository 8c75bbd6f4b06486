"""The bar of `jmc bench`: which case is being measured, and how many there are."""

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jmc.cli.console import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jmc.bench.run import Item


@contextmanager
def watching() -> "Iterator[Callable[[Item, int, int], None]]":
    """What `run` tells of each case: a bar on a terminal, a line where there is none."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(stderr=True)
    if not shown.is_terminal:
        yield lambda item, k, n: print(f"{k + 1}/{n} {item.suite}: {item.name} at {item.size:,}", file=sys.stderr)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as progress:
        task = progress.add_task("")

        def watch(item: "Item", k: int, n: int) -> None:
            progress.update(task, description=f"{item.suite}: {item.name} at {item.size:,}", completed=k, total=n)

        yield watch
