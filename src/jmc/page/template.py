"""Templates filled in: self-contained pages, with figures that carry captions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jmc.page.formatting import clean, duration, number, percent, shape

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Plate:
    """A figure with its caption."""

    svg: "Markup"
    caption: str


def plates(drawn: Iterable[tuple[str, str]]) -> list[Plate]:
    """Figures, as `to_svg` gives them, with their captions; those that had nothing to draw are left out."""
    from markupsafe import Markup

    return [Plate(Markup(svg), caption) for svg, caption in drawn if svg]  # XML, escaped by its writer


def filled(room: str, template: str, **values: Any) -> str:
    """The page that a template of a room, such as "jmc.train.report", makes of the values, each of them escaped.

    It may include what lies in the ``templates/`` of this room, too.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, "templates") for each in (room, "jmc.page")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "duration": duration, "shape": shape}
    return clean(environment.get_template(template).render(**values))
