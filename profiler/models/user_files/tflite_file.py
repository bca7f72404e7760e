"""TFLite files: flatbuffers, which are mapped and of which only what is asked for is read."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

from compofa.common.errors import MissingExtra
from compofa.profiler.models.user_files.user_model import (
    Description,
    NotThisFormat,
    TensorSpec,
    usual_dtype,
)

IDENTIFIER = b"TFL3"
"""Bytes 4 to 8 of every file."""


def tflite_schema() -> ModuleType:
    """The classes by which parts of a file are read.

    Raises:
        MissingExtra: the package that brings them is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise MissingExtra("ai-edge-litert", "tflite") from None
    schema: ModuleType = schema_py_generated
    return schema


@contextmanager
def opened_tflite(path: Path) -> Iterator[Any]:
    """The model in `path`, a `schema.Model`; only within this context.

    Raises:
        NotThisFormat: it is no TFLite file, or what is read of it in the context is not there.
        OSError: it cannot be read.
    """
    schema = tflite_schema()
    with path.open("rb") as file:
        if file.read(8)[4:] != IDENTIFIER:
            raise NotThisFormat("it does not begin as such files do")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            try:
                yield schema.Model.GetRootAs(content, 0)
            # What flatbuffers come to where an offset leads out of the file, or to nothing.
            except (struct.error, IndexError, TypeError, AttributeError, UnicodeDecodeError):
                message = "its parts are not where it says: it is damaged, or a piece is missing"
                raise NotThisFormat(message) from None


def describe_tflite(path: Path) -> Description:
    """What a TFLite file says of itself.

    Raises:
        MissingExtra: see `tflite_schema`.
        NotThisFormat: see `opened_tflite`.
        OSError: it cannot be read.
    """
    with opened_tflite(path) as model:
        if model.SubgraphsLength() < 1:
            raise NotThisFormat("it holds no graph")
        graph = model.Subgraphs(0)
        _check_buffers(path, model)
        return Description(
            inputs=tuple(_spec(graph, graph.Inputs(i)) for i in range(graph.InputsLength())),
            outputs=tuple(_spec(graph, graph.Outputs(i)) for i in range(graph.OutputsLength())),
            dtype=usual_dtype(
                (dtype_name(each.Type()), prod(size or 1 for size in shape_of(each) or ()))
                for each in constants(model, graph)
            ),
        )


def dtype_name(element: int) -> str:
    """What NumPy calls a type of the schema, in small letters as the schema has it otherwise."""
    kinds = vars(tflite_schema().TensorType)
    return next((name.lower() for name, each in kinds.items() if each == element), "unknown")


def shape_of(tensor: Any) -> tuple[int | None, ...] | None:
    """Of a `schema.Tensor`; None for sizes that are left open."""
    if not tensor.ShapeSignatureIsNone():
        return tuple(int(n) if n >= 0 else None for n in tensor.ShapeSignatureAsNumpy())
    return () if tensor.ShapeIsNone() else tuple(map(int, tensor.ShapeAsNumpy()))


def _spec(graph: Any, index: int) -> TensorSpec:
    tensor = graph.Tensors(index)
    return TensorSpec(tensor.Name().decode(), shape_of(tensor), dtype_name(tensor.Type()))


def constants(model: Any, graph: Any) -> Iterator[Any]:
    """The tensors of a graph whose values are in the file."""
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if buffer is not None and (buffer.DataLength() or buffer.Size()):
            yield tensor


def _check_buffers(path: Path, model: Any) -> None:
    """Finds files that were cut off: the contents of tensors stand at their end."""
    size = path.stat().st_size
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.Offset() + buffer.Size() > size:
            raise IndexError
        if buffer.DataLength():
            buffer.Data(buffer.DataLength() - 1)
