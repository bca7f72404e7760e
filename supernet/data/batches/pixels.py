"""Batches of images in memory, cropped and scaled together on the device that trains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from compofa.supernet.data.batches.colour import grey
from compofa.supernet.data.batches.order import BatchRequest
from compofa.supernet.data.images import PixelImages
from compofa.supernet.data.view import Augmentation, random_boxes


def pixel_batches(
    images: PixelImages,
    requests: Iterable[BatchRequest],
    augmentation: Augmentation,
    channels: int,
    device: torch.device,
) -> Iterator[tuple[BatchRequest, Tensor, Tensor]]:
    """Makes the requested batches: images [n, channels, r, r] in [0, 1], and labels [n].

    All images are copied to the device once. Grey images are converted to colour, or colour images
    to grey, if `channels` differs from their number of channels.
    """
    pixels = torch.from_numpy(_writable(images.pixels)).to(device)
    labels = torch.from_numpy(images.labels).to(device)
    height, width = images.pixels.shape[2:]
    for request in requests:
        chosen = torch.from_numpy(request.positions).to(device)
        batch = _recoloured(pixels[chosen].float().div_(255), channels)
        if request.seed is None:
            batch = _scaled(batch, request.resolution)
        else:
            rng = np.random.default_rng(request.seed)
            boxes = random_boxes(rng, len(batch), width, height, augmentation)
            batch = _cut_out(batch, boxes, request.resolution)
        yield request, batch, labels[chosen]


def _recoloured(batch: Tensor, channels: int) -> Tensor:
    if batch.shape[1] == channels:
        return batch
    return grey(batch) if channels == 1 else grey(batch).expand(-1, channels, -1, -1)


def _scaled(batch: Tensor, resolution: int) -> Tensor:
    """The whole images, scaled with antialiasing."""
    if batch.shape[2:] == (resolution, resolution):
        return batch
    size = [resolution, resolution]
    return F.interpolate(batch, size, mode="bilinear", antialias=True).clamp_(0, 1)


def _cut_out(batch: Tensor, boxes: npt.NDArray[np.float64], resolution: int) -> Tensor:
    """The part of each image in its box, [n, 4], scaled to `resolution` pixels."""
    height, width = batch.shape[2:]
    # affine_grid counts coordinates from -1 to 1 over the image.
    ends = torch.from_numpy(boxes).to(batch) / torch.tensor([width, height] * 2).to(batch) * 2 - 1
    left, top, right, bottom = ends.unbind(1)
    zero = torch.zeros_like(left)
    across = torch.stack([(right - left) / 2, zero, (right + left) / 2], 1)
    down = torch.stack([zero, (bottom - top) / 2, (bottom + top) / 2], 1)
    size = [len(batch), batch.shape[1], resolution, resolution]
    grid = F.affine_grid(torch.stack([across, down], 1), size, align_corners=False)
    return F.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _writable(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A copy if `pixels` cannot be written, as views of bytes; torch accepts no such arrays."""
    return pixels if pixels.flags.writeable else pixels.copy()
