"""Reads files that torch wrote without trusting them, and compares their tensors."""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.common.files import read_bounded

LARGEST = 2 * 1024**3
"""Bytes. Larger files are refused; the released checkpoints have less than 200 MB."""

Shapes = Mapping[str, tuple[int, ...]]


def read_torch_file(path: Path, what: str) -> Any:
    """Reads a file that `torch.save` wrote: only tensors and plain values, never code.

    Args:
        path: the file.
        what: what messages call the file, as in "the checkpoint".

    Raises:
        UserError: the file cannot be read, is too large, is truncated, was not written by torch, or
            contains other objects than tensors and plain values.
    """
    too_large = f"{what} is too large: more than {LARGEST:,} bytes"
    raw = read_bounded(path, LARGEST, what, too_large=too_large)
    if not raw:
        raise UserError(f"{what} is empty", path=path)
    try:
        # Torch does not verify the checksums of an archive, and would load damaged weights.
        if raw.startswith(b"PK"):
            _check_archive(raw)
        with warnings.catch_warnings():
            # On some damaged files torch warns of strange versions before it raises an error.
            warnings.simplefilter("ignore")
            content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"nsupported (?:global: )?GLOBAL ([\w.]+)", str(error))
        if refused is None:
            raise _unreadable(path, what, raw) from None
        message = f"{what} holds more than tensors and plain values: {refused[1]}"
        hint = "save only its state dict in the program that made it"
        raise UserError(message, path=path, hint=hint) from None
    except Exception as error:
        # On damaged files torch's readers may raise any kind of error.
        raise _unreadable(path, what, raw) from error
    reason = _why_not_plain(content)
    if reason is not None:
        raise UserError(f"{what} holds {reason}", path=path)
    return content


def _why_not_plain(content: object) -> str | None:
    """The first thing in a file that is not an ordinary tensor of bounded size; None if none."""
    size = 0
    for tensor in _tensors(content):
        if tensor.layout is not torch.strided or tensor.is_quantized:
            return "sparse or quantised tensors, not plain ones"
        if tensor.is_meta:
            return "tensors without numbers (on the meta device)"
        # A tensor in a small file can have any size, since it may repeat the same numbers.
        size += tensor.numel() * tensor.element_size()
        if size > LARGEST:
            return f"tensors of more than {LARGEST:,} bytes"
    return None


def _tensors(content: object) -> Iterator[Tensor]:
    """All tensors in nested dictionaries, lists and tuples."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for each in content.values():
            yield from _tensors(each)
    elif isinstance(content, list | tuple):
        for each in content:
            yield from _tensors(each)


def _unreadable(path: Path, what: str, raw: bytes) -> UserError:
    # The first bytes of torch's archives, and of the pickles that it wrote before version 1.6.
    ours = raw.startswith((b"PK", b"\x80"))
    reason = "is truncated or damaged" if ours else "is not a file of torch.save"
    return UserError(f"{what} {reason}", path=path)


def _check_archive(raw: bytes) -> None:
    """Raises BadZipFile if a part is damaged, or the parts are too large when unpacked."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if sum(part.file_size for part in archive.infolist()) > LARGEST:
            raise zipfile.BadZipFile("too large when unpacked")
        if archive.testzip() is not None:
            raise zipfile.BadZipFile("a part is damaged")


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def difference(expected: Shapes, actual: Shapes) -> str | None:
    """How `actual` differs from `expected`, with the first names of each kind; None if equal."""
    missing = [name for name in expected if name not in actual]
    unexpected = [name for name in actual if name not in expected]
    misshaped = [
        f"{name} is {_shape(actual[name])}, not {_shape(shape)}"
        for name, shape in expected.items()
        if name in actual and actual[name] != shape
    ]
    parts = [
        f"{len(names)} {kind}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for kind, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
        )
        if names
    ]
    return "; ".join(parts) or None


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
