"""The arrays of numbers that travel between modules, and reading them from NumPy's archives."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.common.files import read_bounded

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def read_npz(path: Path, what: str, largest: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays in an archive, by name; nothing in it is run.

    Args:
        path: the file.
        what: names it in messages, as in "the predictor".
        largest: bytes, packed or unpacked; more is refused.

    Raises:
        UserError: it cannot be read, is too large, damaged, encrypted, or no archive of plain
            arrays.
    """
    too_large = f"{what} holds more than {largest:,} bytes"
    raw = read_bounded(path, largest, what, too_large=too_large)
    try:
        if _unpacked(raw) <= largest:
            with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            # Numpy hands over members of any other kind as they stand.
            if all(isinstance(each, np.ndarray) for each in arrays.values()):
                return arrays
            raise ValueError("a member is no array")
    except Exception as error:
        # On damaged files zipfile, zlib and numpy raise whatever they stumble over: RuntimeError
        # for a password, NotImplementedError for a compression, MemoryError for a made-up shape.
        hint = "it should be a file of numpy.savez"
        message = f"{what} is not an archive of plain arrays, or a damaged one"
        raise UserError(message, path=path, hint=hint) from error
    raise UserError(too_large, path=path)


def _unpacked(raw: bytes) -> int:
    """How many bytes an archive says that it holds."""
    import zipfile  # nobody else who imports this module needs it

    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return sum(part.file_size for part in archive.infolist())
