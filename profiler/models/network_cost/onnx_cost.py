"""Multiply-accumulates and parameters of ONNX files, by the shapes that ONNX itself infers."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

from compofa.profiler.models.network_cost.network_cost import NetworkCost, Uncounted, product_of
from compofa.profiler.models.user_files.onnx_file import dtype_name, read_frame, tensors
from compofa.profiler.models.user_files.user_model import UserModel

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

OpenShape = tuple[int | None, ...] | None

BITS = {
    "float64": 64, "float32": 32, "float16": 16, "bfloat16": 16,
    "int8": 8, "uint8": 8, "int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "int32": 32,
}  # fmt: skip
"""Of the types that weights have; tensors of others hold shapes, indices and the like."""

FLOAT8 = 8

SCALES = {
    "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "ConvInteger": (2, 3),
    "MatMulInteger": (2, 3),
    "Resize": (1, 2),
    "Upsample": (1,),
}
"""Inputs of operators that say how numbers are quantised or resized: they are no parameters."""

INTEGER_BIASES = {"DequantizeLinear": 0, "QLinearConv": 8}
"""Inputs of operators where whole numbers of 32 bits are parameters."""


def onnx_cost(model: UserModel) -> NetworkCost:
    """See `count_cost`.

    Raises:
        NotThisFormat, OSError: the file is not what it was.
    """
    frame = read_frame(model.path)
    parameters, weight_bytes = _parameters(frame.graph)
    try:
        macs = _macs(frame, model)
    except Uncounted:
        macs = None
    return NetworkCost(macs, parameters, weight_bytes)


def _parameters(graph: GraphProto) -> tuple[int, int]:
    """How many there are, and the bytes that they take."""
    scales, biases = set(), set()
    for node in graph.node:
        places = SCALES.get(node.op_type, ())
        scales |= {node.input[place] for place in places if place < len(node.input)}
        place = INTEGER_BIASES.get(node.op_type, len(node.input))
        biases |= {node.input[place]} if place < len(node.input) else set()
    count = bits = 0
    for tensor in tensors(graph):
        name = dtype_name(tensor.data_type)
        width = FLOAT8 if name.startswith("float8") else BITS.get(name)
        # A single number is a limit of Clip, an exponent and the like.
        if width is None or tensor.name in scales or not tensor.dims:
            continue
        if name == "int32" and tensor.name not in biases:
            continue
        count += prod(tensor.dims)
        bits += prod(tensor.dims) * width
    return count, bits // 8


def _macs(frame: ModelProto, model: UserModel) -> int:
    import onnx
    from onnx import inliner, shape_inference

    sizes = {spec.name: spec.fixed for spec in model.inputs}
    for value in frame.graph.input:
        size = sizes.get(value.name)
        if size is not None:
            del value.type.tensor_type.shape.dim[:]
            for each in size:
                value.type.tensor_type.shape.dim.add().dim_value = each
    # What was computed for other sizes is in the way.
    del frame.graph.value_info[:]
    try:
        if frame.functions:
            frame = inliner.inline_local_functions(frame)
        frame = shape_inference.infer_shapes(frame, data_prop=True)
    except (shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError):
        raise Uncounted from None
    return _Counter(frame.graph).total()


class _Counter:
    """Adds up the nodes of a graph."""

    def __init__(self, graph: GraphProto) -> None:
        self._graph = graph
        self._shapes: dict[str, OpenShape] = {
            tensor.name: tuple(tensor.dims) for tensor in graph.initializer
        }
        for node in graph.node:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.HasField("t"):
                    self._shapes[node.output[0]] = tuple(attribute.t.dims)
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            if tensor.HasField("shape"):
                self._shapes[value.name] = tuple(
                    each.dim_value if each.HasField("dim_value") else None
                    for each in tensor.shape.dim
                )

    def total(self) -> int:
        total = 0
        for node in self._graph.node:
            if any(a.HasField("g") and _multiplies(a.g) for a in node.attribute):
                raise Uncounted  # nobody knows how often a branch or a loop is run
            rule = RULES.get(node.op_type)
            if rule is not None:
                total += rule(self, node)
        return total

    def input(self, node: NodeProto, place: int) -> OpenShape:
        return self._shapes.get(node.input[place]) if place < len(node.input) else None

    def output(self, node: NodeProto) -> OpenShape:
        return self._shapes.get(node.output[0])


def _multiplies(graph: GraphProto) -> bool:
    return any(
        node.op_type in RULES or any(a.HasField("g") and _multiplies(a.g) for a in node.attribute)
        for node in graph.node
    )


OnnxRule = Callable[[_Counter, "NodeProto"], int]


def _convolution(weight: int) -> OnnxRule:
    def rule(shapes: _Counter, node: NodeProto) -> int:
        kernel = shapes.input(node, weight)  # [outputs, inputs of a group, ...]
        return product_of(shapes.output(node)) * product_of(None if kernel is None else kernel[1:])

    return rule


def _transposed(shapes: _Counter, node: NodeProto) -> int:
    kernel = shapes.input(node, 1)  # [inputs, outputs of a group, ...]
    return product_of(shapes.input(node, 0)) * product_of(None if kernel is None else kernel[1:])


def _product(shapes: _Counter, node: NodeProto) -> int:
    left = shapes.input(node, 0)
    return product_of(shapes.output(node)) * product_of(None if not left else left[-1:])


def _general_product(shapes: _Counter, node: NodeProto) -> int:
    left = shapes.input(node, 0)
    transposed = _attribute(node, "transA")
    inner = None if not left else left[:1] if transposed is not None and transposed.i else left[-1:]
    return product_of(shapes.output(node)) * product_of(inner)


def _einsum(shapes: _Counter, node: NodeProto) -> int:
    equation = _attribute(node, "equation")
    text = "" if equation is None else equation.s.decode().replace(" ", "")
    terms = text.partition("->")[0].split(",")
    if len(terms) != 2 or "." in text:
        raise Uncounted
    sizes: dict[str, int] = {}
    for place, term in enumerate(terms):
        shape = shapes.input(node, place)
        if shape is None or len(shape) != len(term):
            raise Uncounted
        sizes |= {letter: product_of((size,)) for letter, size in zip(term, shape, strict=True)}
    return prod(sizes.values())


def _recurrent(gates: int) -> OnnxRule:
    def rule(shapes: _Counter, node: NodeProto) -> int:
        entry, weight, state = (shapes.input(node, place) for place in range(3))
        if entry is None or weight is None or state is None or len(entry) != 3:
            raise Uncounted
        # [directions, gates x hidden, inputs] and [directions, gates x hidden, hidden]
        if weight[1] is not None and weight[1] % gates:
            raise Uncounted
        return product_of(entry[:2]) * (product_of(weight) + product_of(state))

    return rule


def _unknown(_: _Counter, __: NodeProto) -> int:
    raise Uncounted


def _attribute(node: NodeProto, name: str) -> AttributeProto | None:
    return next((each for each in node.attribute if each.name == name), None)


RULES: dict[str, OnnxRule] = {
    "Conv": _convolution(1),
    "FusedConv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed,
    "MatMul": _product,
    "FusedMatMul": _unknown,
    "MatMulInteger": _product,
    "QLinearMatMul": _product,
    "MatMulNBits": _product,
    "Gemm": _general_product,
    "FusedGemm": _general_product,
    "Einsum": _einsum,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    **dict.fromkeys(
        ("Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "DeformConv"),
        _unknown,
    ),
}
"""Operators that multiply and accumulate; the fused ones are ONNX Runtime's own."""
