"""TOML as text: the line of every key, which `tomllib` does not tell, and writing, which it does not do."""

import re
import tomllib
from collections.abc import Mapping

Key = tuple[str, ...]

_POSITION = re.compile(r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.S)

# The commonest mistakes, in words that say what to do; any other message is tomllib's own.
_PLAIN_WORDS = {
    "Invalid value": "not a TOML value (text needs quotes)",
    "Cannot overwrite a value": "this key is already set above",
    "Cannot declare": "this table is already opened above",
    "Illegal character '\\n'": "the string is not closed on its line",
    "Expected '=' after a key": "expected `=` after the key",
}

_TOKEN = re.compile(
    r"""
    (?P<string> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
  | (?P<comment> \#[^\n]* )
  | (?P<mark> [\[\]{}=,\n] )
  | (?P<word> [^\s\[\]{}=,.\#"']+ )
    """,
    re.VERBOSE | re.DOTALL,
)

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class TomlError(ValueError):
    """Text that is not TOML; `line` is the 1-based line of the mistake, or None where it is not known."""

    def __init__(self, message: str, line: int | None = None):
        super().__init__(message)
        self.line = line


def parse(text: str) -> dict[str, object]:
    """Reads a TOML document; whatever is wrong with it is one TomlError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _POSITION.fullmatch(str(error))
        what = found["what"] if found else str(error)
        words = next((plain for start, plain in _PLAIN_WORDS.items() if what.startswith(start)), what)
        rows = text.rstrip().splitlines() or [""]
        line = int(found["line"]) if found and found["line"] else len(rows)
        column = f" at column {found['column']}" if found and found["column"] else ""
        row = rows[min(line, len(rows)) - 1].strip()
        raise TomlError(f"not valid TOML: {words}{column} of `{shortened(row)}`", line) from None
    except RecursionError:
        raise TomlError("not valid TOML: values are nested too deeply") from None
    except ValueError:  # Python refuses to convert a decimal number of more than 4300 digits
        raise TomlError("not valid TOML: a number has too many digits") from None


def parse_value(text: str) -> object:
    """Reads one TOML value; text that is not TOML is a string as it stands, since shells eat quotes.

    Raises TomlError when the text goes on after the value, as a newline lets it.
    """
    try:
        document = parse(f"value = {text}")
    except TomlError:
        return text.strip()
    if document.keys() != {"value"}:
        raise TomlError("must be one value, but more TOML follows it on a new line")
    return document["value"]


def key_lines(text: str) -> dict[Key, int]:
    """The 1-based line where each key and each table of a valid TOML document first stands.

    Keys of inline tables are included. The elements of an array share the line of its key.
    """
    lines: dict[Key, int] = {}
    table: Key = ()  # what a key is relative to: the open table, or the inline table being read
    path: Key = ()  # the key whose value is being read
    parts: list[str] = []  # the key being read
    outer: list[tuple[str, Key, Key]] = []  # per open bracket of a value: the bracket, and table and path outside it
    in_key, line, key_line = True, 1, 1

    def note(key: Key) -> None:
        for length in range(1, len(key) + 1):
            lines.setdefault(key[:length], key_line)

    for token in _TOKEN.finditer(text):
        piece = token[0]
        if token.lastgroup == "mark":
            if piece == "\n" and not outer:
                in_key, parts = True, []
            elif piece == "=" and in_key:
                path, parts, in_key = table + tuple(parts), [], False
                note(path)
            elif piece == "]" and in_key and parts:  # the end of a table's header
                table, parts = tuple(parts), []
                note(table)
            elif piece == "," and outer and outer[-1][0] == "{":
                in_key = True
            elif piece in "[{" and not in_key:
                outer.append((piece, table, path))
                if piece == "{":
                    table, in_key = path, True
            elif piece in "]}" and outer:
                _, table, path = outer.pop()
                in_key = False
        elif in_key and token.lastgroup != "comment":
            key_line = key_line if parts else line
            parts.append(piece if token.lastgroup == "word" else _unquoted(piece))
        line += piece.count("\n")
    return lines


def _unquoted(piece: str) -> str:
    return str(tomllib.loads(f"value = {piece}")["value"])


def dump_key(key: Key) -> str:
    """A key as TOML writes it, its parts quoted where they must be."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else _quoted(part) for part in key)


def dump(value: object) -> str:
    """A value as TOML writes it, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value) if value.bit_length() < 4096 else hex(value)  # str() refuses more than 4300 digits
        case float():
            return repr(value)
        case str():
            return _quoted(value)
        case list() | tuple():
            return "[" + ", ".join(map(dump, value)) + "]"
        case Mapping():
            return "{" + ", ".join(f"{dump_key((key,))} = {dump(item)}" for key, item in value.items()) + "}"
        case _:  # a date or a time
            return str(value)


def dump_tables(tables: Mapping[str, Mapping[str, object]]) -> str:
    """A document of one level of tables."""
    return "\n".join(
        f"[{dump_key((name,))}]\n" + "".join(f"{dump_key((key,))} = {dump(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )


def shown(value: object) -> str:
    """A value as TOML writes it, shortened to stand in a message."""
    try:
        return shortened(dump(value))
    except RecursionError:
        return "{…}" if isinstance(value, Mapping) else "[…]"


def shortened(text: str, width: int = 60) -> str:
    """The text, its middle left out where it is longer than `width`."""
    return text if len(text) <= width else f"{text[: width - 15]} … {text[-12:]}"


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES or character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
