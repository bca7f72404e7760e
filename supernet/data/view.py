"""How images are seen: the whole of them to evaluate, random crops, flips and colours to train.

Random views are drawn from seeds, never from a global generator: the same seed gives the same view
in any process, so that a resumed training sees what it would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.supernet.preprocessing import middle_box

TRIES = 10
"""Boxes drawn for an image; if none fits, the largest square in the middle is taken."""


@dataclass(frozen=True)
class Augmentation:
    """What is random about a training image.

    Attributes:
        smallest_area: of the crop, as a share of the image; up to the whole image.
        widest: the largest ratio of the crop's sides, either way.
        flip: whether half of the images are mirrored.
        brightness: largest relative change up or down; 0 leaves it alone.
        saturation: likewise; grey images have none.
    """

    smallest_area: float
    widest: float
    flip: bool
    brightness: float
    saturation: float


PICTURES = Augmentation(0.08, 4 / 3, True, 32 / 255, 0.5)
"""As published for ImageNet (CompOFA's train_ofa_net.py: resize_scale, distort_color `tf`)."""

SMALL_IMAGES = Augmentation(0.6, 1.1, True, 0.0, 0.0)
"""For images such as CIFAR's, of which a small crop would not show what they are of."""


def random_boxes(
    rng: np.random.Generator, count: int, width: int, height: int, augmentation: Augmentation
) -> npt.NDArray[np.float64]:
    """Random parts of `count` images of `width` x `height`: boxes [count, 4].

    Area and the logarithm of the sides' ratio are uniform (Szegedy et al., CVPR 2015, section 6).
    """
    area = width * height * rng.uniform(augmentation.smallest_area, 1, (count, TRIES))
    ratio = np.exp(rng.uniform(-1, 1, (count, TRIES)) * math.log(augmentation.widest))
    widths, heights = np.sqrt(area * ratio), np.sqrt(area / ratio)
    fits = (widths <= width) & (heights <= height)
    first = (np.arange(count), fits.argmax(1))
    sides = np.stack([widths[first], heights[first]], 1)
    corners = rng.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sides)
    boxes = np.hstack([corners, corners + sides])
    return np.where(fits.any(1, keepdims=True), boxes, middle_box(width, height, 1.0))


def random_flips(
    rng: np.random.Generator, count: int, augmentation: Augmentation
) -> npt.NDArray[np.bool_]:
    """Which of `count` images are mirrored."""
    return (rng.random(count) < 0.5) & augmentation.flip


def random_factors(rng: np.random.Generator, count: int, change: float) -> npt.NDArray[np.float32]:
    """By what to multiply: uniform in 1 ± `change`, one an image."""
    return rng.uniform(1 - change, 1 + change, count).astype(np.float32)
