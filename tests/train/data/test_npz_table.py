import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.train.data.npz_table import read_npz
from jmc.train.data.tables import DataError


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads arrays, or the bytes of an archive, as the file t.npz in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path.joinpath("t.npz").relative_to(tmp_path)

    def read_arrays(arrays, features=None, target=None, task=None):
        path.write_bytes(arrays if isinstance(arrays, bytes) else archive(**arrays))
        return read_npz(path, features, target, task)

    return read_arrays


def archive(**arrays):
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def fault(read, arrays, **keys):
    with pytest.raises(DataError) as caught:
        read(arrays, **keys)
    message = str(caught.value)
    assert "\n" not in message
    return message


X = np.arange(6.0).reshape(3, 2)
Y = np.array([0.5, 1.5, 2.5])


def test_default_keys(read):
    table = read({"X": X.astype(np.float32), "y": Y, "other": np.array({}, dtype=object)})
    assert (table.name, table.feature_names, table.target_name) == ("t", ("X[0]", "X[1]"), "y")
    assert table.X.dtype == np.float64
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.target, Y)


def test_keys_are_joined_column_by_column(read):
    table = read({"u": np.array([1, 2, 3], np.int8), "v": X, "z": Y > 1}, features=["v", "u"], target="z")
    assert table.feature_names == ("v[0]", "v[1]", "u")
    np.testing.assert_array_equal(table.X, [[0, 1, 1], [2, 3, 2], [4, 5, 3]])
    assert table.target.dtype == bool


def test_text_targets(read):
    assert read({"X": X, "y": np.array(["cat", "dog ", "cat"])}).target == ["cat", "dog", "cat"]
    message = fault(read, {"X": X, "y": np.array(["cat", "", "cat"])})
    assert message == "t.npz: row 1 of `y`: must be a finite number or text, but got an empty cell"


def with_value(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "`data.target` must be among 'X', but got 'y'"),
        ({"X": X, "Y": Y}, "`data.target` must be among 'X', 'Y', but got 'y'"),
        ({"X_": X, "y": Y}, "`data.features` must be among 'X_', 'y', but got 'X'; did you mean 'X_'?"),
        ({"X": X, "y": Y[:, None]}, "`y` must have shape (N,), but got (3, 1)"),
        ({"X": X, "y": np.array(1.0)}, "`y` must have shape (N,), but got ()"),
        ({"X": X[None], "y": Y}, "`X` must have shape (N, d) or (N,), but got (1, 3, 2)"),
        ({"X": X, "y": Y[:2]}, "`X` must have 2 rows like `y`, but got 3"),
        ({"X": X * 1j, "y": Y}, "`X` must hold real numbers, but got dtype complex128"),
        ({"X": X.astype("U"), "y": Y}, "`X` must hold real numbers, but got dtype <U32"),
        ({"X": X, "y": Y.astype("S")}, "`y` must hold real numbers, but got dtype |S32"),
        ({"X": X, "y": Y.astype("m8[s]")}, "`y` must hold real numbers, but got dtype timedelta64[s]"),
        ({"X": with_value(X, (2, 1), np.nan), "y": Y}, "row 2 of `X[1]` must be finite, but got nan"),
        ({"X": with_value(X, (0, 0), -np.inf), "y": Y}, "row 0 of `X[0]` must be finite, but got -inf"),
        ({"X": X, "y": with_value(Y, 1, np.nan)}, "row 1 of `y` must be finite, but got nan"),
        (
            {"X": X, "y": Y.astype(object)},
            "`y` must be a readable array, but got: Object arrays cannot be loaded when allow_pickle=False",
        ),
    ],
)
def test_faults_of_the_arrays(read, arrays, message):
    assert fault(read, arrays) == f"t.npz: {message}"


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="long double is double here")
def test_too_large_for_double_precision(read):
    message = fault(read, {"X": X, "y": np.longdouble("1e400") * Y.astype(np.longdouble)})
    assert message == "t.npz: row 0 of `y` must be finite, but got inf"


def test_the_target_is_no_feature(read):
    message = fault(read, {"X": X, "y": Y}, features=["X", "y"])
    assert message == "t.npz: `data.features` must not hold the target, but got 'y'"


@pytest.mark.parametrize("content", [b"", b"a,y\n1,2\n", archive(X=X, y=Y)[:-30]])
def test_not_an_archive(read, content):
    message = fault(read, content)
    assert message == "t.npz: must be a NumPy archive, but it is damaged or of another kind"


def test_an_array_too_large_for_memory(read):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50, 4)})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("X.npy", header.getvalue())
        file.writestr("y.npy", header.getvalue())
    assert fault(read, content.getvalue()).startswith("t.npz: `X` must be a readable array, but got: ")


def test_a_zip_bomb_is_refused_by_its_headers(read):
    """254 KB that unfold to 256 MB, of which nothing is allocated."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**28,)})
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("X.npy", header.getvalue() + bytes(2**28))
        file.writestr("y.npy", zipfile.ZipFile(io.BytesIO(archive(y=Y))).read("y.npy"))
    assert 200_000 < len(content.getvalue()) < 300_000
    tracemalloc.start()
    try:
        assert fault(read, content.getvalue()) == "t.npz: `X` must have 3 rows like `y`, but got 268435456"
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_more_than_the_memory_is_refused(read, monkeypatch):
    monkeypatch.setattr("jmc.train.data.npz_table.memory_bytes", lambda: 71)
    assert fault(read, {"X": X, "y": Y}) == "t.npz: must fit into memory, 71 bytes, but got 72 bytes"


@pytest.mark.parametrize("change", [-8, 8])
def test_a_header_that_does_not_tell_the_truth(read, change):
    array = zipfile.ZipFile(io.BytesIO(archive(X=X))).read("X.npy")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("X.npy", array[:change] if change < 0 else array + bytes(change))
        file.writestr("y.npy", zipfile.ZipFile(io.BytesIO(archive(y=Y))).read("y.npy"))
    size = len(array)
    assert fault(read, content.getvalue()) == (
        f"t.npz: `X` must be a readable array, but got: {size + change} bytes for shape (3, 2) of float64, "
        f"which takes {size}"
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_refused_or_harmless(read, data):
    content = bytearray(archive(X=X, y=Y))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    try:
        table = read(bytes(content))
    except DataError as error:
        message = str(error)
    else:
        message = "t.npz: read"
        np.testing.assert_array_equal(table.X, X)
        np.testing.assert_array_equal(table.target, Y)
    assert message.startswith("t.npz: ")
    assert "\n" not in message
