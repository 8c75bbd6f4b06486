"""Where the commands print: as wide as the terminal, or as wide as lines need where there is none."""

from typing import Any

WIDTH = 160


def console(stderr: bool = False) -> Any:
    """rich's console, which a pipe or a file does not narrow to 80 columns."""
    from rich.console import Console

    found = Console(stderr=stderr)
    if not found.is_terminal:
        found.width = WIDTH
    return found
