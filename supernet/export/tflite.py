"""Writes a graph and its folded weights as a TFLite model, operator by operator.

Activations are [n, height, width, channels]. XNNPACK supports every operator, so that the whole
network is one partition on a CPU. For that, global pools are MEAN, the hard sigmoid of channel
attention is relu6(x + 3) / 6 with the 3 in the bias before it, and the input of the classifier
stays [n, 1, 1, channels].
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from compofa.common.errors import UserError
from compofa.supernet.blocks import (
    INPUT,
    OUTPUT,
    Add,
    Conv,
    Layer,
    Linear,
    PoolLayer,
    Shape,
    SqueezeExcite,
)
from compofa.supernet.export.description import metadata
from compofa.supernet.export.tflite_file import TFLiteFile
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph
from compofa.supernet.subnet import Activation

LARGEST = 2**31 - 2**20
"""The most bytes of weights in one flatbuffer, which leaves room for the rest of the model."""

SAME, VALID = 0, 1
"""The schema's padding schemes: padded so that the output is input / stride, and not padded."""

FUSED: dict[Activation, int] = {"none": 0, "relu": 1, "relu6": 3}
"""The schema's numbers of the activations that can be fused into an operator."""


def write_tflite(
    graph: Graph,
    weights: Weights,
    *,
    batch_size: int = 1,
    to_quantise: bool = False,
    checkpoint_sha256: str | None = None,
) -> bytes:
    """Makes the model file of `graph`.

    The model's input is [n, height, width, channels], its output `logits` [n, classes].

    Args:
        graph: a graph of any family.
        weights: the weights that `weight_shapes` lists.
        batch_size: n.
        to_quantise: whether to write h-swish as x * relu6(x + 3) / 6. In float this is slower than
            the operator HARD_SWISH, but XNNPACK has no int8 kernel for that operator.
        checkpoint_sha256: the digest of the checkpoint, which is written into the model.

    Raises:
        MissingExtra: ai-edge-litert is not installed.
        UserError: the weights do not fit into one TFLite file.
    """
    if sum(values.nbytes for values in weights.values()) > LARGEST:
        raise UserError("the subnet has more weights than a TFLite file can hold (2 GiB)")
    file = TFLiteFile()
    writer = _Writer(file, weights, batch_size, to_quantise)
    image = writer.tensor(INPUT, graph.input)
    for layer in graph.layers:
        writer.add(layer)
    about = metadata(graph, layout="NHWC", checkpoint_sha256=checkpoint_sha256)
    return file.pack(image, writer.tensors[OUTPUT], about)


def padding(size: int, kernel: int, stride: int) -> tuple[int, int] | None:
    """How many pixels PAD has to add before and after, for a layer padded by `kernel // 2`.

    TFLite's own padding puts the smaller half before the image, so that it is off by one at stride
    2 and even sizes. The result is None if TFLite's padding is the same, so that PAD is not needed.
    """
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    before = kernel // 2
    return None if total // 2 == before else (before, total - before)


class _Writer:
    """Adds layers to a file. The output tensor of a layer has the layer's name, or is the logits.

    Attributes:
        tensors: the indices of the activations that were added so far, by name.
    """

    def __init__(
        self, file: TFLiteFile, weights: Weights, batch_size: int, to_quantise: bool
    ) -> None:
        self.file = file
        self.weights = weights
        self.batch_size = batch_size
        self.to_quantise = to_quantise
        self.tensors: dict[str, int] = {}

    def tensor(self, name: str, shape: Shape) -> int:
        """Adds the tensor of an activation or of the input, and returns its index."""
        channels, height, width = shape
        sizes = (self.batch_size, height, width, channels)
        self.tensors[name] = self.file.activation(name, sizes)
        return self.tensors[name]

    def add(self, layer: Layer) -> None:
        """Adds one layer."""
        if isinstance(layer, Conv):
            self._conv(layer)
        elif isinstance(layer, SqueezeExcite):
            self._squeeze_excite(layer)
        elif isinstance(layer, Add):
            inputs = [self.tensors[source] for source in layer.sources]
            self._activated(layer, "ADD", inputs, "AddOptions")
        elif isinstance(layer, PoolLayer):
            self._pool(layer)
        else:
            self._linear(layer)

    def _conv(self, conv: Conv, shift: float = 0.0) -> None:
        """Adds a convolution; `shift` is added to its result before the activation."""
        weight = self.weights[f"{conv.name}.weight"]
        bias = self.weights.get(f"{conv.name}.bias", np.zeros(len(weight), np.float32))
        source, scheme = self._padded(conv)
        code, options, order = "CONV_2D", "Conv2DOptions", (0, 2, 3, 1)
        fields = {"padding": scheme, "strideW": conv.stride, "strideH": conv.stride}
        if conv.depthwise:
            code, options, order = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", (1, 2, 3, 0)
            fields["depthMultiplier"] = 1
        inputs = [
            source,
            self.file.constant(f"{conv.name}.weight", weight.transpose(order)),
            self.file.constant(f"{conv.name}.bias", bias + np.float32(shift)),
        ]
        self._activated(conv, code, inputs, options, **fields)

    def _padded(self, layer: Conv | PoolLayer) -> tuple[int, int]:
        """The input of `layer`, padded if necessary, and the padding scheme of its operator."""
        source = self.tensors[layer.source]
        pads = padding(layer.input.height, layer.kernel, layer.stride)
        if pads is None:
            return source, SAME
        channels, height, width = layer.input
        padded = Shape(channels, height + sum(pads), width + sum(pads))
        amounts = np.array([(0, 0), pads, pads, (0, 0)], np.int32)
        inputs = [source, self.file.constant(f"{layer.name}/pads", amounts)]
        return self._node(f"{layer.name}/padded", padded, "PAD", inputs, "PadOptions"), VALID

    def _squeeze_excite(self, layer: SqueezeExcite) -> None:
        at, source = layer.name, self.tensors[layer.source]
        means, reduce, expand = f"{at}/means", f"{at}.reduce", f"{at}.expand"
        wide, narrow = Shape(layer.output.channels, 1, 1), Shape(layer.mid, 1, 1)
        self._mean(means, source, wide)
        self._conv(Conv(reduce, means, wide, narrow, 1, 1, 1, "relu"))
        self._conv(Conv(expand, reduce, narrow, wide, 1, 1, 1, "relu6"), shift=3.0)
        inputs = [self.tensors[expand], self._sixth]
        scale = self._node(f"{at}/scale", wide, "MUL", inputs, "MulOptions")
        self._node(at, layer.output, "MUL", [source, scale], "MulOptions")

    def _mean(self, name: str, source: int, shape: Shape) -> None:
        inputs = [source, self._height_and_width]
        self._node(name, shape, "MEAN", inputs, "ReducerOptions", keepDims=True)

    def _pool(self, pool: PoolLayer) -> None:
        if pool.kind == "global_average":
            self._mean(pool.name, self.tensors[pool.source], pool.output)
            return
        if pool.kind == "max":
            # PAD adds zeros. They do not change the maximum, because outputs of ReLU are never
            # negative.
            code, (source, scheme) = "MAX_POOL_2D", self._padded(pool)
        else:
            # With this scheme the average is over the pixels inside the image only, as torch's is
            # when it rounds sizes up.
            code, (source, scheme) = "AVERAGE_POOL_2D", (self.tensors[pool.source], SAME)
        sizes = {"filterWidth": pool.kernel, "filterHeight": pool.kernel}
        strides = {"strideW": pool.stride, "strideH": pool.stride}
        self._node(
            pool.name, pool.output, code, [source], "Pool2DOptions",
            padding=scheme, **sizes, **strides,
        )  # fmt: skip

    def _linear(self, layer: Linear) -> None:
        """Adds the classifier, whose output is that of the network."""
        inputs = [self.tensors[layer.source]]
        for kind in ("weight", "bias"):
            name = f"{layer.name}.{kind}"
            inputs.append(self.file.constant(name, self.weights[name]))
        logits = self.file.activation(OUTPUT, (self.batch_size, layer.output.channels))
        self.tensors[OUTPUT] = logits
        self.file.operator("FULLY_CONNECTED", inputs, logits, "FullyConnectedOptions")

    def _activated(
        self, layer: Conv | Add, code: str, inputs: list[int], options: str, **fields: int
    ) -> None:
        """Adds an operator and the activation of its layer, fused if the format supports that."""
        name, shape = layer.name, layer.output
        if layer.activation == "h_swish":
            x = self._node(f"{name}/linear", shape, code, inputs, options, **fields)
            self._h_swish(name, shape, x)
            return
        fields["fusedActivationFunction"] = FUSED[layer.activation]
        self._node(name, shape, code, inputs, options, **fields)

    def _h_swish(self, name: str, shape: Shape, x: int) -> None:
        if not self.to_quantise:
            self._node(name, shape, "HARD_SWISH", [x], "HardSwishOptions")
            return
        fused = {"fusedActivationFunction": FUSED["relu6"]}
        clipped = self._node(
            f"{name}/clipped", shape, "ADD", [x, self._three], "AddOptions", **fused
        )
        product = self._node(f"{name}/product", shape, "MUL", [x, clipped], "MulOptions")
        self._node(name, shape, "MUL", [product, self._sixth], "MulOptions")

    def _node(
        self, name: str, shape: Shape, code: str, inputs: list[int], options: str, **fields: int
    ) -> int:
        """Adds an operator and its output tensor, whose index is returned."""
        output = self.tensor(name, shape)
        self.file.operator(code, inputs, output, options, **fields)
        return output

    @cached_property
    def _height_and_width(self) -> int:
        return self.file.constant("height_and_width", np.array([1, 2], np.int32))

    @cached_property
    def _three(self) -> int:
        return self.file.constant("three", np.array([3], np.float32))

    @cached_property
    def _sixth(self) -> int:
        return self.file.constant("sixth", np.array([1 / 6], np.float32))
