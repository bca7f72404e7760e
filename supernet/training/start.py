"""The weights from which a training starts: random ones, or those of a teacher."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.supernet.checkpoints.checkpoint import load_checkpoint
from compofa.supernet.checkpoints.released import restrict
from compofa.supernet.data.split import Split
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet
from compofa.supernet.supernet import Supernet, hull


@dataclass(frozen=True)
class Teacher:
    """The network from which supernets learn: the largest subnet of a checkpoint.

    Attributes:
        path: the file of the checkpoint.
        supernet: the supernet in the checkpoint.
        sha256: the digest of the file.
        mixed: whether its batch norm statistics have to be computed first; see `Checkpoint.mixed`.
    """

    path: Path
    supernet: Supernet
    sha256: str
    mixed: bool = False

    @property
    def subnet(self) -> Subnet:
        """The largest subnet of the teacher's space."""
        return self.supernet.space.extreme(largest=True)


def load_teacher(path: Path, space: Space, split: Split) -> Teacher:
    """Reads a checkpoint as the teacher of a supernet of `space`.

    Raises:
        UserError: the file cannot be read, its supernet does not contain the weights of `space`, or
            it was trained on images that `split` holds out.
    """
    loaded = load_checkpoint(path)
    supernet = loaded.supernet
    reason = next(_obstacles(supernet.space, space), None)
    if reason is not None:
        hint = f"train one that fits with `compofa-train teacher --space {space.name}`"
        message = f"a teacher of space {supernet.space.name} does not fit {space.name}: {reason}"
        raise UserError(message, path=path, hint=hint)
    if split.contradicts(loaded.metadata):
        message = "this teacher may have been trained on images that are held out here"
        raise UserError(message, path=path, hint="give the same --heldout as for the teacher")
    return Teacher(path, supernet, sha256(path.read_bytes()), loaded.mixed)


def first_supernet(space: Space, teacher: Teacher | None, seed: int) -> Supernet:
    """The supernet before the first step, with the weights that it has in common with a teacher.

    Without a teacher, its weights are random.
    """
    if teacher is not None:
        return restrict(teacher.supernet, space)
    torch.manual_seed(seed)
    return Supernet(space, kernel_transform=not space.fixed_kernels)


def _obstacles(larger: Space, space: Space) -> Iterator[str]:
    """The reasons why a supernet of `larger` does not contain the weights of `space`."""
    for name in ("family", "width", "classes", "in_channels", "stem_stride"):
        theirs, ours = getattr(larger, name), getattr(space, name)
        if theirs != ours:
            yield f"its {name.replace('_', ' ')} is {theirs}, not {ours}"
    if len(larger.units) != len(space.units) or larger.slots != space.slots:
        yield "its units are different"
        return
    theirs, ours = hull(larger), hull(space)
    if any(a < b for a, b in zip(theirs.expands, ours.expands, strict=True)):
        yield "its expand ratios are smaller"
    for unit, other in zip(larger.units, space.units, strict=True):
        if not set(other.kernels) <= set(unit.kernels):
            yield f"it has no kernels of {max(set(other.kernels) - set(unit.kernels))}"
