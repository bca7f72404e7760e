"""Random crops, flips and colours of training images.

They are drawn from seeds and never from a global generator. The same seed gives the same view in
any process, so that a resumed training sees the images that it would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from compofa.supernet.preprocessing import middle_box

TRIES = 10
"""How many boxes are drawn for an image. If none fits, the largest square in the middle is used."""


@dataclass(frozen=True)
class Augmentation:
    """The random changes of a training image.

    Attributes:
        smallest_area: the smallest area of a crop, as a share of the image; the largest is 1.
        widest: the largest ratio of a crop's longer side to its shorter one.
        flip: whether half of the images are mirrored.
        brightness: the largest relative change of brightness, up or down; 0 for none.
        saturation: the largest relative change of saturation; grey images are not changed.
    """

    smallest_area: float
    widest: float
    flip: bool
    brightness: float
    saturation: float


PICTURES = Augmentation(0.08, 4 / 3, True, 32 / 255, 0.5)
"""The published values for ImageNet, as in CompOFA's train_ofa_net.py."""

SMALL_IMAGES = Augmentation(0.6, 1.1, True, 0.0, 0.0)
"""Values for images such as CIFAR's, in a small crop of which the object cannot be recognised."""


def random_boxes(
    rng: np.random.Generator, count: int, width: int, height: int, augmentation: Augmentation
) -> npt.NDArray[np.float64]:
    """Draws a random crop for each of `count` images of `width` x `height` pixels.

    The area and the logarithm of the ratio of the sides are uniform (Szegedy et al., CVPR 2015,
    section 6).

    Returns:
        Boxes in pixels, [count, 4]: left, top, right, bottom.
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
    """Whether each of `count` images is mirrored, [count]."""
    return (rng.random(count) < 0.5) & augmentation.flip


def random_factors(rng: np.random.Generator, count: int, change: float) -> npt.NDArray[np.float32]:
    """Random factors for `count` images, uniform in 1 ± `change`, [count]."""
    return rng.uniform(1 - change, 1 + change, count).astype(np.float32)
