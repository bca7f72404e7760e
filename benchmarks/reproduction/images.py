"""The first images of an idx data set, as a data set of its own."""

from __future__ import annotations

import struct
from pathlib import Path

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.data.formats.idx import TEST, TRAIN, read_idx

KINDS = {"images": "idx3", "labels": "idx1"}


def write_first(source: Path, target: Path, images: int, test_images: int) -> None:
    """Writes the first `images` training images of `source` to `target`, and the first test ones.

    Raises:
        UserError: `source` has no such files, or fewer images.
    """
    target.mkdir(exist_ok=True)
    for part, count in ((TRAIN, images), (TEST, test_images)):
        for kind, letters in KINDS.items():
            name = f"{part}-{kind}-{letters}-ubyte"
            found = read_idx(next(iter(source.glob(f"{name}*")), source / name))
            if len(found) < count:
                message = f"{len(found)} {kind}, but {count} are asked for"
                raise UserError(message, path=source)
            shape = (count, *found.shape[1:])
            header = struct.pack(f">2xBB{len(shape)}I", 8, len(shape), *shape)
            write_atomically(target / name, header + found[:count].tobytes())
