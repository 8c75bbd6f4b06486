import numpy as np
import pytest

from jmc.train.data.extras import MissingExtraError
from jmc.train.data.parquet_blocks import open_parquet
from jmc.train.data.tables import DataError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

N = 11
COLUMNS = {
    "single": np.arange(N, dtype=np.float32) / 3,
    "double": np.arange(N) / 7,
    "whole": np.arange(N, dtype=np.int16),
    "truth": np.arange(N) % 2 == 0,
    "text": [f"t{i % 3}" for i in range(N)],
}


@pytest.fixture
def save(tmp_path):
    def to_file(columns=COLUMNS, name="t.parquet", rows=4):
        path = tmp_path / name
        parquet.write_table(pyarrow.table(columns), path, row_group_size=rows)
        return path

    return to_file


def joined(blocks):
    return [np.concatenate(parts) for parts in zip(*map(blocks.read, range(len(blocks))), strict=True)]


def refusal(*arguments):
    with pytest.raises(DataError) as caught:
        open_parquet(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_row_groups_are_blocks(save):
    blocks = open_parquet(save(), ["double", "whole", "truth"], "single")
    assert (blocks.feature_names, blocks.target_name) == (("double", "whole", "truth"), "single")
    assert blocks.starts.tolist() == [0, 4, 8, 11]
    X, y = joined(blocks)
    np.testing.assert_array_equal(X, np.stack([COLUMNS[name] for name in blocks.feature_names], axis=1))
    np.testing.assert_array_equal(y, COLUMNS["single"])


def test_every_column_but_the_target_is_a_feature(save):
    columns = {name: COLUMNS[name] for name in ("single", "double")}
    blocks = open_parquet(save(columns), None, "double")
    assert blocks.feature_names == ("single",)
    assert blocks.read(0)[0].dtype == np.float32


@pytest.mark.parametrize("kind", ["plain", "dictionary", "large"])
def test_text_targets(save, kind):
    text = pyarrow.array(COLUMNS["text"])
    text = {"plain": text, "dictionary": text.dictionary_encode(), "large": text.cast(pyarrow.large_string())}[kind]
    blocks = open_parquet(save(COLUMNS | {"text": text}), ["single"], "text")
    assert joined(blocks)[1].tolist() == COLUMNS["text"]


def test_decimals_are_numbers(save):
    from decimal import Decimal

    prices = pyarrow.array([Decimal("1.25"), Decimal("-3.50")])
    blocks = open_parquet(save({"price": prices, "y": [1.0, 2.0]}), None, "y")
    assert blocks.read(0)[0].tolist() == [[1.25], [-3.5]]


def test_groups_without_rows_are_no_blocks(tmp_path):
    table = pyarrow.table({"a": [1.0, 2.0], "y": [3.0, 4.0]})
    with parquet.ParquetWriter(tmp_path / "t.parquet", table.schema) as writer:
        for part in (table[:0], table[:1], table[:0], table[1:]):
            writer.write_table(part)
    blocks = open_parquet(tmp_path / "t.parquet", None, "y")
    assert blocks.starts.tolist() == [0, 1, 2]
    assert joined(blocks)[1].tolist() == [3.0, 4.0]


def test_a_null_is_named_with_its_row(save):
    holes = pyarrow.array([None if i == 9 else float(i) for i in range(N)])
    path = save({"a": holes, "y": COLUMNS["double"]})
    blocks = open_parquet(path, None, "y")
    blocks.read(0)
    with pytest.raises(DataError) as caught:
        blocks.read(2)
    assert str(caught.value) == f"{path}: row 9 of `a` must hold a value, but got null"


def test_refusals(save, tmp_path, monkeypatch):
    path = save()
    assert refusal(path, None, None) == f"{path}: `data.target` must name the column to learn, but got none"
    assert refusal(path, None, "single") == f"{path}: column `text` must hold numbers, but got string"
    assert refusal(path, ["singel"], "double").endswith("but got 'singel'; did you mean 'single'?")
    assert "`data.target` must be among" in refusal(path, None, "y")
    dates = save({"a": pyarrow.array([0], pyarrow.date32()), "y": [1.0]}, "dates.parquet")
    assert refusal(dates, ["y"], "a") == f"{dates}: column `a` must hold numbers or text, but got date32[day]"
    empty = save({"a": pyarrow.array([], "double"), "y": pyarrow.array([], "double")}, "empty.parquet")
    assert refusal(empty, None, "y") == f"{empty}: must hold a row and a feature at least, but got shape (0, 1)"
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"not parquet")
    assert refusal(damaged, None, "y").startswith(f"{damaged}: must be a parquet file, but got: ")
    monkeypatch.setattr("jmc.train.data.extras.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"a .parquet file needs the package pyarrow, .*'jmc\[parquet\]'"):
        open_parquet(path, None, "single")


def test_damage_within_a_group(save):
    path = save()
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    blocks = open_parquet(path, ["single"], "double")
    with pytest.raises(DataError, match="row group 0 must be readable, but got: "):
        blocks.read(0)
