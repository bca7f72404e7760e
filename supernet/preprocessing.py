"""What happens to a picture before it reaches a network: cut out, scaled, normalised.

As in the evaluation of the released networks (mit-han-lab/once-for-all, imagenet.py): the middle of
the picture is scaled to the resolution, and values in [0, 1] are normalised by the mean and the
deviation of ImageNet's channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL.Image import Image


Box = tuple[float, float, float, float]
"""left, top, right, bottom: what is seen of an image, in its pixels."""

KEPT = 0.875
"""Share of a picture's shorter side that is seen in evaluation, as OFA evaluates ImageNet."""


@dataclass(frozen=True)
class Preprocessing:
    """From channel values in [0, 1] to what a network takes: (value - mean) / deviation.

    Attributes:
        channels: in order, as pillow calls its modes.
        mean, deviation: one number a channel.
    """

    channels: str
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain values; `range` is that of a channel before it is normalised."""
        return {
            "channels": self.channels,
            "range": [0, 1],
            "mean": list(self.mean),
            "std": list(self.deviation),
        }

    def apply(self, picture: Image, resolution: int) -> npt.NDArray[np.float32]:
        """`picture` as an input [channels, resolution, resolution]."""
        from PIL.Image import Resampling

        size, middle = (resolution, resolution), middle_box(*picture.size)
        scaled = in_mode(picture, self.channels).resize(size, Resampling.BILINEAR, middle)
        values = np.atleast_3d(np.asarray(scaled, np.float32)) / np.float32(255)
        mean, deviation = (np.array(each, np.float32) for each in (self.mean, self.deviation))
        return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))


IMAGENET = Preprocessing("RGB", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of the released networks."""

GREY = Preprocessing("L", (0.449,), (0.226,))
"""Of networks with one input channel: the averages of the numbers for coloured ones."""


def preprocessing(channels: int) -> Preprocessing | None:
    """What networks with that many input channels expect; None where no convention tells."""
    return {1: GREY, 3: IMAGENET}.get(channels)


def in_mode(picture: Image, mode: str) -> Image:
    """`picture` with the channels of `mode`, which has 8 bits each.

    Pictures of 16-bit grey are scaled from 0..65535 to 0..255; pillow's own conversion would clip
    them, so that nearly all of them became white.

    Raises:
        ValueError: it has floating-point or 32-bit numbers, whose range nothing tells.
    """
    if picture.mode.startswith("I;16"):
        from PIL import Image as pillow

        deep = np.asarray(picture).astype(np.float32)
        return pillow.fromarray((deep / 257).round().astype(np.uint8)).convert(mode)
    if picture.mode in ("I", "F"):
        kind = "32-bit" if picture.mode == "I" else "floating-point"
        raise ValueError(f"it has {kind} numbers, and nothing tells which of them is white")
    return picture.convert(mode)


def middle_box(width: int, height: int, kept: float = KEPT) -> Box:
    """The square in the middle whose side is `kept` of the shorter side."""
    side = kept * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side)
