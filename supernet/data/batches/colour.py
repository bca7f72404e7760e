"""Operations on whole batches on the device: mirroring, changing colours, normalising."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.supernet.data.view import Augmentation, random_factors, random_flips
from compofa.supernet.preprocessing import preprocessing

LUMA = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in brightness (ITU-R BT.601), as in pillow's mode L."""


def grey(batch: Tensor) -> Tensor:
    """The brightness of images [n, channels, h, w], as images [n, 1, h, w]."""
    if batch.shape[1] != len(LUMA):
        return batch.mean(1, keepdim=True)
    weights = torch.tensor(LUMA, dtype=batch.dtype, device=batch.device).view(1, -1, 1, 1)
    return (batch * weights).sum(1, keepdim=True)


def vary(batch: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Mirrors some of the images and changes the colours of each at random.

    Args:
        batch: images [n, channels, h, w] with values in [0, 1].
        augmentation: how much may change.
        rng: the source of randomness.
    """
    flips = random_flips(rng, len(batch), augmentation)
    brightness = random_factors(rng, len(batch), augmentation.brightness)
    saturation = random_factors(rng, len(batch), augmentation.saturation)
    mirrored = torch.from_numpy(flips).to(batch.device).view(-1, 1, 1, 1)
    batch = torch.where(mirrored, batch.flip(3), batch)
    if augmentation.brightness:
        batch = (batch * _each(brightness, batch)).clamp_(0, 1)
    # Only images with red, green and blue have a saturation.
    if augmentation.saturation and batch.shape[1] == len(LUMA):
        batch = torch.lerp(grey(batch), batch, _each(saturation, batch)).clamp_(0, 1)
    return batch


def normalise(batch: Tensor) -> Tensor:
    """Normalises images [n, channels, h, w] with values in [0, 1], as inputs of networks.

    The mean and deviation are those of ImageNet for every data set, as in the released networks, so
    that users need not know what a network was trained on.

    Raises:
        UserError: the images have neither one channel nor three.
    """
    numbers = preprocessing(batch.shape[1])
    if numbers is None:
        raise UserError(f"images have 1 or 3 channels, not {batch.shape[1]}")
    mean, deviation = (
        torch.tensor(each, dtype=batch.dtype, device=batch.device).view(1, -1, 1, 1)
        for each in (numbers.mean, numbers.deviation)
    )
    return (batch - mean) / deviation


def _each(factors: np.ndarray[tuple[int], np.dtype[np.float32]], batch: Tensor) -> Tensor:
    """One factor per image, in a shape that a batch can be multiplied by."""
    return torch.from_numpy(factors).to(batch.device).view(-1, 1, 1, 1)
