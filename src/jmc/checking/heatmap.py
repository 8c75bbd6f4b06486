"""Where a claim is off, as a picture for notebooks: a cell for each entry, the redder the larger its error."""

import html
from collections.abc import Sequence

import numpy as np

CELL, MOST = 14, 64
_EXACT, _OFF = 1e-7, 1.0  # relative to the largest true entry: white below, full colour from here on


def svg(name: str, error: np.ndarray, scale: float) -> str:
    """The errors of a table as SVG, rows downward; ``scale`` is the largest true entry."""
    rows, columns = error.shape
    share = np.nan_to_num(np.abs(error) / (scale or 1.0), nan=_OFF, posinf=_OFF)
    depth = np.clip(np.log10(np.maximum(share, _EXACT) / _EXACT) / np.log10(_OFF / _EXACT), 0, 1)
    square = f'width="{CELL}" height="{CELL}" stroke="#ccc"'
    cells = [
        f'<rect x="{CELL * j}" y="{CELL * i}" {square} fill="{_colour(depth[i, j])}">'
        f"<title>[{i}, {j}]: off by {share[i, j]:.2g} of the largest entry</title></rect>"
        for i in range(rows)
        for j in range(columns)
    ]
    size = f'width="{CELL * columns + 1}" height="{CELL * rows + 1}"'
    label = html.escape(name)
    picture = f'<svg {size} role="img" aria-label="{label}">{"".join(cells)}</svg>'
    return f"<figure><figcaption>{label}</figcaption>{picture}</figure>"


def page(text: str, tables: Sequence[tuple[str, np.ndarray, float]]) -> str:
    """The report's text, and below it a picture of each table that is not too large."""
    shown = [svg(name, error, scale) for name, error, scale in tables if error.size and max(error.shape) <= MOST]
    return f"<pre>{html.escape(text)}</pre>{''.join(shown)}"


def _colour(depth: float) -> str:
    faded = round(255 * (1 - depth))
    return f"rgb(255, {faded}, {faded})" if depth else "#fff"
