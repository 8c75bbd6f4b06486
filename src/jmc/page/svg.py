"""matplotlib's figures as `<svg>` elements of a page, in the page's fonts and its light and dark colours."""

import io
import math
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from jmc.page.formatting import tick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

# Stand-ins that matplotlib draws with; the page's light and dark themes give the variables their colours.
_VARIABLES = ("ink", "muted", "rule", "paper", "first", "second", *(f"class-{i}" for i in range(7)))
INK, MUTED, RULE, PAPER, FIRST, SECOND, *CLASSES = (f"#0000{i:02x}" for i in range(1, len(_VARIABLES) + 1))
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "jmc",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 1.4,
    "lines.solid_capstyle": "round",
}
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"


@contextmanager
def canvas(width: float, height: float) -> "Iterator[tuple[Figure, Axes]]":
    """A figure of so many inches and its axes, in the page's style whatever the user's own settings are."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the browser has the font that matplotlib lacks
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def logarithmic(axis: "XAxis | YAxis", values: "ArrayLike", shown: "Callable[[float], str]" = tick) -> None:
    """An axis in logarithms, with a label at every decade or fewer; over few decades also at 2 and 5 in each."""
    from matplotlib.ticker import LogLocator, NullLocator

    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)("log")
    decades = math.log10(np.max(values) / np.min(values))
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,), numticks=7))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: shown(value))


def to_svg(figure: "Figure", name: str, title: str) -> str:
    """The figure as an element; ``name`` keeps its ids apart from those of the page's other figures."""
    file = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(file.getvalue())
    for definitions in root.findall(f"{_SVG}defs"):
        for rules in definitions.findall(f"{_SVG}style"):  # they would hold for the whole page
            definitions.remove(rules)
    for element in root.iter():
        _simplify(element, name)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    heading = ElementTree.Element("title")
    heading.text = title
    root.insert(0, heading)
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(element: ElementTree.Element, name: str) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    if element.tag != "text":
        element.text = None
    element.tail = None
    attributes = {key.removeprefix(_XLINK): value for key, value in element.attrib.items()}
    if element.tag == "g":
        attributes.pop("id", None)  # nothing refers to a group
    element.attrib = {key: _rewritten(key, value, name) for key, value in attributes.items()}


def _rewritten(attribute: str, value: str, name: str) -> str:
    if attribute == "id":
        return f"{name}-{value}"
    if attribute in ("href", "clip-path"):
        return value.replace("#", f"#{name}-")
    if attribute == "style":
        value = re.sub(r"font: ([\d.]+px) [^;]*", r"font-size: \1", value)
        value = re.sub(r"font-family: [^;]*(; )?", "", value)
        return re.sub("#0000([0-9a-f]{2})", lambda code: f"var(--{_VARIABLES[int(code[1], 16) - 1]})", value)
    if attribute == "d":
        return re.sub(r"(\.\d\d)\d+", r"\1", " ".join(value.split()))
    return value
