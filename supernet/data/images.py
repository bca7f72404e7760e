"""Labelled images of two kinds: pixels in memory, and pictures that are read one by one."""

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
"""Numbers of images, counted from 0."""

Labels = npt.NDArray[np.int64]
"""Numbers of classes, counted from 0, one an image."""


MOST_UNREADABLE = 100
"""Pictures that may be left out before a data set counts as damaged."""


class UnreadableImage(Exception):
    """A picture that cannot be decoded; says which one, and why."""


@dataclass
class UnreadablePictures:
    """Pictures that were left out: each is told once, and too many are an error.

    Attributes:
        limit: so many are left out.
        tell: says which one and why.
        seen: those so far.
    """

    limit: int = MOST_UNREADABLE
    tell: Callable[[str], None] = note
    seen: set[str] = field(default_factory=set)

    def add(self, message: str) -> None:
        """One more; nothing happens if it has been told before.

        Raises:
            UserError: it is one too many.
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
    """Small images, all of one size, in memory.

    Attributes:
        pixels: uint8 [n, channels, height, width].
        labels: [n].
    """

    pixels: npt.NDArray[np.uint8]
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def groups(self) -> npt.NDArray[np.int64] | None:
        """None: any order is as fast as any other."""
        return None

    @cached_property
    def digest(self) -> str:
        """Names this content, in hexadecimal."""
        return _digest(self.labels, np.array(self.pixels.shape), self.pixels)


class FileImages(ABC):
    """Pictures on disk, of any size.

    Attributes:
        labels: [n].
        groups: for each picture, the number of the file it lies in, where several share one and
            are read faster together; else None.
    """

    labels: Labels
    groups: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def name(self, position: int) -> str:
        """What messages call this picture."""

    @abstractmethod
    def content(self, position: int) -> bytes:
        """The picture's file.

        Raises:
            OSError: it cannot be read.
        """

    @property
    @abstractmethod
    def digest(self) -> str:
        """Names this list of pictures and labels (not the pixels), in hexadecimal."""

    def open(self, position: int) -> Image:
        """The picture, its header read and its pixels not yet decoded.

        Raises:
            UnreadableImage: it cannot be read, or is no picture.
        """
        from PIL import Image

        try:
            return Image.open(io.BytesIO(self.content(position)))
        except Exception as error:
            # On damaged files decoders raise whatever they stumble over.
            raise unreadable_image(self.name(position), error) from error


def unreadable_image(name: str, error: Exception) -> UnreadableImage:
    """`error` as one of the picture `name`."""
    reason = "it is no picture" if type(error).__name__ == "UnidentifiedImageError" else str(error)
    return UnreadableImage(f"{name}: {reason or type(error).__name__}")


Images = PixelImages | FileImages
"""What a data set's images are."""


@dataclass(frozen=True)
class Part:
    """Some of the images of a set: those to train on, to select by, or to test with."""

    images: Images
    positions: Positions

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def labels(self) -> Labels:
        """Of the images of this part."""
        return self.images.labels[self.positions]

    def sample(self, count: int, seed: int = 0) -> Part:
        """Some of its images, drawn at random, `count` at most."""
        rng = np.random.default_rng(seed)
        return Part(self.images, np.sort(rng.permutation(self.positions)[:count]))


def listing_digest(names: list[str], labels: Labels) -> str:
    """Names a list of files and their labels."""
    return _digest(labels, np.frombuffer("\n".join(names).encode(), dtype=np.uint8))


def _digest(*arrays: npt.NDArray[np.int64] | npt.NDArray[np.uint8]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
