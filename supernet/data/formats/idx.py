"""MNIST's format: a magic number, sizes, then bytes (yann.lecun.com/exdb/mnist, "file formats").

Fashion-MNIST, KMNIST and others have it too. Files may be compressed with gzip.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError
from compofa.common.files import bounded, read_bounded
from compofa.supernet.data.images import PixelImages

LARGEST = 4 * 1024**3
"""Bytes when unpacked. Larger files are refused."""

TRAIN, TEST = "train", "t10k"
"""The prefixes of the names of training files and test files."""


def has_idx(folder: Path) -> bool:
    """Whether `folder` has training images in this format."""
    return _find(folder, TRAIN, "images") is not None


def idx_images(folder: Path, part: str) -> PixelImages | None:
    """Reads the images of one part, TRAIN or TEST; None if the folder has none.

    Raises:
        UserError: a file is missing or damaged, or images and labels do not belong together.
    """
    files = {kind: _find(folder, part, kind) for kind in ("images", "labels")}
    images, labels = files["images"], files["labels"]
    if images is None and labels is None:
        return None
    if images is None or labels is None:
        missing = "labels" if labels is None else "images"
        raise UserError(f"there is no file {part}-{missing}-idx*-ubyte", path=folder)
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or classes.ndim != 1 or len(pixels) != len(classes):
        shapes = f"{pixels.shape} and {classes.shape}"
        raise UserError(f"images and labels do not belong together: {shapes}", path=images)
    return PixelImages(pixels[:, None], classes.astype(np.int64))


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Reads the array of bytes in an idx file.

    Raises:
        UserError: the file cannot be read, is damaged, or contains other numbers than bytes.
    """
    too_large = f"the file has more than {LARGEST:,} bytes"
    raw = read_bounded(path, LARGEST, "the images", too_large=too_large)
    # The magic number of gzip; some people unpack the files and keep their names.
    if raw.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(io.BytesIO(raw)) as file:
                raw = bounded(file, path, LARGEST, too_large)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise UserError("the file is truncated or damaged", path=path) from None
    # The third byte is the type of the numbers; 8 stands for unsigned bytes.
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != 8:
        raise UserError("it is not an idx file of bytes", path=path)
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise UserError("the file is truncated or damaged", path=path)
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if len(raw) - start != math.prod(shape):
        size = "x".join(map(str, shape))
        message = f"{len(raw) - start:,} bytes of data follow the header, which says {size}"
        raise UserError(message, path=path)
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)


def _find(folder: Path, part: str, kind: str) -> Path | None:
    """The first file of a part and kind, whether it has `-` or `.` before `idx`."""
    return min(folder.glob(f"*{part}-{kind}[-.]idx[13]-ubyte*"), default=None)
