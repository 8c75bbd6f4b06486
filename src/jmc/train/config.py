"""Reading a config: a TOML file, then overrides, into a `Config` or into every error at once."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jmc.train import schema
from jmc.train.rules import RULES, find_file
from jmc.train.schema import TABLES, Config
from jmc.train.toml_source import Key, TomlError, dump, dump_key, dump_tables, key_lines, parse, parse_value, shortened, shown

MAX_BYTES = 2**20
# An override of one of these takes the place of the other in the file.
_EITHER = {
    ("train", "steps"): [("train", "epochs")],
    ("train", "epochs"): [("train", "steps")],
    ("data", "name"): [("data", "path"), ("data", "target")],
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
    whole: _Place

    def place(self, key: Key) -> _Place:
        return self.places.get(key) or self.places.get(key[:1]) or self.whole

    def is_set(self, key: Key) -> bool:
        table = self.tables.get(key[0])
        return isinstance(table, dict) and key[1] in table


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Reads the TOML file at `path`, then each override `TABLE.KEY=VALUE`, the later one winning.

    VALUE is read as TOML; text that is not TOML is a string. An override also wins over what it rules out in the file:
    `train.epochs` over `train.steps`, `data.name` over `data.path`, a `kind` over the keys that it does not read.
    `data.path` is looked for in the file's folder, then as given, and is absolute in the result.

    Raises ConfigError, which lists every error of the file and of the overrides.
    """
    path = os.fspath(path)
    text = _read(path)
    try:
        tables, lines = parse(text), key_lines(text)
    except TomlError as error:
        raise ConfigError([f"{path}{f':{error.line}' if error.line else ''}: {error}"]) from None
    places = {key: _Place(0, line, f"{path}:{line}") for key, line in lines.items()}
    source = _Source(tables, places, _Place(1, 0, path))
    problems = [*_override(source, overrides)]
    values, faults = _fields(source)
    problems += faults
    problems += _conflicts(source, values)
    problems += _resolve_path(source, values, os.path.dirname(path))
    if problems:
        raise ConfigError([problem.line() for problem in sorted(problems, key=lambda problem: problem.place)])
    checked = {name: table.model_validate(tables.get(name, {})) for name, table in TABLES.items()}
    return Config(**checked, name=Path(path).stem)  # pyright: ignore[reportArgumentType]: one class per name in TABLES


def to_dict(config: Config) -> dict[str, dict[str, Any]]:
    """The tables of a config with the keys that count: those that are set and that the table's `kind` reads."""
    return {
        name: {
            key: value
            for key, value in getattr(config, name).model_dump(exclude_none=True).items()
            if _is_read(name, key, getattr(getattr(config, name), "kind", None))
        }
        for name in TABLES
    }


def to_toml(config: Config) -> str:
    """The config as TOML text that loads back to an equal one, every default written out."""
    return dump_tables(to_dict(config))


def nearest(word: str, candidates: Sequence[str]) -> str | None:
    """The candidate most probably meant: the one whose initials the word is, as in `lr`, or the most similar."""
    word = re.sub(r"\W+", "_", word[:100].casefold())
    initials = (name for name in candidates if "_" in name and word == "".join(part[0] for part in name.split("_")))
    return next(initials, None) or next(iter(get_close_matches(word, candidates, 1)), None)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123: a path with a NUL byte must be an error here too
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError([f"{path}: is larger than {MAX_BYTES} bytes, too large for a config"])
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"is not a UTF-8 text file: byte 0x{error.object[error.start]:02x} at offset {error.start}"
    except OSError as error:
        what = f"cannot be read: {error.strerror or error}"
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        what = f"cannot be read: {error}"
    raise ConfigError([f"{path}: {what}"]) from None


def _override(source: _Source, overrides: Sequence[str]) -> Iterator[_Problem]:
    """Writes the overrides into the source's tables; yields those that cannot be read."""
    tables, places = source.tables, source.places
    for position, override in enumerate(overrides):
        place = _Place(2, position, "--set")
        name, equals, text = override.partition("=")
        key = tuple(part.strip() for part in name.split("."))
        try:
            override.encode()
            if not equals or len(key) != 2 or not all(re.fullmatch(r"[A-Za-z0-9_-]+", part) for part in key):
                raise TomlError("must be written as TABLE.KEY=VALUE, for example optimizer.learning_rate=0.05")
            value = parse_value(text)
        except UnicodeEncodeError:
            yield _Problem(place, f"{shown(override)}: is not valid UTF-8")
            continue
        except TomlError as error:
            yield _Problem(place, f"{shown(override)}: {error}")
            continue
        table = tables.setdefault(key[0], {})
        if not isinstance(table, dict):
            continue  # the file's error about it stands
        ruled_out = _EITHER.get(key, [])
        if key[1] == "kind" and key[0] in TABLES and value in schema.choices(schema.key_schemas(key[0])["kind"]):
            ruled_out = [(key[0], other) for other in TABLES[key[0]].model_fields if not _is_read(key[0], other, value)]
        for other in ruled_out:
            if other in places and places[other].rank == 0:
                table.pop(other[1], None)
        table[key[1]] = value
        places[key] = place
        places.setdefault(key[:1], place)


def _is_read(table: str, key: str, kind: object) -> bool:
    readers = schema.readers(table, key)
    return readers is None or kind in readers


def _fields(source: _Source) -> tuple[dict[str, Any], list[_Problem]]:
    """The value or default of every key that is in order, by its dotted name, and what is wrong with the others."""
    values: dict[str, Any] = {}
    problems: list[_Problem] = []
    meant: set[str] = set()  # tables and keys that a misspelt one stands for: nothing else is said about them
    for name, table in source.tables.items():
        if name not in TABLES:
            problems.append(_Problem(source.place((name,)), _unknown_table(name, table, meant)))
        elif not isinstance(table, dict):
            problems.append(_Problem(source.place((name,)), f"`{name}` = {shown(table)}: must be a table, written `[{name}]`"))
            meant.add(name)
    for name, model in TABLES.items():
        if name in meant:
            continue
        table = source.tables.get(name, {})
        faults = _faults(model, table)
        for key in table:
            if key not in model.model_fields:
                problems.append(_Problem(source.place((name, key)), _unknown_key((name, key), table[key], meant)))
            elif key in faults:
                problems.append(_Problem(source.place((name, key)), _wrong_value((name, key), table[key], faults[key])))
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
    """The keys whose values the schema refuses, each with the index of the list element at fault, if it is one."""
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
        if kind is not None and source.is_set((table, key)) and not _is_read(table, key, kind):
            who = " and ".join(schema.readers(table, key) or ())
            text = f"`{dotted}` = {shown(value)}: is read only by {who}, but `{table}.kind` = {shown(kind)}"
            yield _Problem(source.place((table, key)), text)
    if values.get("model.kind") == "network" and "model.widths" in values and not source.is_set(("model", "widths")):
        yield _missing(source, ("model", "widths"), "a network needs its hidden widths, for example [64]")
    for rule in RULES:
        if values.keys() >= set(rule.keys) and (what := rule.check(*(values[key] for key in rule.keys))):
            key = tuple(rule.keys[0].split("."))
            value = values[rule.keys[0]]
            if source.is_set(key):
                yield _Problem(source.place(key), f"`{rule.keys[0]}` = {shown(value)}: {what}")
            elif value is None:
                yield _missing(source, key, what)
            else:
                yield _Problem(source.place(key), f"`{rule.keys[0]}` = {shown(value)} (the default): {what}")


def _resolve_path(source: _Source, values: Mapping[str, Any], folder: str) -> Iterator[_Problem]:
    given = values.get("data.path")
    if given is None:
        return
    found = find_file(given, folder)
    if found is None:
        where = f"{shown(folder)} or in " if folder else ""
        text = f"no such file that can be read in {where}the working directory"
    elif not found.isprintable():
        text = "its absolute path must consist of printable characters"
    else:
        source.tables["data"]["path"] = found
        return
    yield _Problem(source.place(("data", "path")), f"`data.path` = {shown(given)}: {text}")


def _missing(source: _Source, key: Key, what: str) -> _Problem:
    table = "" if key[0] in source.tables else f", and so is the table `[{key[0]}]`"
    return _Problem(source.place(key), f"`{dump_key(key)}` is missing{table}: {what}")


def _unknown_table(name: str, table: object, meant: set[str]) -> str:
    owners = [owner for owner, model in TABLES.items() if name in model.model_fields]
    value = "" if isinstance(table, dict) else f" = {shown(table)}"
    hint = f"; the key stands under {' or '.join(f'[{owner}]' for owner in owners)}" if owners else ""
    if not owners and (guess := nearest(name, [*TABLES])):
        meant.add(guess)
        hint = f"; did you mean `{guess}`?"
    return f"`{shortened(dump_key((name,)))}`{value}: unknown table{hint} (allowed: {', '.join(TABLES)})"


def _unknown_key(key: Key, value: object, meant: set[str]) -> str:
    allowed = [*TABLES[key[0]].model_fields]
    owners = [owner for owner, model in TABLES.items() if key[1] in model.model_fields]
    hint = f"; the key stands under {' or '.join(f'[{owner}]' for owner in owners)}" if owners else ""
    if not owners and (guess := nearest(key[1], allowed)):
        meant.add(f"{key[0]}.{guess}")
        hint = f"; did you mean `{guess}`?"
    return f"`{shortened(dump_key(key))}` = {shown(value)}: unknown key{hint} (allowed: {', '.join(allowed)})"


def _wrong_value(key: Key, value: Any, index: list[int]) -> str:
    spec = schema.key_schemas(key[0])[key[1]]
    name = dump_key(key)
    if index:
        value, name = value[index[0]], f"{name}[{index[0]}]"
        spec = next(option["items"] for option in schema.alternatives(spec) if "items" in option)
    hint = _hint(value, spec)
    return f"`{name}` = {shown(value)}: must be {schema.requirement(spec)}, but got {shown(value)}{hint}"


def _hint(value: object, spec: Mapping[str, Any]) -> str:
    kinds = {option.get("type") for option in schema.alternatives(spec)}
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return f"; write {shown(int(value))}"
    if not isinstance(value, str):
        return ""
    if kinds & {"integer", "number", "boolean"} and not isinstance(parse_value(value), str):
        return "; write it without quotes"
    if "array" in kinds and value.startswith("["):
        return "; a shell takes the quotes away unless the whole of KEY=VALUE stands in single quotes"
    guess = nearest(value, schema.choices(spec))
    is_word = "boolean" in kinds
    return f"; did you mean {guess if is_word else dump(guess)}?" if guess else ""
