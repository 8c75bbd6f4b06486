"""All rules, by name and by id."""

import difflib
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jmc.catalogue
from jmc.catalogue.record import Rule

SOURCES = {
    "P": "Parr & Howard, The Matrix Calculus You Need For Deep Learning, arXiv 1802.01528, §",
    "K": "Petersen & Pedersen, The Matrix Cookbook (2012), eq. ",
    "W": "Wikipedia, Matrix calculus, {}, row ",
    "G": "Giles (2008), An extended collection of matrix derivative results",
    "L": "differentiated from its definition",
}
WIKIPEDIA = {
    "VV": "vector by vector",
    "SV": "scalar by vector",
    "VS": "vector by scalar",
    "SM": "scalar by matrix",
    "MS": "matrix by scalar",
    "SS": "scalar by scalar",
    "D": "differentials",
    "C": "conversion of differentials",
}


class UnknownRule(KeyError):  # noqa: N818 - it reads as what it says
    """No rule has this name or id."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(Mapping[str, Rule]):
    """Rules by name and by id (``rules["softmax"]``, ``rules["K-57"]``).

    Iterating gives every name and id. The files of the catalogue are loaded when something is looked up first; a rule
    that is registered later is found as well.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._keys: dict[str, Rule] = {}
        self._loaded = False

    def add(self, rule: Rule, parts: Mapping[tuple[str, ...], Sequence[str]], second: Sequence[str] = ()) -> None:
        """Register ``rule`` by its name, its parts (about some arguments alone) and its second derivative by ids.

        Raises ValueError if a name or an id is taken.
        """
        views = [(rule.name, rule), *((i, rule) for i in rule.ids)]
        for names, ids in parts.items():
            view = rule.restricted(names, ids)
            views += [(i, view) for i in ids]
        if rule.second is not None:
            derived = rule.derived(second)
            views += [(i, derived) for i in (derived.name, *second)]
        for key, _ in views:
            if (owner := self._keys.get(key)) is not None:
                raise ValueError(f"`{key}` must be a new name, but there is a rule for it from {owner.source}")
        self._rules[rule.name] = rule
        self._keys.update(views)

    def records(self) -> list[Rule]:
        """Every rule once, with all of its arguments, in the order of the families."""
        self._load()
        return sorted(self._rules.values(), key=lambda rule: rule.family)

    def ids(self) -> list[str]:
        """Every id, in the order of the sources."""
        return sorted((key for key, rule in self._all().items() if key in rule.ids), key=natural)

    def ids_of(self, rule: Rule) -> list[str]:
        """The ids that this rule or a part of it states."""
        return sorted((key for key, r in self._all().items() if key in r.ids and r.name == rule.name), key=natural)

    def families(self) -> dict[str, list[Rule]]:
        """The rules by the file that they stand in."""
        found: dict[str, list[Rule]] = {}
        for rule in self.records():
            found.setdefault(rule.family, []).append(rule)
        return found

    def __getitem__(self, key: str) -> Rule:
        try:
            return self._all()[key]
        except KeyError:
            near = difflib.get_close_matches(str(key), self._keys, 3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise UnknownRule(f"`{key}` must be the name or the id of a rule, but there is none{hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return f"<{len(self.records())} rules, {len(self.ids())} ids>"

    def _all(self) -> dict[str, Rule]:
        self._load()
        return self._keys

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            for module in pkgutil.iter_modules(jmc.catalogue.__path__):
                importlib.import_module(f"jmc.catalogue.{module.name}")


rules = Registry()


def natural(identity: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in ids by value."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", identity)]


def cited(identities: Iterable[str]) -> str:
    """The sources that ids name, each once, and the places in them."""
    found: dict[str, dict[str, None]] = {}
    for identity in identities:
        prefix, _, place = identity.partition("-")
        source = SOURCES.get(prefix, "")
        if prefix == "W":
            table, _, place = place.partition("-")
            source = source.format(WIKIPEDIA[table])
        elif prefix == "P":
            depth = 3 if place.startswith("4.5.") else 2 if place.count(".") > 1 else 1
            place = ".".join(re.findall(r"\d+", place)[:depth])
        found.setdefault(source, {})[place] = None
    listed = (source + ", ".join(places) if source.endswith(("§", " ")) else source for source, places in found.items())
    return "; ".join(filter(None, listed))
