"""`jmc bench --html`: one self-contained page with tables, growth over the size, and the roofline."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jmc.bench.summary import Line, growth, lines
from jmc.bench.timing import Estimate
from jmc.page.formatting import duration, number
from jmc.page.svg import CLASSES, FIRST, INK, MUTED, RULE, canvas, logarithmic, to_svg
from jmc.page.template import Plate, filled, plates

_MARKERS = "osD^vPXph"


@dataclass(frozen=True)
class Section:
    """A suite: its lines, and the curves of its cases."""

    name: str
    lines: list[Line]
    curves: list[Plate]


def render(record: Mapping[str, Any]) -> str:
    """The page as HTML, with no reference to anything outside it; equal records give equal text."""
    from markupsafe import Markup

    found = list(lines(record))
    sections = []
    for suite in dict.fromkeys(line.suite for line in found):
        names = dict.fromkeys(line.case for line in found if line.suite == suite)
        curves = plates((svg, caption) for svg, caption in (growth_curve(record, suite, name) for name in names))
        sections.append(Section(suite, [line for line in found if line.suite == suite], curves))
    return filled(
        "jmc.bench",
        "bench.html.j2",
        record=record,
        machine=record["machine"],
        sections=sections,
        roofline=Markup(roofline(record)),
        ahead=sum(line.verdict == "jmc" for line in found),
        behind=[line for line in found if line.verdict not in ("jmc", "even", "")],
        total=sum(bool(line.verdict) for line in found),
        span=span,
    )


def span(estimate: Estimate | None) -> str:
    """A ratio and its interval, or a dash."""
    if estimate is None:
        return number(None)
    if estimate.low == estimate.high:
        return number(estimate.median, 3)
    return f"{number(estimate.median, 3)} [{number(estimate.low, 3)}, {number(estimate.high, 3)}]"


def growth_curve(record: Mapping[str, Any], suite: str, case: str) -> tuple[str, str]:
    """Seconds against size in logarithms, and a caption with the fitted exponents; "" for a single size."""
    found = {name: curve for name, curve in growth(record, suite, case).items() if len(curve[0]) > 1}
    if not found:
        return "", ""
    with canvas(4.6, 3.1) as (figure, axes):
        for k, (name, (sizes, seconds, _)) in enumerate(found.items()):
            colour = FIRST if name == "jmc" else CLASSES[1 + (k - 1) % (len(CLASSES) - 1)]
            width = 2.2 if name == "jmc" else 1.1
            axes.plot(sizes, seconds, color=colour, linewidth=width, marker=_MARKERS[k % 9], markersize=4, label=name)
        logarithmic(axes.xaxis, [n for sizes, _, _ in found.values() for n in sizes])
        logarithmic(axes.yaxis, [each for _, seconds, _ in found.values() for each in seconds], duration)
        axes.set_xlabel("n")
        axes.set_ylabel("time per call")
        axes.legend(fontsize=8, ncols=2)
        svg = to_svg(figure, _identifier(f"{suite}-{case}"), f"{case}: seconds against n")
    slopes = ", ".join(f"{name} {p:.2f}" for name, (_, _, p) in found.items() if p is not None)
    return svg, f"{case}. Exponents of n, fitted to the larger sizes: {slopes}."


def roofline(record: Mapping[str, Any]) -> str:
    """What jmc computes per second against what it computes per byte it must write, under the roof of this process."""
    peaks, points = record["peaks"], []
    for case in record["cases"]:
        ours = case["contenders"]["jmc"]
        if case["headline"] and case["flops"] and ours["status"] == "measured" and ours["written_bytes"]:
            rate = case["flops"] / ours["seconds"]["median"]
            points.append((case["flops"] / ours["written_bytes"], rate, f"{case['case']}"))
    if not points:
        return ""
    with canvas(9.2, 5.0) as (figure, axes):
        low, high = (
            min(x for x, *_ in points) / 2,
            max(*(x for x, *_ in points), 10 * peaks["flops"] / peaks["bandwidth"]),
        )
        corner = peaks["flops"] / peaks["bandwidth"]
        roof = [(x, min(peaks["flops"], x * peaks["bandwidth"])) for x in sorted((low, corner, high))]
        axes.plot(*zip(*roof, strict=True), color=INK, linewidth=1.6)
        axes.scatter([x for x, *_ in points], [y for _, y, _ in points], s=22, color=FIRST, zorder=3)
        for x, y, name in points:
            axes.annotate(name, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=7.5, color=MUTED)
        logarithmic(axes.xaxis, (low, high))
        logarithmic(axes.yaxis, [y for _, y, _ in points])
        axes.grid(color=RULE)
        axes.set_xlabel("operations per byte written")
        axes.set_ylabel("operations per second")
        return to_svg(figure, "roofline", "Roofline")


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "-", text)
