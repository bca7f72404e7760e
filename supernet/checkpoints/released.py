"""Converts checkpoints that OFA and CompOFA released to supernets of this toolkit.

Their tensors are named as in the reference implementations (mit-han-lab/once-for-all and
gatech-sysml/CompOFA). Blocks are numbered across units, from `blocks.0`. Every elastic block has
7x7 kernels, with or without the matrices that transform them. A space with fixed kernels gets only
the kernels that those networks would have used, after the transforms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.checkpoint import float_tensors, is_checkpoint
from compofa.supernet.checkpoints.torch_files import difference, read_torch_file, shapes_of
from compofa.supernet.elastic import ElasticConv2d, smaller_kernel
from compofa.supernet.families.registry import family_of
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Unit
from compofa.supernet.supernet import Supernet

KERNELS = (3, 5, 7)
"""The kernel sizes of the released supernets."""

ReleasedName = Callable[[str, Space], str]
"""See `Family.released_name`."""


def import_released(path: Path, space: Space) -> Supernet:
    """Makes a supernet of `space` with the weights of a released checkpoint.

    Smaller kernels are transformed if the file has the matrices for that, and cropped otherwise.

    Raises:
        UserError: the file cannot be read, is not a released checkpoint, or is one of another space
            (the message then names the spaces that it fits).
    """
    name_of = family_of(space).released_name
    if name_of is None:
        message = f"released checkpoints cannot be imported into space {space.name}"
        raise UserError(
            message, hint="weights were released for spaces of MobileNetV3 and ProxylessNAS"
        )
    tensors = _released_tensors(path)
    layout = _layout(space, name_of, tensors)
    supernet = _empty(layout, any(name.endswith("_matrix") for name in tensors))
    shapes = shapes_of(supernet.state_dict())
    names = {name_of(name, space): name for name in shapes}
    expected = {released: shapes[ours] for released, ours in names.items()}
    # Files of old versions of torch lack the counts of batches. Nothing depends on their values.
    counts = {name: torch.tensor(0) for name in expected if name.endswith("num_batches_tracked")}
    completed = counts | tensors
    wrong = difference(expected, shapes_of(completed))
    if wrong is not None:
        raise UserError(
            f"its weights are not those of space {space.name}: {wrong}",
            path=path,
            hint=_fitting(tensors, space),
        )
    state = {ours: completed[released] for released, ours in names.items()}
    supernet.load_state_dict(state, assign=True)
    return restrict(supernet, space).eval()


def restrict(source: Supernet, space: Space) -> Supernet:
    """Makes a supernet of `space` with the weights that it has in common with `source`.

    Args:
        source: a supernet whose space contains `space`.
        space: the space, which may have fewer expand ratios or kernels.
    """
    target = _empty(space, source.kernel_transform and not space.fixed_kernels)
    tensors = source.state_dict()
    state: dict[str, Tensor] = {}
    for name, wanted in target.state_dict().items():
        tensor = tensors[name]
        # Channels are simply cut off below, but a smaller kernel may have to be transformed.
        if tensor.dim() == 4 and tensor.shape[-1] != wanted.shape[-1]:
            conv: ElasticConv2d = attrgetter(name.removesuffix(".weight"))(source)
            transforms = {step: matrix.detach() for step, matrix in conv.transforms.items()}
            tensor = smaller_kernel(tensor, conv.kernels, wanted.shape[-1], transforms)
        state[name] = tensor[tuple(slice(size) for size in wanted.shape)].clone()
    target.load_state_dict(state, assign=True)
    return target


def _released_tensors(path: Path) -> dict[str, Tensor]:
    what = "the released checkpoint"
    content = read_torch_file(path, what)
    if is_checkpoint(content):
        raise UserError(
            "it is already a checkpoint of compofa; there is nothing to import", path=path
        )
    if not isinstance(content, dict):
        raise UserError(f"{what} holds a {type(content).__name__}, not a state dict", path=path)
    state = content.get("state_dict", content)
    # In checkpoints that were saved from DataParallel or DDP, every name has this prefix.
    return {
        name.removeprefix("module."): tensor for name, tensor in float_tensors(state, path).items()
    }


def _layout(space: Space, name_of: ReleasedName, tensors: Mapping[str, Tensor]) -> Space:
    """`space` with the freedom of the released supernets: no coupling, and all stored kernels."""
    units = []
    for index, unit in enumerate(space.units):
        name = name_of(f"units.{index}.0.depthwise.conv.weight", space)
        units.append(replace(unit, coupling=None, kernels=_stored_kernels(unit, tensors.get(name))))
    return replace(space, units=tuple(units))


def _stored_kernels(unit: Unit, weight: Tensor | None) -> tuple[int, ...]:
    """The kernel sizes up to that of the stored weight, and at least those that the unit has."""
    largest = max(unit.kernels)
    if weight is not None and weight.dim() == 4:
        largest = max(largest, weight.shape[-1])
    return tuple(size for size in KERNELS if size <= largest)


def _empty(space: Space, kernel_transform: bool) -> Supernet:
    with torch.device("meta"):
        return Supernet(space, kernel_transform)


def _fitting(tensors: Mapping[str, Tensor], space: Space) -> str | None:
    """A hint that names the spaces that these tensors fit."""
    fitting = []
    for other in SPACES.values():
        name_of = family_of(other).released_name
        if name_of is None or other.name == space.name:
            continue
        layout = _layout(other, name_of, tensors)
        supernet = _empty(layout, any(name.endswith("_matrix") for name in tensors))
        shapes = shapes_of(dict(supernet.named_parameters()))
        expected = {name_of(name, other): shape for name, shape in shapes.items()}
        if all(name in tensors and tensors[name].shape == expected[name] for name in expected):
            fitting.append(other.name)
    return f"they fit {', '.join(fitting)}" if fitting else None
