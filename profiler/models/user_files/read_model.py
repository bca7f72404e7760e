"""Reading a user's model file: which format it is, what it consists of, and what it says of itself.

No runtime is needed for that, and no weight is read into memory: files are mapped, and hashed piece
by piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compofa.common.console import printable
from compofa.common.errors import UserError, file_error
from compofa.profiler.models.user_files.user_model import (
    Description,
    ModelPart,
    NotThisFormat,
    UserModel,
)

LARGEST = 4 << 30
"""Bytes of all files of a model."""

HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class FileFormat:
    """A format of model files.

    Attributes:
        shown: as people call it.
        describe: reads a file; it raises NotThisFormat, or MissingExtra where it takes a package.
    """

    name: str
    shown: str
    suffix: str
    describe: Callable[[Path], Description]


# Each reader is imported when it is first needed: their libraries take up to a second to load.


def _onnx(path: Path) -> Description:
    from compofa.profiler.models.user_files.onnx_file import describe_onnx

    return describe_onnx(path)


def _tflite(path: Path) -> Description:
    from compofa.profiler.models.user_files.tflite_file import describe_tflite

    return describe_tflite(path)


def _openvino(path: Path) -> Description:
    from compofa.profiler.models.user_files.openvino_file import describe_openvino

    return describe_openvino(path)


def _pt2(path: Path) -> Description:
    from compofa.profiler.models.user_files.pt2_file import describe_pt2

    return describe_pt2(path)


def _coreml(path: Path) -> Description:
    from compofa.profiler.models.user_files.coreml_package import describe_coreml

    return describe_coreml(path)


FILE_FORMATS = (
    FileFormat("onnx", "ONNX", ".onnx", _onnx),
    FileFormat("tflite", "TFLite", ".tflite", _tflite),
    FileFormat("openvino", "OpenVINO IR", ".xml", _openvino),
    FileFormat("pt2", "torch.export", ".pt2", _pt2),
    FileFormat("coreml", "Core ML", ".mlpackage", _coreml),
)


def format_of(path: Path) -> FileFormat:
    """The format that a file's name tells.

    Raises:
        UserError: it is none that can be measured.
    """
    suffix = path.suffix.lower()
    for each in FILE_FORMATS:
        if each.suffix == suffix:
            return each
    known = ", ".join(f"{each.suffix} ({each.shown})" for each in FILE_FORMATS)
    said = f"ends in {suffix[:20]}" if suffix else "has no ending"
    raise UserError(
        f"no model file: its name {said}", path=path, hint=f"model files end in {known}"
    )


def read_user_model(path: Path, name: str | None = None) -> UserModel:
    """What the model in `path` takes and computes, and what it consists of.

    Args:
        path: a file, or the folder of a Core ML package.
        name: by which tables call it; the file's name without its ending if left out.

    Raises:
        MissingExtra: a package that reads this format is not installed.
        UserError: it is no model of that format, a part of it is missing, it is larger than
            `LARGEST`, or has nothing that could be run.
    """
    kind = format_of(path)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise UserError(f"the model is larger than {LARGEST >> 30} GB", path=path)
        described = kind.describe(path)
        parts = _parts(path, described.others)
    except NotThisFormat as error:
        message = f"this is no {kind.shown} file that can be read: {printable(str(error))[:300]}"
        raise UserError(message, path=path) from None
    except OSError as error:
        raise file_error(error, error.filename or path, "cannot read the model") from None
    if sum(part.size for part in parts) > LARGEST:
        raise UserError(f"the model is larger than {LARGEST >> 30} GB", path=path)
    return UserModel(
        name=name if name is not None else path.stem,
        path=path,
        format=kind.name,
        parts=parts,
        dtype=described.dtype,
        inputs=described.inputs,
        outputs=described.outputs,
    )


def hash_file(path: Path) -> str:
    """The SHA-256 of a file of any size, which is read piece by piece.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(HASHED_AT_ONCE):
            digest.update(piece)
    return digest.hexdigest()


def _parts(path: Path, others: Mapping[str, str]) -> tuple[ModelPart, ...]:
    """The files of a model; those of a package are all files of its folder."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.is_file())
        files = {f"{path.name}/{each.relative_to(path).as_posix()}": each for each in found}
    else:
        # Whatever the file is called, runtimes are given a name that all of them can open.
        files = {f"model{path.suffix.lower()}": path}
        if any(name in files for name in others):
            files = {path.name: path}
        files |= {_inside(name): path.parent / _inside(there) for name, there in others.items()}
    return tuple(
        ModelPart(name, file, hash_file(file), file.stat().st_size) for name, file in files.items()
    )


def _inside(name: str) -> str:
    """`name`, if it stays in the folder of the model."""
    steps = Path(name).parts
    if not steps or Path(name).is_absolute() or ".." in steps or "\\" in name:
        raise NotThisFormat(f"it refers to a file outside its folder, {name!r}")
    return name
