import io
import shutil
import subprocess
import tracemalloc
import zipfile

import ml_dtypes
import numpy as np
import pytest

from jmc.train.persistence import checkpoint, storage
from jmc.train.persistence.checkpoint import ABOUT, ARRAYS, DamagedError

STEP = 12
SAVED = {
    "parameters/W1": np.arange(6, dtype=np.float32).reshape(2, 3),
    "parameters/b1": np.array([0.5, -0.0], np.float32),
    "optimizer/0/count": np.int32(7),
    "progress/loss_sum": np.float64(0.1),
    "draws/key": np.array([0, 3], np.uint32),
    "empty": np.zeros((0, 5)),
}
TEMPLATE = {name: (array.shape, array.dtype) for name, array in SAVED.items()}
ABOUT_IT = {"config": {"model": {"widths": [2]}}, "name": "∂"}


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path, STEP, SAVED, ABOUT_IT, keep=3)
    return tmp_path


def path_of(folder, step=STEP):
    return folder / f"step-{step:012d}"


def load(folder, template=TEMPLATE, step=STEP):
    return checkpoint.read(checkpoint.verify(folder, step), template)


def vouched(folder, step=STEP):
    """Makes the sums those of the files as they are."""
    path = path_of(folder, step)
    files = {name: (path / name).read_bytes() for name in (ARRAYS, ABOUT)}
    storage.write_folder(
        path, {name: (lambda sink, content=content: sink.write(content)) for name, content in files.items()}
    )


class TestSaving:
    def test_all_comes_back_to_the_bit(self, folder):
        found = load(folder)
        assert [*found] == [*SAVED]
        for name, array in SAVED.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()
        about = checkpoint.verify(folder, STEP).about
        assert about == {"format": 1, "step": STEP, **ABOUT_IT}

    def test_numpy_and_sha256sum_read_it(self, folder):
        with np.load(path_of(folder) / ARRAYS, allow_pickle=False) as archive:
            np.testing.assert_array_equal(archive["parameters/W1"], SAVED["parameters/W1"])
        if shutil.which("sha256sum"):
            assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=path_of(folder)).returncode == 0

    def test_bfloat16_is_kept_as_float32(self, tmp_path):
        values = np.array([1.0, -0.0, 2.0**-133, 3.38e38], ml_dtypes.bfloat16)
        checkpoint.save(tmp_path, 1, {"w": values}, {}, keep=1)
        found = load(tmp_path, {"w": (values.shape, values.dtype)}, step=1)["w"]
        assert found.dtype == np.float32
        assert found.astype(ml_dtypes.bfloat16).tobytes() == values.tobytes()

    def test_an_array_in_another_order_is_kept_row_by_row(self, tmp_path):
        turned = np.arange(6.0).reshape(2, 3).T
        checkpoint.save(tmp_path, 1, {"w": turned}, {}, keep=1)
        np.testing.assert_array_equal(load(tmp_path, {"w": ((3, 2), turned.dtype)}, step=1)["w"], turned)

    def test_the_newest_are_kept(self, tmp_path):
        for step in (5, 10, 15, 1_000_000):
            checkpoint.save(tmp_path, step, {"w": np.float32(step)}, {}, keep=2)
        (tmp_path / "step-9").mkdir()
        (tmp_path / "notes").write_text("mine")
        assert checkpoint.steps(tmp_path) == [1_000_000, 15]
        assert load(tmp_path, {"w": ((), np.dtype(np.float32))}, step=15)["w"] == 15

    def test_the_same_step_again(self, folder):
        checkpoint.save(folder, STEP, SAVED | {"parameters/b1": np.ones(2, np.float32)}, {}, keep=1)
        np.testing.assert_array_equal(load(folder)["parameters/b1"], np.ones(2))
        assert [path.name for path in folder.iterdir()] == [path_of(folder).name]

    def test_of_no_folder_there_are_none(self, tmp_path):
        assert checkpoint.steps(tmp_path / "none") == []


class TestDamage:
    """The smallest change of any file of a checkpoint is seen."""

    @pytest.mark.parametrize("name", [ARRAYS, ABOUT, storage.SUMS])
    def test_any_byte(self, folder, name):
        path = path_of(folder) / name
        content = path.read_bytes()
        for at in range(len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :])
            with pytest.raises(DamagedError):
                checkpoint.verify(folder, STEP)
        path.write_bytes(content)
        checkpoint.verify(folder, STEP)

    @pytest.mark.parametrize("name", [ARRAYS, ABOUT, storage.SUMS])
    def test_any_length(self, folder, name):
        path = path_of(folder) / name
        content = path.read_bytes()
        for length in range(len(content)):
            path.write_bytes(content[:length])
            with pytest.raises(DamagedError):
                checkpoint.verify(folder, STEP)
        path.write_bytes(content + b"\0")
        with pytest.raises(DamagedError):
            checkpoint.verify(folder, STEP)

    @pytest.mark.parametrize("name", [ARRAYS, ABOUT, storage.SUMS])
    def test_a_file_that_is_none(self, folder, name):
        (path_of(folder) / name).unlink()
        (path_of(folder) / name).mkdir()
        with pytest.raises(DamagedError, match=f"{name} cannot be read"):
            checkpoint.verify(folder, STEP)

    def test_a_folder_that_is_none(self, folder):
        shutil.rmtree(path_of(folder))
        path_of(folder).write_text("")
        with pytest.raises(DamagedError, match="cannot be read"):
            checkpoint.verify(folder, STEP)

    def test_another_step_by_its_name(self, folder):
        path_of(folder).rename(path_of(folder, 13))
        with pytest.raises(DamagedError, match=r"about.json must be about step 13, but got 12"):
            checkpoint.verify(folder, 13)

    @pytest.mark.parametrize("about", ["", "[]", "[" * 10**5, '{"format": 2, "step": 12}', "{}", '"format"', "\udcff"])
    def test_what_it_is_about_cannot_be_read(self, folder, about):
        (path_of(folder) / ABOUT).write_bytes(about.encode(errors="surrogateescape"))
        vouched(folder)
        with pytest.raises(DamagedError, match=r"about\.json (cannot be read|must be of format 1)"):
            checkpoint.verify(folder, STEP)


class TestUnexpected:
    """Bytes that are as they were written, but not what the config asks for: nothing is allocated for them."""

    def refused(self, folder, template=TEMPLATE):
        found = checkpoint.verify(folder, STEP)
        tracemalloc.start()
        try:
            with pytest.raises(DamagedError) as caught:
                checkpoint.read(found, template)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()
        return str(caught.value)

    @pytest.mark.parametrize(
        ("template", "message"),
        [
            (
                {"parameters/W1": ((2, 4), np.dtype("f4"))},
                "`parameters/W1` must be float32 (2, 4), but got float32 (2, 3)",
            ),
            (
                {"parameters/W1": ((3, 2), np.dtype("f4"))},
                "`parameters/W1` must be float32 (3, 2), but got float32 (2, 3)",
            ),
            (
                {"parameters/b1": ((2, 1), np.dtype("f4"))},
                "`parameters/b1` must be float32 (2, 1), but got float32 (2,)",
            ),
            ({"parameters/b1": ((2,), np.dtype("f8"))}, "`parameters/b1` must be float64 (2,), but got float32 (2,)"),
            ({"draws/key": ((2,), np.dtype("i4"))}, "`draws/key` must be int32 (2,), but got uint32 (2,)"),
            ({"parameters/W2": ((2,), np.dtype("f4"))}, "arrays.npz must hold `parameters/W2`"),
        ],
    )
    def test_shapes_and_dtypes_and_names(self, folder, template, message):
        assert self.refused(folder, TEMPLATE | template) == message

    def test_a_name_too_many(self, folder):
        few = {name: kind for name, kind in TEMPLATE.items() if name != "empty"}
        assert self.refused(folder, few) == "arrays.npz must not hold `empty`"

    def rewrite(self, folder, members, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(path_of(folder) / ARRAYS, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
        vouched(folder)

    def members(self, folder):
        with zipfile.ZipFile(path_of(folder) / ARRAYS) as archive:
            return [(name, archive.read(name)) for name in archive.namelist()]

    def test_a_zip_bomb(self, folder):
        """254 KB that unfold to 256 MB."""
        members = dict(self.members(folder))
        members["parameters/W1.npy"] += bytes(2**28)
        self.rewrite(folder, members.items(), zipfile.ZIP_DEFLATED)
        assert 200_000 < (path_of(folder) / ARRAYS).stat().st_size < 300_000
        assert self.refused(folder) == "`parameters/W1` must take 152 bytes, uncompressed, but got 268435608"

    def test_a_header_that_promises_terabytes(self, folder):
        header = io.BytesIO()
        promise = {"descr": "<f4", "fortran_order": False, "shape": (2, 3 * 10**12)}
        np.lib.format.write_array_header_1_0(header, promise)
        members = dict(self.members(folder)) | {"parameters/W1.npy": header.getvalue() + bytes(24)}
        self.rewrite(folder, members.items())
        expected = "`parameters/W1` must be float32 (2, 3), but got float32 (2, 3000000000000)"
        assert self.refused(folder) == expected

    def test_an_array_by_columns(self, folder):
        members = dict(self.members(folder))
        members["parameters/W1.npy"] = members["parameters/W1.npy"].replace(
            b"'fortran_order': False", b"'fortran_order': True "
        )
        self.rewrite(folder, members.items())
        assert self.refused(folder) == "arrays.npz must hold arrays row by row"

    def test_an_array_that_is_shorter_than_its_header_says(self, folder):
        members = dict(self.members(folder))
        members["parameters/W1.npy"] = members["parameters/W1.npy"][:-4]
        self.rewrite(folder, members.items())
        assert self.refused(folder) == "`parameters/W1` must take 152 bytes, uncompressed, but got 148"

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_an_array_twice(self, folder):
        members = self.members(folder)
        self.rewrite(folder, [*members, members[0]])
        assert self.refused(folder) == "arrays.npz must hold each array once"

    @pytest.mark.parametrize("content", [b"", b"PK\5\6" + bytes(18), b"PK\3\4" * 1000, b"\x93NUMPY\1\0" + bytes(300)])
    def test_no_archive(self, folder, content):
        (path_of(folder) / ARRAYS).write_bytes(content)
        vouched(folder)
        assert self.refused(folder).startswith(("arrays.npz cannot be read: ", "arrays.npz must hold "))

    @pytest.mark.parametrize("at", ["header", "magic"])
    def test_no_header(self, folder, at):
        members = dict(self.members(folder))
        array = members["parameters/W1.npy"]
        members["parameters/W1.npy"] = (
            b"\x93NUMPX" + array[6:] if at == "magic" else array[:10] + b"x" * 118 + array[128:]
        )
        self.rewrite(folder, members.items())
        assert self.refused(folder).startswith("arrays.npz cannot be read: ")

    def test_a_pickle(self, folder):
        with zipfile.ZipFile(path_of(folder) / ARRAYS, "w") as archive, archive.open("w.npy", "w") as member:
            np.lib.format.write_array(member, np.array([{}], object))
        vouched(folder)
        assert self.refused(folder, {"w": ((1,), np.dtype("f4"))}) == "`w` must be float32 (1,), but got object (1,)"


def test_of_no_use_any_more(folder):
    for _ in range(2):
        checkpoint.save(folder, STEP, SAVED, {}, keep=3)
        checkpoint.set_aside(folder, STEP)
        assert checkpoint.steps(folder) == []
        assert [path.name for path in folder.iterdir()] == [f"{path_of(folder).name}.damaged"]


def test_about_is_strict_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        checkpoint.save(tmp_path, 1, {}, {"loss": float("nan")}, keep=1)
