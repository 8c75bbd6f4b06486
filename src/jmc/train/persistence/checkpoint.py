"""A checkpoint: all arrays that training needs to go on between two steps, in a folder that vouches for its bytes.

    checkpoints/step-000000001000/  arrays.npz   parameters/W1, optimizer/0/trace/W1, …, by these names
                                    about.json   the step, and the config, data and environment that it comes from
                                    SHA256SUMS   the hashes of both, as `sha256sum -c` reads them

Nothing of it is trusted: its bytes are hashed first, then the names, shapes and dtypes in the archive's headers must be
the expected ones, and only then is an array read. Nothing is unpickled or decompressed.
"""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from jmc.train.persistence import storage
from jmc.train.persistence.storage import DamagedError

ARRAYS, ABOUT = "arrays.npz", "about.json"
FORMAT = 1
_LARGEST_ABOUT = 2**26

Template = Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]]
"""The shape and dtype of every array, by its name."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk whose bytes are those that were written."""

    path: Path
    step: int
    about: Mapping[str, Any]


def stored_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype that an array has in a .npz, which knows no bfloat16: float32 holds its values exactly."""
    return dtype if dtype.kind in "fiub" else np.dtype(np.float32)


def storable(array: Any) -> np.ndarray:
    """The array as it is stored, on the host, row by row."""
    host = np.asarray(array)
    return np.asarray(host, stored_dtype(host.dtype), order="C")


def write_npz(sink: Any, arrays: Mapping[str, Any]) -> None:
    """Writes the arrays by name as an uncompressed .npz."""
    with zipfile.ZipFile(sink, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, storable(array), allow_pickle=False)


def save(folder: Path, step: int, arrays: Mapping[str, Any], about: Mapping[str, Any], keep: int) -> None:
    """Writes the checkpoint of ``step`` below ``folder``, then drops all but the newest ``keep``. Raises OSError.

    ``arrays`` are read here, whatever the device that holds them, and must not change meanwhile; ``about`` must be
    JSON.
    """
    text = json.dumps({"format": FORMAT, "step": step, **about}, indent=1, allow_nan=False) + "\n"
    storage.make_folder(folder)
    storage.write_folder(
        _path(folder, step),
        {ARRAYS: lambda sink: write_npz(sink, arrays), ABOUT: lambda sink: sink.write(text.encode())},
    )
    for old in steps(folder)[keep:]:
        storage.remove_folder(_path(folder, old))


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint below ``folder``, whole or not, the last one first."""
    if not folder.is_dir():
        return []
    found = (re.fullmatch(r"step-(\d{12})", path.name) for path in folder.iterdir())
    return sorted((int(match[1]) for match in found if match), reverse=True)


def verify(folder: Path, step: int) -> Checkpoint:
    """The checkpoint of ``step``, once its bytes are known to be those that were written. Raises DamagedError."""
    path = _path(folder, step)
    storage.verify_folder(path, {ARRAYS, ABOUT})
    try:
        with (path / ABOUT).open("rb") as file:
            about = json.loads(file.read(_LARGEST_ABOUT))
    except (OSError, ValueError, RecursionError):
        raise DamagedError(f"{ABOUT} cannot be read") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DamagedError(f"{ABOUT} must be of format {FORMAT}")
    if about.get("step") != step:
        raise DamagedError(f"{ABOUT} must be about step {step}, but got {about.get('step')!r}")
    return Checkpoint(path, step, about)


def read(checkpoint: Checkpoint, template: Template) -> dict[str, np.ndarray]:
    """The arrays, after the headers of all of them were found to be as ``template`` says.

    Raises DamagedError otherwise, before anything is allocated.
    """
    try:
        with zipfile.ZipFile(checkpoint.path / ARRAYS) as archive:
            _check(archive, template)
            arrays = {}
            for name in template:
                with archive.open(f"{name}.npy") as file:
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
            return arrays
    except DamagedError:
        raise
    except Exception as error:  # damage that the hashes vouch for shows as almost anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise DamagedError(f"{ARRAYS} cannot be read: {reason}") from None


def set_aside(folder: Path, step: int) -> None:
    """Renames a checkpoint that is of no use, so that it is not met again; an older one so renamed is dropped."""
    path = _path(folder, step)
    aside = path.with_name(f"{path.name}.damaged")
    storage.remove_folder(aside)
    storage.rename(path, aside)


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:012d}"


def _check(archive: zipfile.ZipFile, template: Template) -> None:
    members = archive.infolist()
    _check_names([member.filename for member in members], [f"{name}.npy" for name in template])
    for member in members:
        name = member.filename.removesuffix(".npy")
        shape, dtype = template[name]
        dtype = stored_dtype(dtype)
        with archive.open(member) as file:
            header, found_shape, found_dtype = _header(file)
        if (found_shape, found_dtype) != (shape, dtype):
            raise DamagedError(f"`{name}` must be {dtype} {shape}, but got {found_dtype} {found_shape}")
        size = header + dtype.itemsize * int(np.prod(shape, dtype=object))
        if (member.compress_type, member.file_size, member.compress_size) != (zipfile.ZIP_STORED, size, size):
            raise DamagedError(f"`{name}` must take {size} bytes, uncompressed, but got {member.file_size}")


def _check_names(found: Sequence[str], expected: Sequence[str]) -> None:
    odd = sorted({*found} ^ {*expected})
    if odd:
        what = "must hold" if odd[0] in expected else "must not hold"
        raise DamagedError(f"{ARRAYS} {what} `{odd[0].removesuffix('.npy')}`")
    if len(found) > len(expected):
        raise DamagedError(f"{ARRAYS} must hold each array once")


def _header(file: IO[bytes]) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """The length of a .npy header, and the shape and dtype that it gives."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise DamagedError(f"{ARRAYS} must be of version 1.0 of NumPy's format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran_order:
        raise DamagedError(f"{ARRAYS} must hold arrays row by row")
    return file.tell(), shape, dtype
