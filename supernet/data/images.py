"""Labelled images of two kinds: pixels in memory, and pictures in files."""

from __future__ import annotations

import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from compofa.common.console import note
from compofa.common.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

Positions = npt.NDArray[np.int64]
"""Positions of images in a data set, counted from 0."""

Labels = npt.NDArray[np.int64]
"""The class of each image, counted from 0."""


MOST_UNREADABLE = 100
"""How many unreadable pictures are left out before the data set counts as damaged."""


class UnreadableImage(Exception):
    """A picture cannot be decoded; the message names it and the reason."""


@dataclass
class UnreadablePictures:
    """The pictures that were left out. Each is reported once, and too many are an error.

    Attributes:
        limit: how many may be left out.
        tell: called with a message about each picture.
        seen: the messages so far.
    """

    limit: int = MOST_UNREADABLE
    tell: Callable[[str], None] = note
    seen: set[str] = field(default_factory=set)

    def add(self, message: str) -> None:
        """Adds and reports an unreadable picture, unless the same message was reported before.

        Raises:
            UserError: more than `limit` pictures are unreadable.
        """
        if message in self.seen:
            return
        self.seen.add(message)
        if len(self.seen) > self.limit:
            raise UserError(
                f"more than {self.limit} pictures cannot be read; the last one is {message}"
            )
        self.tell(f"left out, {len(self.seen)} so far: {message}")


@dataclass(frozen=True)
class PixelImages:
    """Small images of one size, in memory.

    Attributes:
        pixels: the images, uint8 [n, channels, height, width].
        labels: their labels, [n].
    """

    pixels: npt.NDArray[np.uint8]
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """None, because images in memory can be read equally fast in any order."""
        return None

    @cached_property
    def digest(self) -> str:
        """A hexadecimal digest of the images and labels."""
        return _digest(self.labels, np.array(self.pixels.shape), self.pixels)


class FileImages(ABC):
    """Pictures in files, of any size.

    Attributes:
        labels: the label of each picture, [n].
        groups: the number of the file in which each picture is, [n], if files contain several
            pictures, which are read faster together; else None.
    """

    labels: Labels
    groups: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, position: int) -> str:
        """The name of a picture in messages."""

    @abstractmethod
    def content(self, position: int) -> bytes:
        """The encoded content of a picture, such as that of a JPEG file.

        Raises:
            OSError: it cannot be read.
        """

    @property
    @abstractmethod
    def digest(self) -> str:
        """A hexadecimal digest of the list of pictures and their labels, without the pixels."""

    def open(self, position: int) -> Image:
        """Opens a picture: its header is read, but its pixels are not decoded yet.

        Raises:
            UnreadableImage: the file cannot be read, or is not a picture.
        """
        from PIL import Image

        try:
            return Image.open(io.BytesIO(self.content(position)))
        except Exception as error:
            # On damaged files, decoders may raise any kind of error.
            raise unreadable_image(self.name(position), error) from error


def unreadable_image(name: str, error: Exception) -> UnreadableImage:
    """An error about the picture `name`, out of what its decoder raised."""
    known = type(error).__name__ == "UnidentifiedImageError"
    reason = "it is not a picture" if known else str(error)
    return UnreadableImage(f"{name}: {reason or type(error).__name__}")


Images = PixelImages | FileImages
"""The images of a data set."""


@dataclass(frozen=True)
class Part:
    """Some of the images of a data set: the training, held-out or test images.

    Attributes:
        images: all images of the data set.
        positions: the positions of those in this part, [n].
    """

    images: Images
    positions: Positions

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def labels(self) -> Labels:
        """The labels of the images in this part, [n]."""
        return self.images.labels[self.positions]

    def sample(self, count: int, seed: int = 0) -> Part:
        """A random sample of at most `count` images."""
        rng = np.random.default_rng(seed)
        return Part(self.images, np.sort(rng.permutation(self.positions)[:count]))


def listing_digest(names: list[str], labels: Labels) -> str:
    """A hexadecimal digest of a list of files and their labels."""
    return _digest(labels, np.frombuffer("\n".join(names).encode(), dtype=np.uint8))


def _digest(*arrays: npt.NDArray[np.int64] | npt.NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
