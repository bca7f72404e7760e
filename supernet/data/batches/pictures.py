"""Batches of pictures from files, decoded, cropped and scaled by pillow in worker processes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from compofa.supernet.data.batches.order import BatchRequest
from compofa.supernet.data.images import FileImages, UnreadableImage, unreadable_image
from compofa.supernet.data.view import Augmentation, random_boxes
from compofa.supernet.preprocessing import Box, in_mode, middle_box

if TYPE_CHECKING:
    from PIL.Image import Image


class Decoded(NamedTuple):
    """A batch as a worker process returns it.

    Attributes:
        request: the request for it.
        images: the readable images, uint8 [n, channels, r, r].
        labels: their labels, [n].
        unreadable: for each of the other pictures, its name and why it was left out.
    """

    request: BatchRequest
    images: Tensor
    labels: Tensor
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class PictureBatches(Dataset[Decoded]):
    """A torch data set whose items are whole batches, indexed by requests.

    Attributes:
        images: the pictures.
        augmentation: the random crops of requests that have a seed.
        channels: 3 for colour, 1 for grey.
    """

    images: FileImages
    augmentation: Augmentation
    channels: int

    def __getitem__(self, request: BatchRequest) -> Decoded:
        """The pictures of `request`, in its order."""
        rng = None if request.seed is None else np.random.default_rng(request.seed)
        pictures: list[npt.NDArray[np.uint8]] = []
        labels, failures = [], []
        for position in request.positions:
            try:
                pictures.append(self._picture(int(position), request.resolution, rng))
                labels.append(int(self.images.labels[position]))
            except UnreadableImage as error:
                failures.append(str(error))
        size = (0, self.channels, request.resolution, request.resolution)
        stacked = np.stack(pictures) if pictures else np.zeros(size, dtype=np.uint8)
        return Decoded(
            request,
            torch.from_numpy(stacked),
            torch.tensor(labels, dtype=torch.int64),
            tuple(failures),
        )

    @property
    def _mode(self) -> str:
        return "L" if self.channels == 1 else "RGB"

    def _picture(
        self, position: int, resolution: int, rng: np.random.Generator | None
    ) -> npt.NDArray[np.uint8]:
        """One picture, [channels, resolution, resolution]."""
        picture = self.images.open(position)
        box = middle_box(*picture.size)
        if rng is not None:
            box = tuple(random_boxes(rng, 1, *picture.size, self.augmentation)[0])
        try:
            values = np.asarray(_seen(picture, box, resolution, self._mode))
        except Exception as error:
            # On damaged files, decoders may raise any kind of error.
            raise unreadable_image(self.images.name(position), error) from error
        return np.ascontiguousarray(np.atleast_3d(values).transpose(2, 0, 1))


def _seen(picture: Image, box: Box, resolution: int, mode: str) -> Image:
    """The part of `picture` in `box`, scaled to `resolution` pixels."""
    from PIL.Image import Resampling

    width, height = picture.size
    left, top, right, bottom = box
    # A JPEG decoder can scale down by 2, 4 or 8 while it decodes, which takes much less time.
    scale = resolution / min(right - left, bottom - top)
    picture.draft(mode, (math.ceil(scale * width), math.ceil(scale * height)))
    across, down = picture.size[0] / width, picture.size[1] / height
    scaled = (left * across, top * down, right * across, bottom * down)
    return in_mode(picture, mode).resize((resolution, resolution), Resampling.BILINEAR, scaled)


def picture_batches(
    images: FileImages,
    requests: Iterable[BatchRequest],
    augmentation: Augmentation,
    channels: int,
    device: torch.device,
    workers: int,
) -> Iterator[Decoded]:
    """Loads the requested batches, in order.

    Args:
        images: the files.
        requests: the requests; workers read some of them ahead.
        augmentation: the random crops of requests that have a seed.
        channels: 3 for colour, 1 for grey.
        device: the device to which the tensors will be copied; memory is pinned for a GPU.
        workers: the number of processes that decode; with 0, this process does.
    """
    loader: DataLoader[Decoded] = DataLoader(
        PictureBatches(images, augmentation, channels),
        batch_size=None,
        sampler=requests,
        num_workers=workers,
        pin_memory=device.type == "cuda",
    )
    yield from loader
