"""The formats in which subnets can be written, and requests to write them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.errors import UserError, suggestion
from compofa.common.files import write_atomically
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.export.model_format import ModelContent, ModelFormat
from compofa.supernet.export.packages import PACKAGE, write_package
from compofa.supernet.graph import Graph

if TYPE_CHECKING:
    from compofa.supernet.export.weights import Weights

# Each writer is imported when it is first needed, because their libraries load up to a second.


def _onnx(content: ModelContent) -> bytes:
    from compofa.supernet.export.onnx import write_onnx

    model = write_onnx(
        content.graph,
        content.weights,
        batch_size=content.batch_size,
        dynamic=content.dynamic,
        checkpoint_sha256=content.checkpoint_sha256,
    )
    if not content.dtype.quantised:
        return model
    from compofa.supernet.export.quantisation.quantise import quantise_onnx

    return quantise_onnx(model, content.calibration, content.dtype)


def _tflite(content: ModelContent) -> bytes:
    from compofa.supernet.export.tflite import write_tflite

    model = write_tflite(
        content.graph,
        content.weights,
        batch_size=content.batch_size or 1,
        to_quantise=content.dtype.quantised,
        checkpoint_sha256=content.checkpoint_sha256,
    )
    if not content.dtype.quantised:
        return model
    from compofa.supernet.export.quantisation.quantise import quantise_tflite

    return quantise_tflite(model, content.calibration, content.dtype)


def _coreml(content: ModelContent) -> bytes:
    from compofa.supernet.export.coreml import write_coreml

    return write_coreml(
        content.graph,
        content.weights,
        batch_size=content.batch_size or 1,
        dtype=content.dtype,
        checkpoint_sha256=content.checkpoint_sha256,
    )


def _json(content: ModelContent) -> bytes:
    from compofa.supernet.export.description import render_description

    return render_description(content.graph, content.batch_size or 1, content.checkpoint_sha256)


def _layers(content: ModelContent) -> bytes:
    from compofa.supernet.export.layers import write_layers

    return write_layers(content.graph, content.weights, batch_size=content.batch_size or 1)


ONNX = ModelFormat("onnx", ".onnx", (Dtype.FLOAT32, Dtype.INT8), _onnx, dynamic=True)
TFLITE = ModelFormat("tflite", ".tflite", (Dtype.FLOAT32, Dtype.INT8), _tflite)
COREML = ModelFormat("coreml", PACKAGE, (Dtype.FLOAT32, Dtype.FLOAT16), _coreml)
JSON = ModelFormat("json", ".json", (Dtype.FLOAT32,), _json)
LAYERS = ModelFormat("layers", ".npz", (Dtype.FLOAT32,), _layers)
"""The format that the torch runtime reads. Nothing else can read it, so it cannot be exported."""

FORMATS = {each.name: each for each in (ONNX, TFLITE, COREML, JSON)}
"""The formats that the commands offer, by name."""

DTYPES = tuple(each for each in Dtype if any(each in other.dtypes for other in FORMATS.values()))
"""The number types that at least one of these formats supports."""

ZIP = ".zip"
"""The suffix by which a Core ML package is written as one file instead of a folder."""


def parse_format(name: str) -> ModelFormat:
    """The format called `name`.

    Raises:
        UserError: there is no such format.
    """
    model_format = FORMATS.get(name.lower())
    if model_format is None:
        hint = suggestion(name[:60], list(FORMATS))
        raise UserError(f"there is no format {name[:60]!r}", hint=hint)
    return model_format


def format_for(path: Path, asked: ModelFormat | None) -> ModelFormat:
    """The format of a file to be written, from --format or else from the file's suffix.

    Args:
        path: the file. Without a suffix and without --format, the format is ONNX.
        asked: the value of --format; None if it was not given.

    Raises:
        UserError: the suffix and --format contradict each other, or there is no --format and the
            suffix is not that of a format.
    """
    suffix = path.suffix.lower()
    said = COREML if suffix == ZIP else None
    said = next((each for each in FORMATS.values() if each.suffix == suffix), said)
    if asked is COREML and said is not COREML:
        message = f"the name of a Core ML model ends in {PACKAGE}, or in {ZIP} for its zip"
        raise UserError(message, path=path)
    if asked is not None and said is not None and asked is not said:
        raise UserError(
            f"the name ends in {suffix}, which is {said}, but --format says {asked}",
            path=path,
            hint=f"leave out --format, or choose a name that ends in {asked.suffix}",
        )
    if asked is None and said is None and suffix:
        known = ", ".join(f"{each.suffix} ({each})" for each in FORMATS.values())
        hint = f"choose a format with --format, or a name that ends in {known}"
        raise UserError(f"no format has the suffix {suffix[:60]}", path=path, hint=hint)
    return asked or said or ONNX


@dataclass(frozen=True)
class ExportRequest:
    """How to write a subnet, as given by the options of a command.

    Attributes:
        format: the format of the file.
        dtype: the number type in which the model computes.
        batch_size: the number of images per inference. None leaves it open if the format supports
            that, and is 1 otherwise.
        dynamic: whether to leave the size of the images open.
        calibration: an .npz file or a folder of images; for a quantised dtype only.

    Raises:
        UserError: the format does not support the dtype or an open size, or calibration images are
            missing, or given for a dtype that needs none.
    """

    format: ModelFormat
    dtype: Dtype = Dtype.FLOAT32
    batch_size: int | None = None
    dynamic: bool = False
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.dtype not in self.format.dtypes:
            able = [str(each) for each in FORMATS.values() if self.dtype in each.dtypes]
            raise UserError(
                f"--format {self.format} does not support --dtype {self.dtype}, "
                f"only {' and '.join(self.format.dtypes)}",
                hint=f"{self.dtype} is supported by {' and '.join(able)}" if able else None,
            )
        if self.dynamic and not self.format.dynamic:
            raise UserError(
                "--dynamic leaves the input size open, which only --format onnx supports"
            )
        if self.dtype.quantised and self.calibration is None:
            raise UserError(
                f"--dtype {self.dtype} needs --calibration: images that give the range of "
                "activations",
                hint="give a folder of pictures, or an .npz file of preprocessed images",
            )
        if self.calibration is not None and not self.dtype.quantised:
            raise UserError("--calibration is only for a quantised --dtype, such as int8")


def write(
    request: ExportRequest, graph: Graph, weights: Weights, checkpoint_sha256: str | None = None
) -> bytes:
    """Makes the content of a model file; that of a Core ML package is its zip.

    Args:
        request: how to write the subnet.
        graph: the subnet at one resolution.
        weights: its folded weights; the JSON description does not contain them.
        checkpoint_sha256: the digest of the checkpoint; None for random weights.

    Raises:
        UserError: those of `ModelFormat.write` and `calibration_batches`.
        MissingExtra: a package that the format needs is not installed.
    """
    content = ModelContent(
        graph,
        weights,
        dtype=request.dtype,
        batch_size=request.batch_size,
        dynamic=request.dynamic,
        checkpoint_sha256=checkpoint_sha256,
    )
    if request.calibration is not None:
        from compofa.supernet.export.quantisation.calibration_images import calibration_batches

        batches = calibration_batches(request.calibration, graph, request.batch_size or 1)
        content = replace(content, calibration=batches)
    return request.format.write(content)


def save(format_: ModelFormat, path: Path, content: bytes) -> None:
    """Writes the content that `write` returned; a Core ML package as a folder if `path` ends so.

    Raises:
        UserError: the file or folder cannot be written.
    """
    if format_ is COREML and path.suffix.lower() == PACKAGE:
        write_package(path, content)
    else:
        write_atomically(path, content, "the exported file")
