"""Batches of tensors from any data set, ready for a network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from compofa.supernet.data.batches.colour import normalise, vary
from compofa.supernet.data.batches.order import BatchRequest
from compofa.supernet.data.batches.pictures import picture_batches
from compofa.supernet.data.batches.pixels import pixel_batches
from compofa.supernet.data.images import Images, Part, PixelImages, UnreadablePictures
from compofa.supernet.data.view import PICTURES, SMALL_IMAGES, Augmentation

MOST_WORKERS = 8
"""The most processes that decode pictures by default. More of them rarely help one GPU."""


class Batch(NamedTuple):
    """Normalised images [n, channels, r, r] and their labels [n]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Loading:
    """How batches are made.

    Attributes:
        channels: the number of channels of the networks' input.
        device: the device on which batches are needed.
        workers: the number of processes that decode pictures from files.
        augmentation: the random changes in training batches.
        unreadable: counts the pictures that are left out.
    """

    channels: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0
    augmentation: Augmentation = PICTURES
    unreadable: UnreadablePictures = field(default_factory=UnreadablePictures)

    def batches(self, images: Images, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """Loads the requested batches of `images`, in order, without unreadable pictures.

        Raises:
            UserError: too many pictures are unreadable.
        """
        for request, batch, labels in self._raw(images, requests):
            if request.seed is not None:
                rng = np.random.default_rng((*request.seed, 1))
                batch = vary(batch, self.augmentation, rng)
            yield Batch(normalise(batch), labels)

    def _raw(
        self, images: Images, requests: Iterable[BatchRequest]
    ) -> Iterator[tuple[BatchRequest, Tensor, Tensor]]:
        """Batches with values in [0, 1], before colours are changed and values normalised."""
        if isinstance(images, PixelImages):
            yield from pixel_batches(
                images, requests, self.augmentation, self.channels, self.device
            )
            return
        for decoded in picture_batches(
            images, requests, self.augmentation, self.channels, self.device, self.workers
        ):
            for message in decoded.unreadable:
                self.unreadable.add(message)
            batch = decoded.images.to(self.device, non_blocking=True).float().div_(255)
            yield decoded.request, batch, decoded.labels.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class PlainBatches:
    """All images of a part, in order and without random changes; it can be iterated repeatedly.

    Attributes:
        loading: how batches are made.
        part: the images.
        resolution: the side of the square images in the batches, in pixels.
        batch_size: the size of all batches but the last one, which has the rest.
    """

    loading: Loading
    part: Part
    resolution: int
    batch_size: int

    def __iter__(self) -> Iterator[Batch]:
        starts = range(0, len(self.part), self.batch_size)
        cuts = (self.part.positions[start : start + self.batch_size] for start in starts)
        requests = (BatchRequest(positions, self.resolution) for positions in cuts)
        return self.loading.batches(self.part.images, requests)


def usual_augmentation(images: Images) -> Augmentation:
    """The default augmentation for these images; small images are cropped less."""
    return SMALL_IMAGES if isinstance(images, PixelImages) else PICTURES


def usual_workers(images: Images, processes: int = 1) -> int:
    """The default number of decoding processes for each training process.

    Args:
        images: the images; those in memory need no decoding.
        processes: the number of training processes on this computer.
    """
    if isinstance(images, PixelImages):
        return 0
    return min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // processes))
