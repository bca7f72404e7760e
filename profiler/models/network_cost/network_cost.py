"""The cost of a model file: multiply-accumulates, parameters, bytes of weights.

Multiply-accumulates (MACs) are those of convolutions, matrix products and recurrent layers, counted
as in the literature: in a convolution, one for each output value and each weight that it sums over.
Other operations, such as additions, activations and pooling, count as none. If the MACs of such an
operation cannot be computed from the file, the number is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class NetworkCost:
    """The cost of a model file. None stands for a number that is not known.

    Attributes:
        macs: multiply-accumulates of one run of the whole batch.
        parameters: the number of weights, biases and other parameters, without the scales of
            quantised ones.
        weight_bytes: the bytes of these parameters in the file.
    """

    macs: int | None = None
    parameters: int | None = None
    weight_bytes: int | None = None


class Uncounted(Exception):
    """The multiply-accumulates of an operation cannot be computed from the file."""


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
