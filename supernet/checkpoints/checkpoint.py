"""Checkpoints of this toolkit: the weights of a supernet, and its space.

A checkpoint is a `torch.save` file of plain values and tensors: `format`, `version`, `space` (the
name of a built-in space, or the full definition of another), `kernel_transform`, `state_dict` and
`metadata`. Reading a checkpoint never runs code from it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from compofa.common.errors import UserError, suggestion
from compofa.common.files import write_atomically
from compofa.supernet.checkpoints.torch_files import difference, read_torch_file, shapes_of
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet

FORMAT = "compofa checkpoint"
VERSION = 1

TEACHER = "teacher"
"""The recipe whose checkpoints were trained as one network instead of as many subnets."""

Metadata = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Checkpoint:
    """A supernet with weights.

    Attributes:
        supernet: the supernet.
        metadata: further facts in the file, such as the recipe that it was trained with.
    """

    supernet: Supernet
    metadata: Metadata

    @property
    def mixed(self) -> bool:
        """Whether its batch norm statistics mix those of many subnets, and so fit none of them.

        That is the case if it was trained as many subnets, here or by those who released it. A
        `TEACHER` was trained as one network, whose statistics it has.
        """
        trained_as = self.metadata.get("recipe", TEACHER)
        return "imported_from" in self.metadata or trained_as != TEACHER


def checkpoint_bytes(supernet: Supernet, metadata: Metadata) -> bytes:
    """The content of a checkpoint file."""
    space = supernet.space
    # A space of a file is stored in full, so that the checkpoint can be read without that file.
    known = SPACES.get(space.name) == space
    content = {
        "format": FORMAT,
        "version": VERSION,
        "space": space.name if known else _space_type().dump_python(space, mode="json"),
        "kernel_transform": supernet.kernel_transform,
        "state_dict": supernet.state_dict(),
        "metadata": dict(metadata),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def save_checkpoint(path: Path, supernet: Supernet, metadata: Metadata) -> None:
    """Writes a checkpoint. An old file is replaced only once the new one is complete.

    Raises:
        UserError: the file cannot be written.
    """
    write_atomically(path, checkpoint_bytes(supernet, metadata), "the checkpoint")


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint of this toolkit. The supernet is on the CPU and in evaluation mode.

    Raises:
        UserError: the file cannot be read, is truncated, is not a checkpoint of this toolkit, or
            its weights are not those of its space.
    """
    content = read_torch_file(path, "the checkpoint")
    if not is_checkpoint(content):
        hint = "`compofa-train import` reads the files that OFA and CompOFA released"
        raise UserError("it is not a checkpoint of compofa", path=path, hint=hint)
    if content.get("version") != VERSION:
        message = (
            f"it is a checkpoint of version {content.get('version')}, this program reads {VERSION}"
        )
        raise UserError(message, path=path)
    tensors = float_tensors(content.get("state_dict"), path)
    space = _read_space(content.get("space"), len(tensors), path)
    supernet = _empty_supernet(space, content.get("kernel_transform") is True, path)
    wrong = difference(shapes_of(supernet.state_dict()), shapes_of(tensors))
    if wrong is not None:
        raise UserError(f"its weights are not those of space {space.name}: {wrong}", path=path)
    supernet.load_state_dict(tensors, assign=True)
    metadata = content.get("metadata")
    return Checkpoint(supernet.eval(), metadata if isinstance(metadata, dict) else {})


def is_checkpoint(content: object) -> bool:
    """Whether the content of a torch file is a checkpoint of this toolkit."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def float_tensors(state: object, path: Path) -> dict[str, Tensor]:
    """Checks that `state` is a state dict, and converts its floating-point tensors to float32.

    Raises:
        UserError: it is not a mapping of names to tensors; the message names the file `path`.
    """
    if not isinstance(state, dict) or not state:
        raise UserError("it has no state dict", path=path)
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise UserError(f"its state dict has a {type(tensor).__name__} at {name!r}", path=path)
        tensors[name] = tensor.float() if tensor.is_floating_point() else tensor
    return tensors


def _space_type() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(Space)


def _read_space(record: object, tensors: int, path: Path) -> Space:
    """The space of a checkpoint that has `tensors` tensors, from its entry `space`."""
    from pydantic import ValidationError

    if isinstance(record, str):
        if record not in SPACES:
            hint = suggestion(record, list(SPACES))
            raise UserError(
                f"it is a checkpoint of the unknown space {record!r}", path=path, hint=hint
            )
        return SPACES[record]
    try:
        space: Space = _space_type().validate_python(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "it"
        message = f"its space is not well defined: {place}: {first['msg']}"
        raise UserError(message, path=path) from None
    # A block has several tensors. A damaged definition may have so many blocks that building them
    # would take too long.
    if not space.units or not space.resolutions or space.slots > tensors:
        raise UserError(f"its weights are not those of space {space.name}", path=path)
    return space


def _empty_supernet(space: Space, kernel_transform: bool, path: Path) -> Supernet:
    """A supernet without storage for its weights, which are assigned later."""
    try:
        with torch.device("meta"):
            return Supernet(space, kernel_transform)
    except (RuntimeError, TypeError, ArithmeticError, ValueError, LookupError):
        raise UserError(f"its space {space.name} cannot be built", path=path) from None
