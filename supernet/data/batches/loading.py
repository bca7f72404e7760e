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
"""Processes that decode, unless told otherwise; more seldom help one GPU."""


class Batch(NamedTuple):
    """Images [n, channels, r, r], normalised, and their labels [n]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Loading:
    """How batches are made.

    Attributes:
        channels: of the networks' input.
        device: where batches end up.
        workers: processes that decode pictures from files.
        augmentation: of training batches.
        unreadable: keeps count of the pictures that are left out.
    """

    channels: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 0
    augmentation: Augmentation = PICTURES
    unreadable: UnreadablePictures = field(default_factory=UnreadablePictures)

    def batches(self, images: Images, requests: Iterable[BatchRequest]) -> Iterator[Batch]:
        """The requested batches of `images`, in order; unreadable pictures are missing from them.

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
        """Images in [0, 1], not yet varied and normalised."""
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
    """All images of a part in order, seen plainly; can be gone through again and again.

    Attributes:
        batch_size: of all batches but the last, which has the rest.
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
    """What suits these images: small ones are not cut as much."""
    return SMALL_IMAGES if isinstance(images, PixelImages) else PICTURES


def usual_workers(images: Images, processes: int = 1) -> int:
    """How many processes decode for each of so many training processes on this computer."""
    if isinstance(images, PixelImages):
        return 0
    return min(MOST_WORKERS, max(1, (os.cpu_count() or 1) // processes))
