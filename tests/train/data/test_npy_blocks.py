import numpy as np
import pytest

from jmc.train.data import npy_blocks
from jmc.train.data.npy_blocks import open_npy
from jmc.train.data.tables import DataError

X = np.arange(44, dtype=np.float32).reshape(11, 4) + 0.5
Y = np.arange(11) * 10


@pytest.fixture
def save(tmp_path, monkeypatch):
    monkeypatch.setattr(npy_blocks, "BLOCK_BYTES", 3 * X[0].nbytes)

    def to_file(array, name="X.npy", **options):
        np.save(tmp_path / name, array, **options)
        return tmp_path / name

    return to_file


def joined(blocks):
    return [np.concatenate(parts) for parts in zip(*map(blocks.read, range(len(blocks))), strict=True)]


def refusal(*arguments):
    with pytest.raises(DataError) as caught:
        open_npy(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_features_and_targets_of_two_files(save):
    blocks = open_npy(save(X), save(Y, "y.npy"), None, None)
    assert (blocks.feature_names, blocks.target_name) == (("X[0]", "X[1]", "X[2]", "X[3]"), "y")
    assert blocks.starts.tolist() == [0, 3, 6, 9, 11]
    found = joined(blocks)
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1], Y)
    assert [array.dtype for array in found] == [np.float32, Y.dtype]


def test_one_file_with_the_target_among_its_columns(save):
    blocks = open_npy(save(X), None, None, "X[1]")
    assert (blocks.feature_names, blocks.target_name) == (("X[0]", "X[2]", "X[3]"), "X[1]")
    found = joined(blocks)
    np.testing.assert_array_equal(found[0], X[:, [0, 2, 3]])
    np.testing.assert_array_equal(found[1], X[:, 1])


def test_features_in_the_order_asked(save):
    for target_path, target in ((save(Y, "y.npy"), None), (None, "X[0]")):
        blocks = open_npy(save(X), target_path, ["X[3]", "X[1]"], target)
        assert blocks.feature_names == ("X[3]", "X[1]")
        np.testing.assert_array_equal(joined(blocks)[0], X[:, [3, 1]])


def test_a_block_is_a_copy_that_outlives_its_map(save):
    blocks = open_npy(save(X), None, None, "X[1]")
    for array in blocks.read(1):
        assert type(array) is np.ndarray
        assert array.base is None


def test_a_single_column_and_text_targets(save):
    text = np.where(Y > 40, "high", "low")
    blocks = open_npy(save(X[:, 0]), save(text, "y.npy"), None, None)
    assert blocks.feature_names == ("X",)
    found = joined(blocks)
    assert found[0].shape == (11, 1)
    assert found[1].tolist() == text.tolist()


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_rows_wider_than_a_block(save, monkeypatch, rows):
    monkeypatch.setattr(npy_blocks, "BLOCK_BYTES", 1)
    blocks = open_npy(save(X[:rows]), None, None, "X[1]")
    assert len(blocks) == rows
    np.testing.assert_array_equal(joined(blocks)[1], X[:rows, 1])


def test_refusals(save, tmp_path):
    path, targets = save(X), save(Y, "y.npy")
    assert refusal(path, None, None, None) == (
        f"{path}: `data.target` must name a column, or `data.target_path` a file, but got neither"
    )
    assert "must be among 'X[0]', 'X[1]', 'X[2]', 'X[3]', but got 'X[4]'" in refusal(path, None, None, "X[4]")
    assert "`data.features` must be among" in refusal(path, targets, ["x"], None)
    assert "must not hold the target, but got 'X[0]'" in refusal(path, None, ["X[0]"], "X[0]")
    short = save(Y[:5], "short.npy")
    assert refusal(path, short, None, None) == f"{short}: must have shape (11,) like {path}, but got (5,)"
    cube = save(np.zeros((2, 2, 2)), "cube.npy")
    assert (
        refusal(cube, targets, None, None) == f"{cube}: must hold an array of shape (N, d) or (N,), but got (2, 2, 2)"
    )
    fortran = save(np.asfortranarray(X), "fortran.npy")
    assert "must hold its rows one after the other (C order)" in refusal(fortran, targets, None, None)
    words = save(np.array([["a"]]), "words.npy")
    assert refusal(words, targets, None, None) == f"{words}: must hold real numbers, but got dtype <U1"
    empty = save(np.zeros((0, 3)), "empty.npy")
    assert "must hold" in refusal(empty, None, None, "X[0]")


@pytest.mark.parametrize(
    "content", [b"", b"not an array", b"\x93NUMPY\x01\x00\x10\x00{'descr': 'f4'}  "], ids=["empty", "text", "header"]
)
def test_a_damaged_file(tmp_path, content):
    path = tmp_path / "X.npy"
    path.write_bytes(content)
    assert refusal(path, None, None, "X[0]").startswith(f"{path}: must be a NumPy array, but got: ")


def test_a_truncated_file_and_one_of_objects(save, tmp_path):
    path = save(X)
    path.write_bytes(path.read_bytes()[:-10])
    assert refusal(path, None, None, "X[0]").startswith(f"{path}: must be a NumPy array, but got: ")
    objects = save(np.array([{}], dtype=object), "objects.npy", allow_pickle=True)
    assert refusal(objects, None, None, "X").startswith(f"{objects}: must be a NumPy array, but got: ")


def test_a_missing_file(tmp_path):
    with pytest.raises(OSError, match="none"):
        open_npy(tmp_path / "none.npy", None, None, "X[0]")
