"""Multiply-accumulates and parameters of TFLite files, by the shapes that stand in them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from compofa.profiler.models.network_cost.network_cost import NetworkCost, Uncounted, product_of
from compofa.profiler.models.user_files.tflite_file import (
    constants,
    dtype_name,
    opened_tflite,
    tflite_schema,
)
from compofa.profiler.models.user_files.user_model import UserModel

BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "uint8": 8, "int4": 4, "int16": 16}
"""Of the types that weights have."""

StaticShape = tuple[int, ...]


def tflite_cost(model: UserModel) -> NetworkCost:
    """See `count_cost`.

    Raises:
        NotThisFormat, OSError: the file is not what it was.
        MissingExtra: the package that reads such files is not installed.
    """
    with opened_tflite(model.path) as content:
        graph = content.Subgraphs(0)
        biases = _biases(content, graph)
        count = bits = 0
        for tensor in constants(content, graph):
            name = dtype_name(tensor.Type())
            # Whole numbers of 32 bits are biases, or shapes and indices.
            width = 32 if name == "int32" and tensor.Name() in biases else BITS.get(name)
            if width is not None:
                count += prod(_static(tensor))
                bits += prod(_static(tensor)) * width
        try:
            macs = _macs(content, graph) * _batches(graph, model)
        except Uncounted:
            macs = None
    return NetworkCost(macs, count, bits // 8)


def _batches(graph: Any, model: UserModel) -> int:
    """How many times the size in the file the batch is; shapes in the file are of that one."""
    factors = set()
    for place, spec in enumerate(model.inputs):
        own = _static(graph.Tensors(graph.Inputs(place)))
        wanted = spec.fixed or ()
        if own[1:] != wanted[1:] or len(own) != len(wanted):
            raise Uncounted
        if own:
            if own[0] == 0 or wanted[0] % own[0]:
                raise Uncounted
            factors.add(wanted[0] // own[0])
    if len(factors) > 1:
        raise Uncounted
    return factors.pop() if factors else 1


def _static(tensor: Any) -> StaticShape:
    """The shape that the file was made for, also where a dimension is left open."""
    return () if tensor.ShapeIsNone() else tuple(map(int, tensor.ShapeAsNumpy()))


def _operators(content: Any, graph: Any) -> list[tuple[str, Any]]:
    schema = tflite_schema()
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    found = []
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        code = content.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        found.append((names.get(number, "CUSTOM"), operator))
    return found


def _biases(content: Any, graph: Any) -> set[bytes]:
    """The names of tensors that are added to what is multiplied."""
    found = set()
    for name, operator in _operators(content, graph):
        place = BIAS.get(name, operator.InputsLength())
        if place < operator.InputsLength() and operator.Inputs(place) >= 0:
            found.add(graph.Tensors(operator.Inputs(place)).Name())
    return found


def _macs(content: Any, graph: Any) -> int:
    total = 0
    for name, operator in _operators(content, graph):
        rule = RULES.get(name)
        if rule is not None:
            inputs = [
                _static(graph.Tensors(operator.Inputs(i))) if operator.Inputs(i) >= 0 else ()
                for i in range(operator.InputsLength())
            ]
            total += rule(operator, inputs, _static(graph.Tensors(operator.Outputs(0))))
    return total


TfliteRule = Callable[[Any, list[StaticShape], StaticShape], int]


def _product(operator: Any, inputs: list[StaticShape], output: StaticShape) -> int:
    options = tflite_schema().BatchMatMulOptions()
    table = operator.BuiltinOptions()
    options.Init(table.Bytes, table.Pos)
    left = inputs[0]
    return product_of(output) * (left[-2] if options.AdjX() else left[-1])


def _unknown(_: Any, __: list[StaticShape], ___: StaticShape) -> int:
    raise Uncounted


RULES: dict[str, TfliteRule] = {
    # Kernels are [outputs, height, width, inputs], of depthwise ones [1, height, width, outputs].
    "CONV_2D": lambda _, inputs, output: prod(output) * prod(inputs[1][1:]),
    "DEPTHWISE_CONV_2D": lambda _, inputs, output: prod(output) * prod(inputs[1][1:3]),
    "TRANSPOSE_CONV": lambda _, inputs, __: prod(inputs[2]) * prod(inputs[1][:3]),
    "CONV_3D": lambda _, inputs, output: prod(output) * prod(inputs[1][:4]),
    "FULLY_CONNECTED": lambda _, inputs, output: prod(output) * inputs[1][-1],
    "BATCH_MATMUL": _product,
    **dict.fromkeys(
        (
            "LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "RNN",
            "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "SVDF", "WHILE", "IF",
            "CUSTOM", "CONV_3D_TRANSPOSE", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CONVOLUTION",
        ),
        _unknown,
    ),
}  # fmt: skip
"""Operators that multiply and accumulate."""

BIAS = {
    "CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "TRANSPOSE_CONV": 3, "CONV_3D": 2, "FULLY_CONNECTED": 2,
}  # fmt: skip
"""Where their biases stand among their inputs."""
