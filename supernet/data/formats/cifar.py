"""CIFAR-10 and CIFAR-100 in their binary version (cs.toronto.edu/~kriz/cifar.html).

A record consists of one label (in CIFAR-100 a coarse one, then a fine one) and 3072 bytes: 32x32
pixels row by row, first all of red, then green, then blue.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compofa.common.errors import UserError
from compofa.common.files import read_bounded
from compofa.supernet.data.images import PixelImages

PIXELS = 3 * 32 * 32

LARGEST = 1024**3
"""Bytes. Larger files are refused; the published ones have at most 154 MB."""

_FILES = {
    "cifar10": ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]),
    "cifar100": (["train.bin"], ["test.bin"]),
}
_LABELS = {"cifar10": 1, "cifar100": 2}


def which_cifar(folder: Path) -> str | None:
    """The kind of data set in `folder`: cifar10, cifar100, or None for neither."""
    for kind, (training, _) in _FILES.items():
        if (folder / training[0]).is_file():
            return kind
    return None


def cifar_images(folder: Path, kind: str) -> tuple[PixelImages, PixelImages]:
    """Reads the training images and the test images; CIFAR-100 gets its fine labels.

    Args:
        folder: the folder of the files.
        kind: cifar10 or cifar100.

    Raises:
        UserError: a file is missing or damaged.
    """
    training, test = _FILES[kind]
    return _read(folder, training, _LABELS[kind]), _read(folder, test, _LABELS[kind])


def _read(folder: Path, names: list[str], labels: int) -> PixelImages:
    records = []
    for name in names:
        path = folder / name
        too_large = f"the file has more than {LARGEST:,} bytes"
        raw = read_bounded(path, LARGEST, "the images", too_large=too_large)
        if not raw or len(raw) % (labels + PIXELS):
            raise UserError("the file is truncated or damaged", path=path)
        records.append(np.frombuffer(raw, dtype=np.uint8).reshape(-1, labels + PIXELS))
    joined = np.concatenate(records)
    pixels = np.ascontiguousarray(joined[:, labels:]).reshape(-1, 3, 32, 32)
    return PixelImages(pixels, joined[:, labels - 1].astype(np.int64))
