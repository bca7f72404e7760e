"""Types of the arrays that modules exchange, and a safe reader of NumPy's archives."""

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
    """Reads the arrays of an archive, by name, without running anything that it contains.

    Args:
        path: an archive that `numpy.savez` wrote.
        what: what messages call the file, as in "the predictor".
        largest: the most bytes that the archive may have, packed or unpacked.

    Raises:
        UserError: the file cannot be read, is too large, damaged or encrypted, or is not an
            archive of plain arrays.
    """
    too_large = f"{what} holds more than {largest:,} bytes"
    raw = read_bounded(path, largest, what, too_large=too_large)
    try:
        if _unpacked(raw) <= largest:
            with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            # NumPy returns the bytes of a member that is not an array instead of refusing it.
            if all(isinstance(each, np.ndarray) for each in arrays.values()):
                return arrays
            raise ValueError("a member is not an array")
    except Exception as error:
        # zipfile, zlib and NumPy raise many kinds of errors on such files: RuntimeError for an
        # encrypted member, NotImplementedError for an unknown compression, MemoryError for a
        # shape that is far too large.
        hint = "it should be a file that numpy.savez wrote"
        message = f"{what} is not an archive of plain arrays, or it is damaged"
        raise UserError(message, path=path, hint=hint) from error
    raise UserError(too_large, path=path)


def _unpacked(raw: bytes) -> int:
    """How many bytes the archive would have unpacked, according to its directory."""
    import zipfile  # Most importers of this module never read an archive.

    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return sum(part.file_size for part in archive.infolist())
