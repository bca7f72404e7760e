"""Writes a graph and its folded weights as an ONNX model, node by node.

Every onnxruntime since 1.12 can read opset 17 and IR version 8. h-swish is written as the operator
`HardSwish`, which onnxruntime fuses into the convolution before it. With clips and multiplications
instead, models are 15-20 % slower (compofa at 160 to 224, one thread).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from compofa.common.arrays import Float32Array
from compofa.common.errors import UserError
from compofa.supernet.blocks import (
    INPUT,
    OUTPUT,
    Add,
    Conv,
    Layer,
    Linear,
    PoolLayer,
    SqueezeExcite,
)
from compofa.supernet.export.description import metadata
from compofa.supernet.export.protobuf_fields import length_delimited
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph
from compofa.supernet.subnet import Activation

OPSET = 17
IR_VERSION = 8
LARGEST = 2**31 - 2**20
"""The most bytes of weights in one protobuf file, which leaves room for the rest of the model."""


def write_onnx(
    graph: Graph,
    weights: Weights,
    *,
    batch_size: int | None = 1,
    dynamic: bool = False,
    checkpoint_sha256: str | None = None,
) -> bytes:
    """Makes the model file of `graph`.

    The model's input is [n, channels, height, width], its output `logits` [n, classes].

    Args:
        graph: a graph of any family.
        weights: the weights that `weight_shapes` lists.
        batch_size: n; None leaves it open.
        dynamic: whether to leave height and width open, so that the resolution does not matter.
        checkpoint_sha256: the digest of the checkpoint, which is written into the model.

    Raises:
        UserError: the weights do not fit into one ONNX file.
    """
    if sum(values.nbytes for values in weights.values()) > LARGEST:
        raise UserError("the subnet has more weights than an ONNX file can hold (2 GiB)")
    model = onnx.ModelProto(ir_version=IR_VERSION, producer_name="compofa")
    model.opset_import.add(domain="", version=OPSET)
    model.graph.name = graph.space.name
    batch: int | str = "batch" if batch_size is None else batch_size
    size: list[int | str] = ["height", "width"] if dynamic else [graph.resolution] * 2
    image, logits = [batch, graph.input.channels, *size], [batch, graph.space.classes]
    model.graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, image))
    model.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, logits))
    writer = _Writer(model.graph, weights)
    for layer in graph.layers:
        writer.add(layer)
    last = model.graph.node[-1]
    last.output[0] = last.name = OUTPUT
    helper.set_model_props(model, metadata(graph, checkpoint_sha256=checkpoint_sha256))
    return _with_weights(model, writer.initializers)


def _with_weights(model: onnx.ModelProto, weights: Weights) -> bytes:
    """`model` in protobuf's wire format, with `weights` as the initializers of its graph.

    Protobuf would copy the weights several times, which would take most of the time of an export.
    Each weight is therefore encoded here as the fields of a TensorProto. The fields of a message
    may come in any order.
    """
    tensors: list[bytes | memoryview] = []
    for name, values in weights.items():
        header = TensorProto(name=name, dims=values.shape, data_type=TensorProto.FLOAT)
        raw = np.ascontiguousarray(values, dtype="<f4").reshape(-1).data.cast("B")
        content = length_delimited(TensorProto.RAW_DATA_FIELD_NUMBER, [raw])
        tensor = [header.SerializeToString(), *content]
        tensors += length_delimited(onnx.GraphProto.INITIALIZER_FIELD_NUMBER, tensor)
    graph = [model.graph.SerializeToString(), *tensors]
    model.ClearField("graph")
    framed = length_delimited(onnx.ModelProto.GRAPH_FIELD_NUMBER, graph)
    return b"".join([model.SerializeToString(), *framed])


class _Writer:
    """Adds layers to a graph and collects the weights they use.

    A layer's output has the layer's name.
    """

    def __init__(self, target: onnx.GraphProto, weights: Weights) -> None:
        self.target = target
        self.weights = weights
        self.initializers: dict[str, Float32Array] = {}

    def add(self, layer: Layer) -> None:
        """Adds one layer."""
        if isinstance(layer, Conv):
            self._conv(layer)
        elif isinstance(layer, SqueezeExcite):
            self._squeeze_excite(layer)
        elif isinstance(layer, Add):
            self._node("Add", layer.sources, f"{layer.name}/sum")
            self._activate(layer.name, layer.activation)
        elif isinstance(layer, PoolLayer):
            self._pool(layer)
        else:
            self._linear(layer)

    def _conv(self, conv: Conv) -> None:
        names = [f"{conv.name}.weight"]
        if conv.batch_norm:
            names.append(f"{conv.name}.bias")
        self._node(
            "Conv",
            [conv.source, *map(self._weight, names)],
            f"{conv.name}/conv",
            kernel_shape=[conv.kernel] * 2,
            strides=[conv.stride] * 2,
            pads=[conv.kernel // 2] * 4,
            group=conv.groups,
        )
        self._activate(conv.name, conv.activation)

    def _squeeze_excite(self, layer: SqueezeExcite) -> None:
        at = layer.name
        self._node("GlobalAveragePool", [layer.source], f"{at}/means")
        for part, source in (("reduce", "means"), ("expand", "squeezed")):
            names = [self._weight(f"{at}.{part}.{kind}") for kind in ("weight", "bias")]
            self._node("Conv", [f"{at}/{source}", *names], f"{at}/{part}", kernel_shape=[1, 1])
            if part == "reduce":
                self._node("Relu", [f"{at}/reduce"], f"{at}/squeezed")
        self._node("HardSigmoid", [f"{at}/expand"], f"{at}/scale", alpha=1 / 6, beta=0.5)
        self._node("Mul", [layer.source, f"{at}/scale"], at)

    def _pool(self, pool: PoolLayer) -> None:
        if pool.kind == "global_average":
            self._node("GlobalAveragePool", [pool.source], pool.name)
            return
        shape = {"kernel_shape": [pool.kernel] * 2, "strides": [pool.stride] * 2}
        if pool.kind == "max":
            pads = [pool.kernel // 2] * 4
            self._node("MaxPool", [pool.source], pool.name, pads=pads, **shape)
        else:
            self._node("AveragePool", [pool.source], pool.name, ceil_mode=1, **shape)

    def _linear(self, layer: Linear) -> None:
        self._node("Flatten", [layer.source], f"{layer.name}/flat", axis=1)
        names = [self._weight(f"{layer.name}.{kind}") for kind in ("weight", "bias")]
        self._node("Gemm", [f"{layer.name}/flat", *names], layer.name, transB=1)

    def _activate(self, name: str, activation: Activation) -> None:
        """Adds an activation after the last node, and names the result `name`."""
        last = self.target.node[-1]
        if activation == "none":
            last.output[0] = last.name = name
        elif activation == "relu":
            self._node("Relu", last.output, name)
        elif activation == "h_swish":
            self._node("HardSwish", last.output, name)
        else:
            # ONNX has no operator for relu6.
            self._node("Clip", [*last.output, *self._bounds()], name)

    def _bounds(self) -> list[str]:
        """The limits of relu6. They are added when first used: runtimes warn of unused weights."""
        bounds = {"relu6.low": 0.0, "relu6.high": 6.0}
        for name, bound in bounds.items():
            self.initializers[name] = np.array(bound, dtype=np.float32)
        return list(bounds)

    def _weight(self, name: str) -> str:
        self.initializers[name] = self.weights[name]
        return name

    def _node(
        self,
        operator: str,
        inputs: Sequence[str],
        output: str,
        **attributes: int | float | list[int],
    ) -> None:
        node = self.target.node.add(op_type=operator, name=output, input=inputs, output=[output])
        for name, value in attributes.items():
            node.attribute.append(helper.make_attribute(name, value))
