"""ONNX files, read without their weights: a file of 2 GB is mapped, and only its frame is parsed.

The frame is the file with the contents of large tensors left out, which is again an ONNX file. The
numbers of fields are those of onnx.proto3.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.profiler.models.user_files.user_model import (
    Description,
    NotThisFormat,
    TensorSpec,
    usual_dtype,
)
from compofa.supernet.export.protobuf_fields import LENGTH_DELIMITED, length_delimited

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

SMALL = 1024
"""Bytes of a tensor's content that are kept: shapes are computed from small tensors."""

DEEPEST = 8
"""Subgraphs within subgraphs."""

FIRST_WITH_OPSETS = 3
"""The version of ONNX's representation from which on a model has to name its sets of operators."""


@dataclass(frozen=True)
class _Message:
    """How a message is copied: fields that are messages with large contents, and the contents."""

    parts: Mapping[int, str] = field(default_factory=dict)
    contents: frozenset[int] = frozenset()


MESSAGES = {
    "model": _Message({7: "graph", 25: "function"}),
    "graph": _Message({1: "node", 5: "tensor", 15: "sparse"}),
    "function": _Message({7: "node"}),
    "node": _Message({5: "attribute"}),
    "attribute": _Message({5: "tensor", 6: "graph", 10: "tensor", 11: "graph"}),
    "sparse": _Message({1: "tensor", 2: "tensor"}),
    # float_data, int32_data, string_data, int64_data, raw_data, double_data, uint64_data
    "tensor": _Message(contents=frozenset({4, 5, 6, 7, 9, 10, 11})),
}


def read_frame(path: Path) -> ModelProto:
    """The model in `path`, without the contents of its large tensors.

    Raises:
        NotThisFormat: it is no ONNX file, or a part of it is missing.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise NotThisFormat("it is empty") from None
        with mapped:
            frame = _frame(mapped, (0, len(mapped)), "model", 0)
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    model = ModelProto()
    try:
        model.ParseFromString(frame)
    except DecodeError:
        raise NotThisFormat("its content is not what ONNX files hold") from None
    if not model.graph.node or not model.graph.output:
        raise NotThisFormat("it holds no graph")
    # This follows the graph in the file. A file that was cut off between the two still parses.
    if not model.opset_import and model.ir_version >= FIRST_WITH_OPSETS:
        raise NotThisFormat("it does not say which set of operators it uses: its end is missing")
    return model


def _frame(content: mmap.mmap, place: tuple[int, int], kind: str, depth: int) -> bytes:
    """The message between two places of a file, without what is large in it."""
    if depth > DEEPEST * 3:
        raise NotThisFormat("its graphs are nested too deeply")
    message, copy = MESSAGES[kind], bytearray()
    for number, begin, start, end in _fields(content, *place):
        if number in message.parts:
            part = _frame(content, (start, end), message.parts[number], depth + 1)
            copy += b"".join(length_delimited(number, [part]))
        elif number not in message.contents or end - start <= SMALL:
            copy += content[begin:end]
    return bytes(copy)


def _fields(content: mmap.mmap, at: int, last: int) -> Iterator[tuple[int, int, int, int]]:
    """Number of each field, where it begins, and where its value starts and ends."""
    while at < last:
        begin = at
        key, at = _read_varint(content, at, last)
        number, wire = key >> 3, key & 7
        start = at
        if wire == 0:
            _, at = _read_varint(content, at, last)
        elif wire == LENGTH_DELIMITED:
            length, start = _read_varint(content, at, last)
            at = start + length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise NotThisFormat("its content is not what ONNX files hold")
        if at > last or number == 0:
            raise NotThisFormat("it ends too early: a part of it is missing, or it is no such file")
        yield number, begin, start, at


def _read_varint(content: mmap.mmap, at: int, last: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while shift < 64:
        if at >= last:
            raise NotThisFormat("it ends too early: a part of it is missing, or it is no such file")
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise NotThisFormat("its content is not what ONNX files hold")


def describe_onnx(path: Path) -> Description:
    """What an ONNX file says of itself; data kept in other files has to be there.

    Raises:
        NotThisFormat: see `read_frame`.
        OSError: it or the data beside it cannot be read.
    """
    model = read_frame(path)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    return Description(
        # Up to IR version 3 weights are listed among the inputs too.
        inputs=tuple(_spec(each) for each in graph.input if each.name not in weights),
        outputs=tuple(_spec(each) for each in graph.output),
        dtype=usual_dtype((dtype_name(e.data_type), prod(e.dims)) for e in tensors(graph)),
        others={name: name for name in _external_files(path, graph)},
    )


def _spec(value: ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return TensorSpec(value.name, None, (kind or "unknown").removesuffix("_type"))
    tensor = value.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            each.dim_value if each.HasField("dim_value") and each.dim_value >= 0 else None
            for each in tensor.shape.dim
        )
    return TensorSpec(value.name, shape, dtype_name(tensor.elem_type))


def dtype_name(element: int) -> str:
    """What NumPy calls a type of onnx.proto3; as it stands there where NumPy has none."""
    from onnx import TensorProto

    try:
        name = str(TensorProto.DataType.Name(element)).lower()
    except ValueError:
        return "unknown"
    return {"float": "float32", "double": "float64"}.get(name, name)


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """The constants of a graph: its initializers, and what Constant nodes hold, nested ones too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from tensors(attribute.g)


def _external_files(path: Path, graph: GraphProto) -> list[str]:
    """The files beside it that hold data of its tensors."""
    from onnx import TensorProto

    needed: dict[str, int] = {}
    for tensor in tensors(graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name = entries.get("location", "")
        numbers = [entries.get(key) or "0" for key in ("offset", "length")]
        if not all(each.isdecimal() for each in numbers):
            raise NotThisFormat(f"it does not say where the data of {tensor.name} is")
        needed[name] = max(needed.get(name, 0), sum(map(int, numbers)))
    for name, size in needed.items():
        beside = path.parent / name
        if not beside.is_file():
            raise NotThisFormat(f"its data is in the file {name}, which is not beside it")
        if beside.stat().st_size < size:
            raise NotThisFormat(f"its data is in the file {name}, a part of which is missing")
    return list(needed)
