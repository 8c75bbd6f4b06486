"""Reading a config: a TOML file, then overrides, into a `Config` or into every error at once."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jmc.train.config import messages, schema
from jmc.train.config.conflicts import CONFLICTS
from jmc.train.config.schema import TABLES, Config
from jmc.train.config.toml_source import Key, TomlError, dump_key, dump_tables, key_lines, parse, parse_value, shown

MAX_BYTES = 2**20
# An override of one of these takes the place of the other in the file.
_EITHER: dict[Key, list[Key]] = {
    ("train", "steps"): [("train", "epochs")],
    ("train", "epochs"): [("train", "steps")],
    ("data", "name"): [("data", "path"), ("data", "target"), ("data", "target_path")],
    ("data", "target"): [("data", "target_path")],
    ("data", "target_path"): [("data", "target")],
    ("data", "path"): [("data", "name")],
}


class ConfigError(ValueError):
    """A config that cannot be used; `lines` says everything that is wrong with it, a line each."""

    def __init__(self, lines: Sequence[str]):
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))


@dataclass(frozen=True, order=True)
class _Place:
    """Where something was written, in reading order: the file's lines, the file as a whole, the overrides."""

    rank: int
    position: int
    label: str


@dataclass(frozen=True)
class _Problem:
    place: _Place
    text: str

    def line(self) -> str:
        return f"{self.place.label}: {self.text}"


@dataclass(frozen=True)
class _Source:
    """The merged tables of the file and the overrides, and where each key of theirs was written."""

    tables: dict[str, Any]
    places: dict[Key, _Place]
    label: str

    def place(self, key: Key) -> _Place:
        return self.places.get(key) or self.places.get(key[:1]) or _Place(1, [*TABLES].index(key[0]), self.label)

    def is_set(self, key: Key) -> bool:
        table = self.tables.get(key[0])
        return isinstance(table, dict) and key[1] in table


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Reads the TOML file at `path`, then each override `TABLE.KEY=VALUE`, the later one winning.

    VALUE is read as TOML; text that is not TOML is a string. An override also wins over what it rules out in
    the file: `train.epochs` over `train.steps`, `data.name` over `data.path`, a `kind` over the keys that it
    does not read. `data.path` is sought in the file's folder, then as given, and is absolute in the result.

    Raises ConfigError, which lists every error of the file and of the overrides.
    """
    path = os.fspath(path)
    label = path if path.isprintable() else shown(path)
    text = _read(path, label)
    try:
        tables, lines = parse(text), key_lines(text)
    except TomlError as error:
        position = f":{error.line}" if error.line else ""
        raise ConfigError([f"{label}{position}: {error}"]) from None
    places = {key: _Place(0, line, f"{label}:{line}") for key, line in lines.items()}
    source = _Source(tables, places, label)
    problems = [*_override(source, overrides)]
    values, faults = _fields(source)
    problems += faults
    problems += _conflicts(source, values)
    problems += _resolve_paths(source, values, os.path.dirname(path))
    if problems:
        raise ConfigError([problem.line() for problem in sorted(problems, key=lambda problem: problem.place)])
    checked: dict[str, Any] = {key: model.model_validate(tables.get(key, {})) for key, model in TABLES.items()}
    return Config(**checked, name=Path(path).stem)


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of a config, with the keys that have a value and that the table's `kind` reads."""
    return {
        name: {
            key: value
            for key, value in getattr(config, name).model_dump(exclude_none=True).items()
            if schema.is_read(name, key, getattr(getattr(config, name), "kind", None))
        }
        for name in TABLES
    }


def to_toml(config: Config) -> str:
    """The config as TOML text that loads back to an equal one, every default written out."""
    return dump_tables(to_dict(config))


def _read(path: str, label: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the path
        raise ConfigError([f"{label}: cannot be read: {getattr(error, 'strerror', None) or error}"]) from None
    if len(content) > MAX_BYTES:
        raise ConfigError([f"{label}: must be at most {MAX_BYTES} bytes long to be a config"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{error.object[error.start]:02x} at offset {error.start}"
        raise ConfigError([f"{label}: must be UTF-8 text, but got {byte}"]) from None


def _override(source: _Source, overrides: Sequence[str]) -> Iterator[_Problem]:
    """Writes the overrides into the source's tables; yields those that cannot be read."""
    tables, places = source.tables, source.places
    for position, override in enumerate(overrides):
        place = _Place(2, position, "--set")
        try:
            key, value = _assignment(override)
        except TomlError as error:
            yield _Problem(place, f"{shown(override)}: {error}")
            continue
        table = tables.setdefault(key[0], {})
        if not isinstance(table, dict):
            continue  # the file's error about it stands
        for other in _ruled_out(key, value):
            if other in places and places[other].rank == 0:
                table.pop(other[1], None)
        table[key[1]] = value
        places[key] = place
        places.setdefault(key[:1], place)


def _assignment(override: str) -> tuple[Key, object]:
    name, equals, text = override.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not equals or len(key) != 2 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in key):
        raise TomlError("must be TABLE.KEY=VALUE, for example optimizer.learning_rate=0.05")
    if not _is_utf8(text):
        raise TomlError("must be UTF-8 text")
    return key, parse_value(text)


def _ruled_out(key: Key, value: object) -> list[Key]:
    """The keys that no longer hold in the file once an override has set this one."""
    if key[0] in TABLES and key[1] == "kind" and value in schema.kinds(key[0]):
        return [(key[0], other) for other in TABLES[key[0]].model_fields if not schema.is_read(key[0], other, value)]
    return _EITHER.get(key, [])


def _fields(source: _Source) -> tuple[dict[str, Any], list[_Problem]]:
    """The value or default of every key in order, by its dotted name, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems: list[_Problem] = []
    meant: set[str] = set()  # tables and keys that a misspelt one stands for: nothing else is said about them
    for name, table in source.tables.items():
        if name not in TABLES:
            text, guess = messages.unknown_table(name, table)
            problems.append(_Problem(source.place((name,)), text))
            meant.add(f"{guess}")
        elif not isinstance(table, dict):
            text = f"`{name}` = {shown(table)}: must be a table, written `[{name}]`, but got {shown(table)}"
            problems.append(_Problem(source.place((name,)), text))
    for name, model in TABLES.items():
        table = source.tables.get(name, None if name in meant else {})
        if not isinstance(table, dict):
            continue
        faults = _faults(model, table)
        for key in table:
            if key not in model.model_fields:
                text, guess = messages.unknown_key(name, key, table[key])
                problems.append(_Problem(source.place((name, key)), text))
                meant.add(f"{name}.{guess}")
            elif key in faults:
                text = messages.wrong_value(name, key, table[key], faults[key])
                problems.append(_Problem(source.place((name, key)), text))
        for key, field in model.model_fields.items():
            if key in table and key not in faults:
                values[f"{name}.{key}"] = table[key]
            elif key not in table and f"{name}.{key}" not in meant:
                if field.is_required():
                    must = schema.requirement(schema.key_schemas(name)[key])
                    problems.append(_missing(source, (name, key), f"must be {must}"))
                else:
                    values[f"{name}.{key}"] = field.get_default(call_default_factory=True)
    return values, problems


def _faults(model: type[schema.Table], table: Mapping[str, Any]) -> dict[str, list[int]]:
    """The keys the schema refuses, each with the index of the list element at fault, if it is one."""
    faults: dict[str, list[int]] = {}
    try:
        model.model_validate(table)
    except ValidationError as error:
        for entry in error.errors(include_url=False, include_context=False, include_input=False):
            key, *inner = entry["loc"]
            index = [part for part in inner if isinstance(part, int)][:1]
            faults[str(key)] = faults.get(str(key)) or index
    return faults


def _conflicts(source: _Source, values: Mapping[str, Any]) -> Iterator[_Problem]:
    """What is wrong between keys that are each in order."""
    for dotted, value in values.items():
        table, key = dotted.split(".")
        kind = values.get(f"{table}.kind")
        if kind is not None and source.is_set((table, key)) and not schema.is_read(table, key, kind):
            who = " and ".join(schema.readers(table, key) or ())
            text = f"`{dotted}` = {shown(value)}: is read only by {who}, but `{table}.kind` = {shown(kind)}"
            yield _Problem(source.place((table, key)), text)
    for conflict in CONFLICTS:
        if values.keys() >= set(conflict.keys) and (what := conflict.check(*(values[key] for key in conflict.keys))):
            first, value = conflict.keys[0], values[conflict.keys[0]]
            table, key = first.split(".")
            if not source.is_set((table, key)) and value in (None, []):
                yield _missing(source, (table, key), what)
            else:
                default = "" if source.is_set((table, key)) else " (the default)"
                yield _Problem(source.place((table, key)), f"`{first}` = {shown(value)}{default}: {what}")


def _resolve_paths(source: _Source, values: Mapping[str, Any], folder: str) -> Iterator[_Problem]:
    """Makes `data.path` and `data.target_path` absolute; yields what keeps them from being read."""
    for key in ("path", "target_path"):
        given = values.get(f"data.{key}")
        if given is not None:
            yield from _resolve(source, key, given, folder)


def _resolve(source: _Source, key: str, given: str, folder: str) -> Iterator[_Problem]:
    tried = [os.path.abspath(os.path.join(place, os.path.expanduser(given))) for place in (folder, "")]
    found = next((path for path in tried if os.path.isfile(path) and os.access(path, os.R_OK)), None)
    if found is None:
        what = f"must be a file that can be read, but {' and '.join(map(shown, dict.fromkeys(tried)))} cannot"
    elif not _is_utf8(found):
        what = f"must be a path in UTF-8, but got {shown(found)}"
    else:
        source.tables["data"][key] = found
        return
    yield _Problem(source.place(("data", key)), f"`data.{key}` = {shown(given)}: {what}")


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)  # how Python carries stray bytes


def _missing(source: _Source, key: Key, what: str) -> _Problem:
    table = "" if key[0] in source.tables else f", and so is the table `[{key[0]}]`"
    return _Problem(source.place(key), f"`{dump_key(key)}` is missing{table}: {what}")
