"""The figures of `report.html`: `<svg>` elements to put into a page whose CSS variables colour them.

Every function returns one element, or "" where the data leave nothing to draw. Equal data give equal text.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jmc.page.formatting import short, tick
from jmc.page.svg import CLASSES, FIRST, INK, MUTED, PAPER, SECOND, canvas, logarithmic, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_CURVE_POINTS = 1000
MOST_SCATTER_POINTS = 2000
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "h")  # not seven: colour and marker differ in 63 classes
_LARGEST = 1e270  # beyond it the margins of an axis overflow, a twentieth of its decades
_GRID = 300
_DASHES: tuple[tuple[float, ...], ...] = ((), (5.0, 2.0), (1.5, 1.5), (6.0, 2.0, 1.5, 2.0))


def loss_curve(steps: Sequence[int], training: Sequence[float | None], validation: Sequence[float | None]) -> str:
    """Training and validation loss against step; a log scale where all are positive and span a decade."""
    series = [("training", training, FIRST, 1.3), ("validation", validation, SECOND, 1.9)]
    lines = [(name, *_points(steps, values), colour, width) for name, values, colour, width in series]
    lines = [line for line in lines if line[2].size]
    if not lines:
        return ""
    losses = np.concatenate([y for _, _, y, _, _ in lines])
    with canvas(4.6, 2.9) as (figure, axes):
        for name, x, y, colour, width in lines:
            _line(axes, x, y, colour, width, name)
        if losses.min() > 0 and losses.max() > 10 * losses.min():
            logarithmic(axes.yaxis, losses)
        _legend(axes, len(lines))
        _over_steps(axes, "loss")
        return to_svg(figure, "loss", "Loss against step")


def metric_curve(steps: Sequence[int], values: Sequence[float | None], name: str) -> str:
    """A validation metric that is at best 1, against step, from −1 up where `is_cut`."""
    x, y = _points(steps, values)
    if not y.size:
        return ""
    with canvas(4.6, 2.9) as (figure, axes):
        _line(axes, x, y, SECOND, 1.9, "validation")
        if is_cut(values):
            axes.set_ylim(-1, 1.05 * y.max() + 0.05)
        _legend(axes, 1)
        _over_steps(axes, name)
        return to_svg(figure, "metric", f"{name} against step")


def compared_curves(
    series: Sequence[tuple[int, Sequence[int], Sequence[float | None]]], name: str, *, log: bool = True
) -> str:
    """A curve per run against step, in the `stroke` of its index; with ``log`` a log scale where `loss_curve` has one.

    ``series`` holds each run's index, its steps, and its values.
    """
    lines = [(index, *_points(steps, values)) for index, steps, values in series]
    lines = [line for line in lines if line[2].size]
    if not lines:
        return ""
    drawn = np.concatenate([y for _, _, y in lines])
    with canvas(4.6, 2.9) as (figure, axes):
        for index, x, y in lines:
            colour, dashes = stroke(index)
            _line(axes, x, y, colour, 1.5, "", (0, dashes) if dashes else "-")
        if log and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
            logarithmic(axes.yaxis, drawn)
        _over_steps(axes, name)
        return to_svg(figure, name.replace(" ", "-"), f"{name} against step, by run")


def stroke(index: int) -> tuple[str, tuple[float, ...]]:
    """The colour and the dashes of the curve of so many; after 28 they come again."""
    return _colour(index), _DASHES[index // len(CLASSES) % len(_DASHES)]


def is_cut(values: Sequence[float | None]) -> bool:
    """Whether a metric began so far below where it got that the way up would hide the rest."""
    _, y = _points(range(len(values)), values)
    return bool(y.size and y.max() > 0 and y.min() < -1)


def predicted_against_true(true: Float[np.ndarray, " N"], predicted: Float[np.ndarray, " N"], target_name: str) -> str:
    """A point per example, and the diagonal where a prediction is exact."""
    usable = _usable(true) & _usable(predicted)
    true, predicted = _thin(true[usable], MOST_SCATTER_POINTS), _thin(predicted[usable], MOST_SCATTER_POINTS)
    if not true.size:
        return ""
    low, high = _padded(np.concatenate([true, predicted]))
    with canvas(4.6, 4.4) as (figure, axes):
        axes.plot([low, high], [low, high], color=SECOND, linewidth=1.3)
        axes.scatter(true, predicted, s=22, color=FIRST, alpha=0.6, linewidths=0)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        _label(axes, f"true {short(target_name)}", f"predicted {short(target_name)}")
        return to_svg(figure, "scatter", "Predicted against true")


def decision_regions(
    X: Float[np.ndarray, "N 2"],
    y: Int[np.ndarray, " N"],
    wrong: Bool[np.ndarray, " N"],
    predict: Callable[[np.ndarray], np.ndarray],
    feature_names: Sequence[str],
    class_names: Sequence[str],
) -> str:
    """The class predicted everywhere, and the examples by true class, a ring around those predicted wrong."""
    surface = _surface(X, predict)
    if surface is None:
        return ""
    x0, x1, classes = surface
    present = [k for k in range(len(class_names)) if np.any(classes == k)]
    with canvas(4.6, 4.0) as (figure, axes):
        axes.grid(visible=False)
        for k in present:
            inside = (classes == k).astype(float)
            axes.contourf(x0, x1, inside, levels=[0.5, 1.5], colors=[_colour(k)], alpha=0.16)
            if k != present[-1]:
                axes.contour(x0, x1, inside, levels=[0.5], colors=[MUTED], linewidths=0.9)
        shown = _thin(np.arange(len(y)), MOST_SCATTER_POINTS)
        for k in np.unique(y[shown]):
            for ring, edge, width in ((False, PAPER, 0.5), (True, INK, 1.3)):
                part = shown[(y[shown] == k) & (wrong[shown] == ring)]
                axes.scatter(
                    *X[part].T,
                    s=26,
                    color=_colour(k),
                    marker=_MARKERS[k % len(_MARKERS)],
                    edgecolors=edge,
                    linewidths=width,
                )
        if len(class_names) <= len(CLASSES):
            for k, name in enumerate(class_names):
                axes.plot([], [], _MARKERS[k], color=_colour(k), markersize=5, label=short(name, 14))
            _legend(axes, min(len(class_names), 3))
        _label(axes, *map(short, feature_names), upright=False)
        return to_svg(figure, "regions", "Predicted class over the two features")


def predicted_surface(
    X: Float[np.ndarray, "N 2"],
    y: Float[np.ndarray, " N"],
    predict: Callable[[np.ndarray], np.ndarray],
    feature_names: Sequence[str],
) -> str:
    """The number predicted everywhere as filled contours, and the examples by true value on its scale."""
    surface = _surface(X, predict)
    if surface is None:
        return ""
    x0, x1, values = surface
    from matplotlib.ticker import MaxNLocator

    drawn = np.concatenate([values[_usable(values)], y[_usable(y)]])
    ticks = np.asarray(MaxNLocator(8).tick_values(*_padded(drawn, 0)))
    shown = _thin(np.arange(len(y)), MOST_SCATTER_POINTS)
    with canvas(4.6, 4.0) as (figure, axes):
        axes.grid(visible=False)
        inner = [level for level in ticks[1:-1] if values.min() < level < values.max()]
        opacity = 0.0
        for level in inner:  # each band lies on those below it, so together they reach the opacity of their height
            target = _opacity(level, ticks)
            layer = 1 - (1 - target) / (1 - opacity)
            axes.contourf(x0, x1, values, levels=[level, ticks[-1]], colors=[FIRST], alpha=layer)
            opacity = target
        if inner:
            lines = axes.contour(x0, x1, values, levels=inner, colors=[MUTED], linewidths=0.6)
            axes.clabel(lines, fmt=tick, fontsize=8.5, colors=[INK])
        heights = np.clip(_opacity(np.where(_usable(y), y, ticks[0]), ticks), 0, 1)[shown]
        axes.scatter(*X[shown].T, s=26, color=PAPER, edgecolors=INK, linewidths=0.8)
        axes.scatter(*X[shown].T, s=26, color=FIRST, alpha=heights, linewidths=0)
        _label(axes, *map(short, feature_names), upright=False)
        return to_svg(figure, "surface", "Predicted value over the two features")


def _usable(values: Shaped[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    return np.abs(values) < _LARGEST  # nan is not


def _thin(values: Shaped[np.ndarray, " N"], most: int) -> Shaped[np.ndarray, " M"]:
    """At most ``most`` of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return values
    return values[np.linspace(0, len(values) - 1, most).round().astype(int)]


def _points(
    steps: Sequence[int], values: Sequence[float | None]
) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    x, y = np.array(steps, float), np.array(values, float)  # None becomes nan
    return _thin(x[_usable(y)], MOST_CURVE_POINTS), _thin(y[_usable(y)], MOST_CURVE_POINTS)


def _padded(values: Float[np.ndarray, " N"], share: float = 0.05) -> tuple[float, float]:
    """Limits around the values that are never the same."""
    low, high = float(values.min()), float(values.max())
    pad = share * (high - low) or 0.0
    if not math.isclose(low, high):
        return low - pad, high + pad
    return low - (abs(low) / 10 or 1.0), high + (abs(high) / 10 or 1.0)


def _surface(
    X: Float[np.ndarray, "N 2"], predict: Callable[[np.ndarray], np.ndarray]
) -> tuple[Float[np.ndarray, " G"], Float[np.ndarray, " G"], Any] | None:
    """The predictions on a grid around the examples, masked where not finite: ``[second, first]``."""
    if not len(X) or not _usable(X).all():
        return None
    x0, x1 = (np.linspace(*_padded(column, 0.08), _GRID) for column in X.T)
    grid = np.stack(np.meshgrid(x0, x1), axis=-1)
    predicted = np.asarray(predict(grid.reshape(-1, 2))).reshape(_GRID, _GRID)
    values = np.ma.masked_where(~_usable(predicted), predicted)
    return (x0, x1, values) if values.count() else None


def _opacity(value: Any, ticks: Float[np.ndarray, " T"]) -> Any:
    return 0.04 + 0.86 * (value - ticks[0]) / (ticks[-1] - ticks[0])


def _colour(k: int) -> str:
    return CLASSES[k % len(CLASSES)]


def _line(axes: "Axes", x: Any, y: Any, colour: str, width: float, name: str, style: Any = "-") -> None:
    marker = "o" if len(x) == 1 else None
    axes.plot(x, y, color=colour, linewidth=width, linestyle=style, marker=marker, markersize=4.5, label=name)


def _legend(axes: "Axes", columns: int) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=columns, borderaxespad=0.1, columnspacing=1.3)


def _over_steps(axes: "Axes", name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    _label(axes, "step", name)


def _label(axes: "Axes", x: str, y: str, *, upright: bool = True) -> None:
    """Names the axes, ``upright`` the vertical one above its end, where it reads without turning the head."""
    axes.set_xlabel(x)
    if upright:
        axes.set_title(y, loc="left", fontsize=10, pad=7)
    else:
        axes.set_ylabel(y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: tick(value))
