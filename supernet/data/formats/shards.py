"""WebDataset shards: tar files that contain, for each picture `KEY.jpg`, its label in `KEY.cls`.

The headers of the shards are read once. From then on any picture can be read by its position in
them, so that splitting, shuffling and resuming work as for all other images. The order of training
keeps pictures of the same shards together (see `order`), so that a shard is read while it is in the
system's cache.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from compofa.common.errors import UserError, file_error
from compofa.supernet.data.formats.folder import SUFFIXES
from compofa.supernet.data.images import FileImages, listing_digest

LABEL = ".cls"

LONGEST_LABEL = 20
"""The most bytes that are read of a label."""


@dataclass(frozen=True)
class ShardEntry:
    """A picture in a shard.

    Attributes:
        shard: the number of the shard.
        start: the first byte of the picture in it.
        size: the number of bytes.
        label: the number of the picture's class.
    """

    shard: int
    start: int
    size: int
    label: int


class ShardImages(FileImages):
    """The pictures of several shards."""

    def __init__(self, shards: Sequence[Path]) -> None:
        """Reads the headers of all `shards`.

        Raises:
            UserError: a shard is damaged, or has no pictures with labels.
        """
        self.shards = tuple(shards)
        places = [place for number, path in enumerate(shards) for place in _scan(number, path)]
        self.labels = np.array([place.label for place in places], dtype=np.int64)
        self._numbers = np.array([place.shard for place in places], dtype=np.int64)
        self.groups = self._numbers
        self._places = np.array([(place.start, place.size) for place in places], dtype=np.int64)

    def name(self, position: int) -> str:
        """The path of the picture's shard, and the position in it."""
        return f"{self._shard(position)} at byte {self._places[position, 0]}"

    def content(self, position: int) -> bytes:
        """The content of the picture's file."""
        start, size = map(int, self._places[position])
        with self._shard(position).open("rb") as file:
            file.seek(start)
            return file.read(size)

    @cached_property
    def digest(self) -> str:
        """A digest of the names of the shards, the positions in them and the labels."""
        names = [path.name for path in self.shards]
        return listing_digest(names, np.concatenate([self.labels, self._places.ravel()]))

    def _shard(self, position: int) -> Path:
        return self.shards[int(self._numbers[position])]


def _scan(number: int, path: Path) -> Iterator[ShardEntry]:
    """The pictures of one shard, in which the members of a picture follow each other.

    Raises:
        UserError: the shard is damaged, or has no pictures with labels.
    """
    any_picture = False
    try:
        # "r:" refuses compressed files, in which a picture cannot be read by its position.
        with tarfile.open(path, "r:") as tar:
            for key, members in _samples(tar):
                yield _place(number, path, key, members, tar)
                any_picture = True
    except tarfile.TarError:
        raise UserError("it is a damaged or compressed tar file", path=path) from None
    except OSError as error:
        raise file_error(error, path, "cannot read the shard") from None
    if not any_picture:
        raise UserError("it is a shard without pictures", path=path)


def _samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Groups members by key, which is their name up to the first dot after the last slash."""
    key, members = "", dict[str, tarfile.TarInfo]()
    for member in tar:
        folder, slash, name = member.name.rpartition("/")
        # macOS adds hidden files to archives, such as `._name.jpg`, which are not pictures.
        if not member.isfile() or name.startswith("."):
            continue
        stem, dot, suffix = name.partition(".")
        if members and folder + slash + stem != key:
            yield key, members
            members = {}
        key = folder + slash + stem
        members[(dot + suffix).lower()] = member
    if members:
        yield key, members


def _place(
    number: int, path: Path, key: str, members: dict[str, tarfile.TarInfo], tar: tarfile.TarFile
) -> ShardEntry:
    picture = next((member for suffix, member in members.items() if suffix in SUFFIXES), None)
    label = members.get(LABEL)
    if picture is None or label is None:
        missing = f"no label {key}{LABEL}" if label is None else "no picture beside its label"
        raise UserError(f"{key} has {missing}", path=path)
    file = tar.extractfile(label)
    text = b"" if file is None else file.read(LONGEST_LABEL)
    if not text.strip().isdigit():
        raise UserError(f"the label of {key} is not a whole number: {text!r}", path=path)
    return ShardEntry(number, picture.offset_data, picture.size, int(text))
