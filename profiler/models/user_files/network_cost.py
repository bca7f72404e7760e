"""What a model file costs by its description: multiply-accumulates, parameters, bytes of weights.

Multiply-accumulates (MACs) are those of convolutions, matrix products and recurrent layers, as the
literature counts them: of a convolution, one for each output value and each weight that it sums
over. Everything else, such as additions, activations and pooling, counts as none. Where a model
does something of the kind whose MACs its file does not tell, the number is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compofa.profiler.models.user_files.user_model import NotThisFormat, UserModel


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


def count_cost(model: UserModel) -> NetworkCost:
    """What `model`, whose inputs have fixed shapes, costs; of ONNX and TFLite files alone."""
    try:
        if model.format == "onnx":
            from compofa.profiler.models.user_files.onnx_cost import onnx_cost

            return onnx_cost(model)
        if model.format == "tflite":
            from compofa.profiler.models.user_files.tflite_cost import tflite_cost

            return tflite_cost(model)
    except (NotThisFormat, OSError):
        pass  # it has changed since it was read, which is told when it is measured
    return NetworkCost()


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
