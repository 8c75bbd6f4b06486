import re

from jmc.page.formatting import duration
from jmc.page.svg import canvas, logarithmic, to_svg


def labels(x, y, shown):
    with canvas(4, 3) as (figure, axes):
        axes.plot(x, y)
        logarithmic(axes.xaxis, x)
        logarithmic(axes.yaxis, y, shown)
        return re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure, "test", "Test"))


def test_logarithmic_axes_are_labelled_as_the_page_writes_numbers():
    found = labels([10, 1e8], [1e-6, 1e-2], duration)
    assert {"100", "10⁸", "1.00\u202fµs", "100\u202fµs", "10.0\u202fms"} <= set(found)
    assert not any("$" in text for text in found)


def test_few_decades_have_more_labels():
    found = labels([20, 300], [1, 50], str)
    assert {"20", "50", "100", "200"} <= set(found)
