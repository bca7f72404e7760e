"""The preprocessing of a picture before it is the input of a network.

It is that of the evaluation of the released networks (mit-han-lab/once-for-all, imagenet.py). The
middle of the picture is scaled to the resolution, and values in [0, 1] are normalised by the mean
and the standard deviation of ImageNet's channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image


Box = tuple[float, float, float, float]
"""The visible part of an image in its pixels: left, top, right, bottom."""

KEPT = 0.875
"""The share of a picture's shorter side that is visible in evaluation, as in OFA."""


@dataclass(frozen=True)
class Preprocessing:
    """The normalisation of channel values in [0, 1]: (value - mean) / deviation.

    Attributes:
        channels: the channels in order, as the name of a mode of pillow.
        mean, deviation: one number per channel.
    """

    channels: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """The preprocessing as plain values; `range` is that of values before normalisation."""
        return {
            "channels": self.channels,
            "range": [0, 1],
            "mean": list(self.mean),
            "std": list(self.deviation),
        }

    def apply(self, picture: Image, resolution: int) -> npt.NDArray[np.float32]:
        """Preprocesses `picture` to an input [channels, resolution, resolution]."""
        from PIL.Image import Resampling

        size, middle = (resolution, resolution), middle_box(*picture.size)
        scaled = in_mode(picture, self.channels).resize(size, Resampling.BILINEAR, middle)
        values = np.atleast_3d(np.asarray(scaled, np.float32)) / np.float32(255)
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))


IMAGENET = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The preprocessing of the released networks."""

GREY = Preprocessing("L", (0.449,), (0.226,))
"""The preprocessing for one input channel: the averages of the numbers for three."""


def preprocessing(channels: int) -> Preprocessing | None:
    """The preprocessing for networks with that many input channels; None if not defined."""
    return {1: GREY, 3: IMAGENET}.get(channels)


def in_mode(picture: Image, mode: str) -> Image:
    """Converts `picture` to `mode`, which has 8 bits per channel.

    Pictures of 16-bit grey are scaled from 0..65535 to 0..255. Pillow's own conversion would clip
    them, which would make nearly all pixels white.

    Raises:
        ValueError: the picture has floating-point or 32-bit numbers, whose range is not known.
    """
    if picture.mode.startswith("I;16"):
        from PIL import Image as pillow

        deep = np.asarray(picture).astype(np.float32)
        return pillow.fromarray((deep / 257).round().astype(np.uint8)).convert(mode)
    if picture.mode in ("I", "F"):
        kind = "32-bit" if picture.mode == "I" else "floating-point"
        raise ValueError(f"it has {kind} numbers, whose range is not known")
    return picture.convert(mode)


def middle_box(width: int, height: int, kept: float = KEPT) -> Box:
    """The square in the middle whose side is the share `kept` of the shorter side."""
    side = kept * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)
