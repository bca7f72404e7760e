"""Which formats a subnet can be written in, in which number types, and writing it in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.supernet.export.packages import PACKAGE, write_package
from compofa.supernet.export.weights import Weights
from compofa.supernet.graph import Graph


class Format(StrEnum):
    """What can be written."""

    ONNX = "onnx"
    TFLITE = "tflite"
    COREML = "coreml"
    JSON = "json"


class Dtype(StrEnum):
    """What a model computes in; its input and logits are float32 in any."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"


SUFFIXES = {
    Format.ONNX: ".onnx",
    Format.TFLITE: ".tflite",
    Format.COREML: PACKAGE,
    Format.JSON: ".json",
}
"""How files of each format are usually named."""

DTYPES: dict[Format, tuple[Dtype, ...]] = {
    Format.ONNX: (Dtype.FLOAT32, Dtype.INT8),
    Format.TFLITE: (Dtype.FLOAT32, Dtype.INT8),
    Format.COREML: (Dtype.FLOAT32, Dtype.FLOAT16),
    Format.JSON: (Dtype.FLOAT32,),
}
"""The number types of each format."""


@dataclass(frozen=True)
class ExportRequest:
    """How a subnet is to be written.

    Attributes:
        batch_size: images per inference; None leaves it open where the format can, else it is 1.
        dynamic: leaves the size of the images open.
        calibration: an .npz file or a folder of images, for int8 alone.

    Raises:
        UserError: the format cannot do that, or int8 lacks its images.
    """

    format: Format
    dtype: Dtype = Dtype.FLOAT32
    batch_size: int | None = None
    dynamic: bool = False
    calibration: Path | None = None

    def __post_init__(self) -> None:
        known = DTYPES[self.format]
        if self.dtype not in known:
            able = [each for each, dtypes in DTYPES.items() if self.dtype in dtypes]
            raise UserError(
                f"--format {self.format} has no --dtype {self.dtype}, only {' and '.join(known)}",
                hint=f"{self.dtype} is written as {' and '.join(able)}",
            )
        if self.dynamic and self.format is not Format.ONNX:
            raise UserError(
                "--dynamic leaves the input size of an ONNX file open: it needs that format"
            )
        if self.dtype is Dtype.INT8 and self.calibration is None:
            raise UserError(
                "--dtype int8 needs --calibration: images to learn the range of activations from",
                hint="a folder of pictures, or an .npz file of preprocessed images",
            )
        if self.calibration is not None and self.dtype is not Dtype.INT8:
            raise UserError("--calibration is for --dtype int8 alone")


def write(
    request: ExportRequest, graph: Graph, weights: Weights, checkpoint_sha256: str | None = None
) -> bytes:
    """The content of the file that is asked for; a Core ML package is a zip.

    Args:
        request: how to write it.
        graph: what to write.
        weights: its folded weights; a description leaves them out.
        checkpoint_sha256: of the file that they come from; None for random ones.

    Raises:
        UserError: see the writers of the formats, and `calibration_batches`.
        MissingExtra: a package that the format needs is not installed.
    """
    return _WRITERS[request.format](request, graph, weights, checkpoint_sha256)


def save(request: ExportRequest, path: Path, content: bytes) -> None:
    """Puts what `write` gave to `path`: a Core ML package as a folder if it is named like one.

    Raises:
        UserError: it cannot be written there.
    """
    if request.format is Format.COREML and path.suffix == PACKAGE:
        write_package(path, content)
    else:
        write_atomically(path, content, "the exported file")


def _onnx(request: ExportRequest, graph: Graph, weights: Weights, checkpoint: str | None) -> bytes:
    from compofa.supernet.export.onnx import write_onnx

    size, dynamic = request.batch_size, request.dynamic
    content = write_onnx(
        graph, weights, batch_size=size, dynamic=dynamic, checkpoint_sha256=checkpoint
    )
    if request.calibration is None:
        return content
    from compofa.supernet.export.calibration_images import calibration_batches
    from compofa.supernet.export.quantise import quantise_onnx

    return quantise_onnx(content, calibration_batches(request.calibration, graph, size or 1))


def _tflite(
    request: ExportRequest, graph: Graph, weights: Weights, checkpoint: str | None
) -> bytes:
    from compofa.supernet.export.tflite import write_tflite

    size, int8 = request.batch_size or 1, request.calibration is not None
    content = write_tflite(
        graph, weights, batch_size=size, to_quantise=int8, checkpoint_sha256=checkpoint
    )
    if request.calibration is None:
        return content
    from compofa.supernet.export.calibration_images import calibration_batches
    from compofa.supernet.export.quantise import quantise_tflite

    return quantise_tflite(content, calibration_batches(request.calibration, graph, size))


def _coreml(
    request: ExportRequest, graph: Graph, weights: Weights, checkpoint: str | None
) -> bytes:
    from compofa.supernet.export.coreml import write_coreml

    dtype: Literal["float16", "float32"] = (
        "float16" if request.dtype is Dtype.FLOAT16 else "float32"
    )
    size = request.batch_size or 1
    return write_coreml(graph, weights, batch_size=size, dtype=dtype, checkpoint_sha256=checkpoint)


def _json(request: ExportRequest, graph: Graph, _: Weights, checkpoint: str | None) -> bytes:
    from compofa.supernet.export.description import write_description

    return write_description(graph, request.batch_size or 1, checkpoint)


_WRITERS: dict[Format, Callable[[ExportRequest, Graph, Weights, str | None], bytes]] = {
    Format.ONNX: _onnx,
    Format.TFLITE: _tflite,
    Format.COREML: _coreml,
    Format.JSON: _json,
}
