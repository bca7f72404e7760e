"""The TFLite format: tensors, operators and buffers of one network, packed as a flatbuffer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from compofa.common.errors import MissingExtra

if TYPE_CHECKING:
    import flatbuffers

Constant = npt.NDArray[np.float32] | npt.NDArray[np.int32]

SCHEMA_VERSION = 3
IDENTIFIER = b"TFL3"
SIGNATURE = "serving_default"
METADATA = "compofa"
"""The name of the metadata entry that describes the model, as JSON."""

ALIGNMENT = 16
"""The alignment in bytes of a buffer's content, which the schema requires for memory mapping."""

ROOM = 2**18
"""Bytes that are more than enough for a file without the contents of its buffers."""


class TFLiteFile:
    """A network to which tensors and operators are added. Tensors are referred to by their index.

    Raises:
        MissingExtra: ai-edge-litert, whose schema classes this uses, is not installed.
    """

    def __init__(self) -> None:
        self._schema = tflite_schema()
        # By convention the first buffer is empty, and is that of all tensors without content.
        self._buffers = [self._schema.BufferT()]
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}

    def activation(self, name: str, shape: Sequence[int]) -> int:
        """Adds the float32 tensor of an activation or of the input, and returns its index."""
        return self._tensor(name, shape, self._schema.TensorType.FLOAT32, 0)

    def constant(self, name: str, values: Constant) -> int:
        """Adds a tensor with fixed content, and returns its index."""
        types = self._schema.TensorType
        kind = types.INT32 if values.dtype == np.int32 else types.FLOAT32
        little_endian = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return self._tensor(name, values.shape, kind, self._buffer(little_endian.tobytes()))

    def operator(
        self, code: str, inputs: Sequence[int], output: int, options: str, **fields: int
    ) -> None:
        """Adds an operator; `code`, `options` and `fields` have the names of the schema."""
        self._operators.append(
            self._schema.OperatorT(
                opcodeIndex=self._codes.setdefault(code, len(self._codes)),
                inputs=list(inputs),
                outputs=[output],
                builtinOptionsType=getattr(self._schema.BuiltinOptions, options),
                builtinOptions=getattr(self._schema, f"{options}T")(**fields),
            )
        )

    def pack(self, input: int, output: int, description: Mapping[str, str]) -> bytes:
        """Makes the file, with a signature for its input and its output, and a description."""
        content = json.dumps(description).encode()
        metadata = self._schema.MetadataT(name=METADATA, buffer=self._buffer(content))
        model = self._schema.ModelT(
            version=SCHEMA_VERSION,
            description="compofa",
            operatorCodes=[self._operator_code(code) for code in self._codes],
            subgraphs=[
                self._schema.SubGraphT(
                    name="main",
                    tensors=self._tensors,
                    inputs=[input],
                    outputs=[output],
                    operators=self._operators,
                )
            ],
            buffers=self._buffers,
            metadata=[metadata],
            signatureDefs=[self._signature(input, output)],
        )
        return packed(model)

    def _tensor(self, name: str, shape: Sequence[int], kind: int, buffer: int) -> int:
        self._tensors.append(
            self._schema.TensorT(name=name, shape=list(shape), type=kind, buffer=buffer)
        )
        return len(self._tensors) - 1

    def _buffer(self, content: bytes) -> int:
        self._buffers.append(self._schema.BufferT(data=content))
        return len(self._buffers) - 1

    def _operator_code(self, code: str) -> Any:
        number = getattr(self._schema.BuiltinOperator, code)
        # Runtimes before 2020 read the one-byte field, later ones the larger of the two.
        return self._schema.OperatorCodeT(
            deprecatedBuiltinCode=min(number, 127), builtinCode=number
        )

    def _signature(self, input: int, output: int) -> Any:
        def named(tensor: int) -> list[Any]:
            return [self._schema.TensorMapT(name=self._tensors[tensor].name, tensorIndex=tensor)]

        return self._schema.SignatureDefT(
            signatureKey=SIGNATURE, inputs=named(input), outputs=named(output)
        )


def tflite_schema() -> ModuleType:
    """The classes of TFLite's flatbuffer schema.

    Raises:
        MissingExtra: ai-edge-litert, which contains them, is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        raise MissingExtra("ai-edge-litert", "tflite") from None
    schema: ModuleType = schema_py_generated
    return schema


def packed(model: Any) -> bytes:
    """The file of `model`, a ModelT of the schema, with the content of its buffers aligned."""
    import flatbuffers

    schema = tflite_schema()
    aligned = copy(model)
    contents = (b"" if each.data is None else bytes(each.data) for each in model.buffers)
    aligned.buffers = [_AlignedBuffer(schema, content) for content in contents]
    # A builder that is too small doubles its size and copies everything, again and again.
    builder = flatbuffers.Builder(sum(map(len, aligned.buffers)) + ROOM)
    builder.Finish(aligned.Pack(builder), file_identifier=IDENTIFIER)
    # Output() would make another copy, which is not of type bytes.
    return bytes(memoryview(builder.Bytes)[builder.Head() :])


@dataclass(frozen=True)
class _AlignedBuffer:
    """Replaces the schema's BufferT, which does not align its content."""

    schema: ModuleType
    content: bytes

    def __len__(self) -> int:
        return len(self.content) + ALIGNMENT

    def Pack(self, builder: flatbuffers.Builder) -> int:
        """Packs the buffer; the schema's ModelT calls this method by this name."""
        vector = None
        if self.content:
            builder.Prep(ALIGNMENT, len(self.content))
            vector = builder.CreateByteVector(self.content)
        self.schema.BufferStart(builder)
        if vector is not None:
            self.schema.BufferAddData(builder, vector)
        offset: int = self.schema.BufferEnd(builder)
        return offset
