"""Ids of the sources that state no derivative: notation, definitions, procedures."""

NOTATION: dict[str, str] = {}
