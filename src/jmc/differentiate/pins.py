"""Structure that the user pins: `require=…` and `on_dense="raise"`, with the equation where it was lost."""

from collections.abc import Sequence
from typing import Any

from jmc.linear.linear_map import LinearMap


class StructureError(ValueError):
    """A Jacobian does not have the structure that was required."""


def check_pins(program: Any, rows: Sequence[Sequence[LinearMap]], require: str | None, on_dense: str | None) -> None:
    """Raise StructureError unless every leaf fits."""
