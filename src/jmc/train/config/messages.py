"""What to say about a key or a value that the schema refuses, and what was probably meant by it."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from jmc.train.config import schema
from jmc.train.config.schema import TABLES
from jmc.train.config.toml_source import dump, dump_key, parse_value, shortened, shown


def nearest(word: str, candidates: Sequence[str]) -> str | None:
    """The candidate probably meant: the one whose initials the word is, as in `lr`, or the most similar."""
    word = re.sub(r"\W+", "_", word[:100].casefold())
    initials = (name for name in candidates if "_" in name and word == "".join(part[0] for part in name.split("_")))
    return next(initials, None) or next(iter(get_close_matches(word, candidates, 1)), None)


def unknown_table(name: str, value: object) -> tuple[str, str | None]:
    """The message about a name that is no table's, and the table it probably stands for."""
    content = "" if isinstance(value, dict) else f" = {shown(value)}"
    hint, guess = _elsewhere_or_misspelt(name, [*TABLES])
    return (
        f"`{shortened(dump_key((name,)))}`{content}: unknown table{hint} (allowed: {', '.join(TABLES)})",
        guess,
    )


def unknown_key(table: str, key: str, value: object) -> tuple[str, str | None]:
    """The message about a key that its table does not have, and the key it probably stands for."""
    allowed = [*TABLES[table].model_fields]
    hint, guess = _elsewhere_or_misspelt(key, allowed)
    name = shortened(dump_key((table, key)))
    return f"`{name}` = {shown(value)}: unknown key{hint} (allowed: {', '.join(allowed)})", guess


def _elsewhere_or_misspelt(word: str, allowed: Sequence[str]) -> tuple[str, str | None]:
    owners = [f"[{table}]" for table, model in TABLES.items() if word in model.model_fields]
    if owners:
        return f"; it stands under {' or '.join(owners)}", None
    guess = nearest(word, allowed)
    return (f"; did you mean `{guess}`?" if guess else ""), guess


def wrong_value(table: str, key: str, value: Any, index: Sequence[int]) -> str:
    """The message about a value that the schema refuses, or about its element at `index`."""
    name, spec = f"{table}.{key}", schema.key_schemas(table)[key]
    if index:
        name, value = f"{name}[{index[0]}]", value[index[0]]
        spec = next(option["items"] for option in schema.alternatives(spec) if "items" in option)
    must = schema.requirement(spec)
    return f"`{name}` = {shown(value)}: must be {must}, but got {shown(value)}{_hint(value, spec)}"


def _hint(value: object, spec: Mapping[str, Any]) -> str:
    types = {option.get("type") for option in schema.alternatives(spec)}
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return f"; write {shown(int(value))}"
    if not isinstance(value, str):
        return ""
    if types & {"integer", "number", "boolean"} and not isinstance(parse_value(value), str):
        return "; write it without quotes"
    if "array" in types and value.startswith("["):
        return "; a shell takes quotes away: put the whole of KEY=VALUE in single quotes"
    guess = nearest(value, schema.choices(spec))
    return f"; did you mean {guess if 'boolean' in types else dump(guess)}?" if guess else ""
