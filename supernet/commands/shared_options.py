"""Options that several commands of `compofa-train` share, and what their values stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note
from compofa.common.errors import UserError
from compofa.supernet.evaluation.evaluation_options import SplitPart
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION

if TYPE_CHECKING:
    from compofa.supernet.space import Space
    from compofa.supernet.subnet import Subnet
    from compofa.supernet.supernet import Supernet

MOST_SUBNETS = 10_000
"""Of larger spaces, single subnets or a sample are measured."""

CheckpointOption = Annotated[Path, typer.Option(help="The supernet's weights.")]
DataOption = Annotated[
    Path, typer.Option(help="Folder of the data set: class folders, shards, idx or CIFAR files.")
]
SplitOption = Annotated[SplitPart, typer.Option(help="Which images to classify.")]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(help="Record of the split; split.json beside the checkpoint unless given."),
]
ResolutionsOption = Annotated[
    str | None,
    typer.Option(
        metavar="R,R,...", help="Input sizes; those of the checkpoint's space if left out."
    ),
]
CalibrationOption = Annotated[
    int, typer.Option(min=1, help="Training images for the batch norm statistics.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Images at once.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes that decode pictures, for each GPU.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Discard the rows of an old table.")]


def resolutions_of(text: str | None, space: Space) -> tuple[int, ...]:
    """The resolutions that an option names, or those of the space.

    Raises:
        UserError: it is no list of resolutions.
    """
    if text is None:
        return space.resolutions
    found = []
    for part in text.split(","):
        if not (part.isascii() and part.isdigit() and len(part) < 6):
            raise UserError(f"--resolutions {text!r}: expected whole numbers with commas between")
        if not SMALLEST_RESOLUTION <= int(part) <= LARGEST_RESOLUTION:
            bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
            raise UserError(f"--resolutions {text!r}: {part} is out of bounds, {bounds}")
        found.append(int(part))
    return tuple(dict.fromkeys(found))


def chosen_subnets(
    space: Space, keys: Sequence[str] | None, sample: int | None, seed: int
) -> tuple[Subnet, ...]:
    """The subnets that the options ask for: named ones, some at random, or all.

    Raises:
        UserError: a key is wrong, or there are too many subnets.
    """
    import numpy as np

    if keys and sample:
        raise UserError("--subnet names subnets and --sample draws some: give one of them")
    if keys:
        return tuple(space.parse(key) for key in keys)
    if sample is None or sample >= space.size:
        if space.size > MOST_SUBNETS:
            message = f"space {space.name} has {space.size:.3g} subnets, too many to measure"
            raise UserError(message, hint="--sample N measures some, --subnet KEY one")
        return space.enumerate()
    rng = np.random.default_rng(seed)
    found: dict[Subnet, None] = {}
    while len(found) < sample:
        found[space.sample(rng)] = None
    return tuple(found)


def tell_memory(
    supernet: Supernet, subnets: Sequence[Subnet], resolution: int, images: int
) -> None:
    """Says how much memory the calibration of batch norm will take for activations."""
    from compofa.supernet.evaluation.bn_calibration import calibration_bytes
    from compofa.supernet.evaluation.prefix_tree import prefix_tree

    tree = prefix_tree(supernet.space, subnets, resolution)
    gigabytes = images * calibration_bytes(tree) / 1e9
    if gigabytes >= 1:
        note(
            f"batch norm is calibrated on {images} images: their activations take up to "
            f"{gigabytes:.1f} GB at {resolution} (--calibration-images takes fewer)"
        )
