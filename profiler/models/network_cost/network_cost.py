"""What a model file costs by its description: multiply-accumulates, parameters, bytes of weights.

Multiply-accumulates (MACs) are those of convolutions, matrix products and recurrent layers, as the
literature counts them: of a convolution, one for each output value and each weight that it sums
over. Everything else, such as additions, activations and pooling, counts as none. Where a model
does something of the kind whose MACs its file does not tell, the number is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class NetworkCost:
    """None stands for what is not known.

    Attributes:
        macs: of one run of the whole batch.
        parameters: weights, biases and the like; not the scales of quantised ones.
        weight_bytes: that those take in the file.
    """

    macs: int | None = None
    parameters: int | None = None
    weight_bytes: int | None = None


class Uncounted(Exception):
    """Something whose multiply-accumulates a file does not tell."""


def product_of(shape: tuple[int | None, ...] | None) -> int:
    """The number of values of a tensor.

    Raises:
        Uncounted: its shape is not known.
    """
    if shape is None:
        raise Uncounted
    sizes = [size for size in shape if size is not None]
    if len(sizes) < len(shape):
        raise Uncounted
    return prod(sizes)
