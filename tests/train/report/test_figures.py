import re
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest

from jmc.train.report import figures

X = np.random.default_rng(0).normal(size=(40, 2))


def half_plane(X):
    return (X[:, 0] > 0).astype(int)


def plane(X):
    return 3 * X[:, 0] - X[:, 1]


def regions(y=None, predict=half_plane, names=("u", "v"), classes=("no", "yes")):
    y = half_plane(X) if y is None else y
    return figures.decision_regions(X, y, y != half_plane(X), predict, names, classes)


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def points_of_lines(svg, variable):
    """How many points each line in a colour has, the legend's among them."""
    found = re.findall(rf'<path d="([^"]*)"[^>]*style="fill: none; stroke: var\(--{variable}\)', svg)
    return [len(re.findall("[ML]", path)) for path in found]


@pytest.fixture(scope="module")
def svgs():
    return every_figure()


def every_figure():
    return [
        figures.loss_curve([1, 2], [3.0, 2.0], [4.0, 3.0]),
        figures.metric_curve([1, 2], [0.1, 0.2], "R²"),
        figures.predicted_against_true(X[:, 0], X[:, 1], "y"),
        regions(),
        figures.predicted_surface(X, plane(X), plane, ("u", "v")),
    ]


def test_equal_data_give_equal_text(svgs):
    assert every_figure() == svgs


def test_elements_stand_alone_and_together_in_a_page(svgs):
    page = "".join(svgs)
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        assert root.tag == "svg"
        assert root[0].tag == "title"
        assert root.get("aria-label") == root[0].text
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="|url\()#([^")]*)', page))
    assert references
    assert references <= set(ids)
    assert not re.search("http|xlink|<style|font-family|DejaVu", page)


def test_colours_are_the_pages_alone(svgs):
    for svg in svgs:
        assert "var(--ink)" in svg
        assert not re.search("#[0-9a-f]{6}", svg)


def test_the_users_settings_neither_count_nor_change():
    expected = regions()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "text.usetex": True, "savefig.dpi": 10}):
        before = dict(mpl.rcParams)
        assert regions() == expected
        assert dict(mpl.rcParams) == before


def test_loss_on_a_log_scale_only_where_it_helps():
    steps = range(5)
    falling = figures.loss_curve(steps, [1e4, 1e3, 1e2, 10, 1], [None] * 5)
    assert {"1", "100", "10\u202f000"} <= set(texts(falling))
    assert "0.5" in texts(figures.loss_curve(steps, [1.0, 0.8, 0.6, 0.5, 0.4], [None] * 5))
    assert "−5" in texts(figures.loss_curve(steps, [10, 5, 1, -1, -5], [None] * 5))


def test_curves_are_thinned_and_gaps_left_out():
    rng = np.random.default_rng(1)
    svg = figures.loss_curve(range(5000), list(rng.normal(size=5000)), [None] * 4998 + [float("nan"), 1.0])
    points = max(points_of_lines(svg, "first"))
    assert 500 < points <= figures.MOST_CURVE_POINTS
    assert "validation" in texts(svg)
    assert "validation" not in texts(figures.loss_curve([1, 2], [1.0, 2.0], [None, None]))


def test_a_single_point_is_marked():
    assert figures.loss_curve([7], [1.0], [None]).count("<use") == 2  # on the curve and in the legend
    assert figures.loss_curve([7, 8], [1.0, 1.0], [None, None]).count("<use") == 0


def test_nothing_to_draw():
    nothing = np.array([])
    assert figures.loss_curve([], [], []) == ""
    assert figures.loss_curve([1], [float("inf")], [None]) == ""
    assert figures.metric_curve([1], [None], "R²") == ""
    assert figures.predicted_against_true(nothing, nothing, "y") == ""
    assert figures.predicted_against_true(np.ones(2), np.full(2, np.nan), "y") == ""
    assert figures.predicted_surface(np.empty((0, 2)), nothing, plane, ("u", "v")) == ""
    assert figures.predicted_surface(X, plane(X), lambda X: np.full(len(X), np.nan), ("u", "v")) == ""


@pytest.mark.parametrize("largest", [3e38, 1.7e308])
def test_huge_losses(largest):
    assert figures.loss_curve([1, 2, 3], [1.0, 1e30, largest], [None] * 3)
    assert figures.predicted_against_true(np.array([1.0, 2.0]), np.array([1.0, largest]), "y")


def test_a_deep_start_of_a_metric_is_cut():
    deep, shallow = [-50.0, 0.2, 0.4], [-0.5, 0.2, 0.4]
    assert figures.is_cut(deep)
    assert not figures.is_cut(shallow)
    assert not figures.is_cut([-50.0, -3.0])
    assert not figures.is_cut([None])
    assert texts(figures.metric_curve([1, 2, 3], deep, "R²")).count("−1") == 1


def test_scatter_is_thinned():
    many = np.linspace(0, 1, 10_000)
    assert figures.predicted_against_true(many, many, "y").count("<use") == figures.MOST_SCATTER_POINTS


def test_regions_have_a_boundary_where_there_are_two_classes():
    assert regions().count('aria-label="Predicted class over the two features"') == 1
    fills = re.compile(r"fill: var\(--class-(\d)\); fill-opacity: 0.16")
    assert fills.findall(regions()) == ["0", "1"]
    assert fills.findall(regions(predict=lambda X: np.ones(len(X), int))) == ["1"]


def test_wrong_predictions_have_a_ring():
    ring = re.compile(r"<use[^>]*stroke: var\(--ink\)")
    assert not ring.search(regions())
    y = half_plane(X)
    y[3] = 1 - y[3]
    assert len(ring.findall(regions(y))) == 1


def test_many_classes_have_no_legend():
    names = tuple(f"class {k}" for k in range(12))
    y = np.arange(len(X)) % 12
    assert "class 1" not in texts(regions(y, classes=names))
    assert "class 1" in texts(regions(y % 3, classes=names[:3]))


def test_surface_names_its_heights():
    svg = figures.predicted_surface(X, plane(X), plane, ("u", "v"))
    assert {"−7.5", "−2.5", "2.5"} <= set(texts(svg))
    assert svg.count("<use") == 2 * len(X)


def test_degenerate_surfaces():
    def patchy(X):
        return np.where(X[:, 0] > 0, plane(X), np.nan)

    constant = np.ones_like(X)
    assert figures.predicted_surface(X, plane(X), lambda X: np.ones(len(X)), ("u", "v"))
    assert figures.predicted_surface(X, np.ones(40), lambda X: np.ones(len(X)), ("u", "v"))
    assert figures.predicted_surface(constant, plane(X), plane, ("u", "v"))
    assert figures.predicted_surface(X[:1], plane(X[:1]), plane, ("u", "v"))
    assert figures.predicted_surface(X, plane(X), patchy, ("u", "v"))


def test_names_are_text_whatever_they_hold():
    svg = regions(names=("<b> & $x_1", "日本\x00"), classes=("$", "x" * 50))
    assert {"<b> & $x_1", "日本\ufffd", "$"} <= set(texts(svg))
    assert "<b>" not in svg
