import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmc.train.config.toml_source import TomlError, dump, dump_tables, key_lines, parse_value, shortened, shown

TRICKY = '''\
# [no.table] = 1
a = "x = 1 # [b]"  # c = 2
"b.c" = """
d = 1
[e] \\""" """""
f.g . "h" = [
  "i = 1", { j = 1 },  # ]
  [2, 'k = [',
  ],
]
l = { m = 1, n.o = { p = "}" }, q = [{}] }
r = '\'\'
s = 1\'\'\'
t = 1979-05-27 07:32:00.5
1.2 = 3.4

  [ u . 'v' ]  # w
x = {}
[[y]]
z = +1e-3
[[y]]
z = 2
'''


def test_lines_of_tricky_keys():
    tomllib.loads(TRICKY)
    assert key_lines(TRICKY) == {
        ("a",): 2,
        ("b.c",): 3,
        ("f",): 6,
        ("f", "g"): 6,
        ("f", "g", "h"): 6,
        ("f", "g", "h", "j"): 7,
        ("l",): 11,
        ("l", "m"): 11,
        ("l", "n"): 11,
        ("l", "n", "o"): 11,
        ("l", "n", "o", "p"): 11,
        ("l", "q"): 11,
        ("r",): 12,
        ("t",): 14,
        ("1",): 15,
        ("1", "2"): 15,
        ("u",): 17,
        ("u", "v"): 17,
        ("u", "v", "x"): 18,
        ("y",): 19,
        ("y", "z"): 20,
    }


SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.dates(),
    st.times(),
    st.datetimes(),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ANY_VALUE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(ANY_VALUE)
def test_a_dumped_value_reads_back(value):
    assert tomllib.loads(f"value = {dump(value)}") == {"value": value}
    assert parse_value(dump(value)) == value
    assert len(shown(value)) <= 60


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, ANY_VALUE, max_size=4), max_size=4))
def test_dumped_tables_read_back_and_have_their_lines(tables):
    text = dump_tables(tables)
    assert tomllib.loads(text) == tables
    lines = key_lines(text)
    rows = text.split("\n")
    for name, table in tables.items():
        assert rows[lines[name,] - 1].startswith("[")
        for key in table:
            assert rows[lines[name, key] - 1].startswith(f"{dump_tables({key: {}})[1:-2]} = ")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.05", 0.05),
        ("adam", "adam"),
        (" adam ", "adam"),
        ("'adam'", "adam"),
        ('"a\\n"', "a\n"),
        ("", ""),
        ("# 1", "# 1"),
        ("1 # one", 1),
        ("[64, 32", "[64, 32"),
        ("[64,\n32]", [64, 32]),
        ("adam\nseed = 1", "adam\nseed = 1"),
        ("[" * 10000, "[" * 10000),
    ],
)
def test_a_value_is_toml_or_else_its_text(text, value):
    assert parse_value(text) == value


@pytest.mark.parametrize("text", ["1\nb = 2", "1\n[b]", "1\r\n[[value2]]"])
def test_a_value_ends_where_it_ends(text):
    with pytest.raises(TomlError, match="must be one value"):
        parse_value(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (True, "true"),
        ("\x1b[31m\udc80\U000e0001", '"\\u001b[31m\\udc80\\U000e0001"'),
        ({"a b": [1]}, '{"a b" = [1]}'),
    ],
)
def test_shown(value, text):
    assert shown(value) == text


def test_huge_integers_are_shown():
    assert shown(16**9999) == shortened("0x1" + "0" * 9999)
