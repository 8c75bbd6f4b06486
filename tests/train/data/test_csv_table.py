import csv
import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.train.data.csv_table import read_csv
from jmc.train.data.tables import DataError

one_folder = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads the columns of a text, as the file t.csv in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path.joinpath("t.csv").relative_to(tmp_path)

    def read_text(text, features=None, target="y", task=None):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_csv(path, features, target, task)

    return read_text


def fault(read, text, **keys):
    with pytest.raises(DataError) as caught:
        read(text, **keys)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a,y,b\n1,0.5,3\n-2e3,1.5,4\n", id="plain"),
        pytest.param("a,y,b\n1,0.5,3\n-2e3,1.5,4", id="no newline at the end"),
        pytest.param("a,y,b\r\n1,0.5,3\r\n-2e3,1.5,4\r\n", id="CRLF"),
        pytest.param("\ufeffa,y,b\n1,0.5,3\n-2e3,1.5,4\n", id="byte order mark"),
        pytest.param('"a",y,"b"\n"1",0.5,"3"\n-2e3,"1.5",4\n', id="quoted"),
        pytest.param('a, y, "b"\n 1, 0.5 ,3\n-2e3 ,1.5, "4"\n', id="blanks"),
        pytest.param("\na,y,b\n\n1,0.5,3\n  \n-2e3,1.5,4\n\n\n", id="blank lines"),
    ],
)
def test_spellings_of_one_table(read, text):
    table = read(text)
    assert (table.name, table.feature_names, table.target_name) == ("t", ("a", "b"), "y")
    assert table.X.dtype == np.float64
    np.testing.assert_array_equal(table.X, [[1, 3], [-2000, 4]])
    np.testing.assert_array_equal(table.target, [0.5, 1.5])


def test_features_in_the_order_asked_for_and_other_columns_unread(read):
    table = read("a,note,y,b,  b  b \n1,x,0.5,3,7\n2,,1.5,4,8\n", features=["b b", "a"])
    assert table.feature_names == ("b b", "a")
    np.testing.assert_array_equal(table.X, [[7, 1], [8, 2]])


def test_text_targets_are_trimmed(read):
    assert read('a,y\n1, cat\n2,"dog, big"\n3,cat \n').target == ["cat", "dog, big", "cat"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_positions_count_blank_lines_and_lines_inside_quotes(read, line_end):
    text = line_end.join(["a,note,y", "", '1,"two', 'lines",0.5', "x,,1.5", ""])
    assert fault(read, text, features=["a"]) == "t.csv:5: column `a`: must be a finite number, but got 'x'"


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("", "an empty cell"),
        ("  ", "an empty cell"),
        ("x", "'x'"),
        ("1.5.2", "'1.5.2'"),
        ("nan", "'nan'"),
        ("-Inf", "'-Inf'"),
        ("1e999", "'1e999'"),
        ("2024_01", "'2024_01'"),
        ("1\0", "'1\\x00'"),
        ('"1,5"', "'1,5'"),
        ('"a\nb"', "'a\\nb'"),
        ("z" * 1000, "'zzzzzzzzzzzz...zzzzzzzzzzzzz'"),
    ],
)
def test_a_feature_must_be_a_finite_number(read, cell, shown):
    message = fault(read, f"a,b,y\n1,2,0.5\n3,{cell},1.5\n")
    assert message == f"t.csv:3: column `b`: must be a finite number, but got {shown}"


@pytest.mark.parametrize("cell", ["", "nan", "inf", "-1e999"])
@pytest.mark.parametrize("task", [None, "regression", "classification"])
@pytest.mark.parametrize("other", ["0.5", "cat"])
def test_a_target_must_be_there(read, cell, task, other):
    message = fault(read, f"a,y\n1,{other}\n2,{cell}\n", task=task)
    shown = repr(cell) if cell else "an empty cell"
    assert message == f"t.csv:3: column `y`: must be a finite number or text, but got {shown}"


def test_text_among_numbers(read):
    text = "a,y\n1,0.5\n2,1.S\n3,x\n"
    assert fault(read, text) == (
        "t.csv:3: column `y`: must be a number like others here,"
        " unless `data.task` is \"classification\", but got '1.S'"
    )
    message = fault(read, text, task="regression")
    assert message == "t.csv:3: column `y`: must be a number for regression, but got '1.S'"
    assert read(text, task="classification").target == ["0.5", "1.S", "x"]


@pytest.mark.parametrize(
    ("text", "keys", "message"),
    [
        ("", {}, "t.csv:1: must be a row of column names, but got an empty file"),
        ("\n\n", {}, "t.csv:1: must be a row of column names, but got an empty file"),
        ("a,y\n", {}, "t.csv:1: must be followed by rows of values, but got only the header"),
        ("a,,y\n1,2,3\n", {}, "t.csv:1: every column must have a name, but column 2 has none"),
        ("a,y,a\n1,2,3\n", {}, "t.csv:1: column names must differ, but 'a' names columns 1 and 3"),
        ("a,y\n1,2\n3\n", {}, "t.csv:3: must have 2 fields like the header, but got 1"),
        ("a,y\n1,2\n3,4,\n", {}, "t.csv:3: must have 2 fields like the header, but got 3"),
        (
            'a,y\n1,2\n3,"4\n5,6\n',
            {},
            "t.csv:3: must be comma-separated values, but got a row with unexpected end of data",
        ),
        (
            'a,y\n1,"2"3\n',
            {},
            "t.csv:2: must be comma-separated values, but got a row with ',' expected after '\"'",
        ),
        (b"a,y\n1,2\n\xe9,4\n", {}, "t.csv:3: must be UTF-8 text, but got the byte 0xe9"),
        (b"\xef\xbb\xbfa,y\n1,\xff\n", {}, "t.csv:2: must be UTF-8 text, but got the byte 0xff"),
        ("a,y\n1,2\n".encode("utf-16"), {}, "t.csv:1: must be UTF-8 text, but got the byte 0xff"),
        ("a,y\n1,2\n", {"target": None}, "t.csv: `data.target` must name the column to learn, but got none"),
        (
            "\nage,price\n1,2\n",
            {"target": "prise"},
            "t.csv:2: `data.target` must be among 'age', 'price', but got 'prise'; did you mean 'price'?",
        ),
        ("a,y\n1,2\n", {"features": ["q"]}, "t.csv:1: `data.features` must be among 'a', 'y', but got 'q'"),
        (
            "a,y\n1,2\n",
            {"features": ["a", "y"]},
            "t.csv:1: `data.features` must not hold the target, but got 'y'",
        ),
        (
            "a,y\n1,2\n",
            {"features": ["a", "a"]},
            "t.csv:1: `data.features` must name each column once, but got 'a' twice",
        ),
        ("y\n1\n", {}, "t.csv:1: `data.features` must name a column besides 'y', but got none"),
    ],
)
def test_faults_of_the_file(read, text, keys, message):
    assert fault(read, text, **keys) == message


@one_folder
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), min_size=1))
def test_every_float_comes_back_to_the_bit(read, rows):
    text = io.StringIO()
    csv.writer(text).writerows([("a", "b", "y"), *rows])
    table = read(text.getvalue())
    np.testing.assert_array_equal(np.column_stack([table.X, table.target]), rows)


@one_folder
@given(st.one_of(st.binary(), st.text('ay,"\r\n 01.e-_', max_size=40).map(lambda text: f"a,y\n{text}".encode())))
def test_any_bytes_are_a_table_or_one_clear_line(read, content):
    try:
        table = read(content)
    except DataError as error:
        message = str(error)
    else:
        message = "t.csv: read"
        assert np.isfinite(table.X).all()
        assert len(table.X) == len(table.target) > 0
    assert message.startswith("t.csv:")
    assert "\n" not in message
