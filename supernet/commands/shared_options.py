"""Options that several commands of `compofa-train` share, and what their values stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note
from compofa.common.errors import UserError
from compofa.supernet.defaults import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from compofa.supernet.evaluation.evaluation_options import EvaluationOptions, SplitPart

if TYPE_CHECKING:
    from compofa.supernet.evaluation.accuracy_file import AccuracyRow
    from compofa.supernet.ranks import Ranks
    from compofa.supernet.space import Space
    from compofa.supernet.subnet import Subnet
    from compofa.supernet.supernet import Supernet

MOST_SUBNETS = 10_000
"""Of larger spaces, single subnets or a sample are measured."""

DATA, MEASURING, RUNNING, OUTPUT = "Data", "Measuring", "Running", "Output"
"""The panels of the help."""

DATA_HELP = (
    "Folder of the data set: one folder of pictures for each class, WebDataset shards (*.tar), "
    "MNIST's idx files or CIFAR's binary files."
)

CheckpointOption = Annotated[
    Path, typer.Option(help="Checkpoint with the supernet's weights.", rich_help_panel=DATA)
]
DataOption = Annotated[Path, typer.Option(help=DATA_HELP, rich_help_panel=DATA)]
SplitOption = Annotated[
    SplitPart,
    typer.Option(
        help="Images to classify: those held out of training, or the test images, which are for "
        "the final figures alone.",
        rich_help_panel=DATA,
    ),
]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(
        help="Record of which images were held out. Without it, the split.json beside the "
        "checkpoint is read.",
        rich_help_panel=DATA,
    ),
]
ResolutionsOption = Annotated[
    str | None,
    typer.Option(
        metavar="R,R,...",
        help="Input sizes to measure at, such as 160,192,224. Without it, those of the "
        "checkpoint's space.",
        rich_help_panel=MEASURING,
    ),
]
CalibrationOption = Annotated[
    int,
    typer.Option(
        min=1,
        help="How many training images the batch norm statistics of each subnet are computed on.",
        rich_help_panel=MEASURING,
    ),
]
BatchOption = Annotated[
    int,
    typer.Option(min=1, help="How many images are processed at once.", rich_help_panel=RUNNING),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Number of processes that decode pictures, for each GPU. Without it, up to 8 for "
        "pictures and none for images that fit in memory.",
        rich_help_panel=RUNNING,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="Where to compute: cpu, cuda, or auto for a GPU if there is one.",
        rich_help_panel=RUNNING,
    ),
]
SeedOption = Annotated[
    int, typer.Option(min=0, help="Seed of all random choices.", rich_help_panel=RUNNING)
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Discard the rows that the table already has and measure all of them again.",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object at the end.", rich_help_panel=OUTPUT)
]


def resolutions_of(text: str | None, space: Space) -> tuple[int, ...]:
    """The resolutions that an option names, or those of the space.

    Raises:
        UserError: it is no list of resolutions.
    """
    if text is None:
        return space.resolutions
    resolutions = []
    for part in text.split(","):
        if not (part.isascii() and part.isdigit() and len(part) < 6):
            raise UserError(f"--resolutions {text!r}: expected whole numbers with commas between")
        if not SMALLEST_RESOLUTION <= int(part) <= LARGEST_RESOLUTION:
            bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
            raise UserError(f"--resolutions {text!r}: {part} is out of bounds, {bounds}")
        resolutions.append(int(part))
    return tuple(dict.fromkeys(resolutions))


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
    drawn: dict[Subnet, None] = {}
    while len(drawn) < sample:
        drawn[space.sample(rng)] = None
    return tuple(drawn)


def measure(
    options: EvaluationOptions,
    table: Path,
    supernet: Supernet,
    ranks: Ranks,
    subnets: Sequence[Subnet],
    resolutions: Sequence[int],
) -> list[AccuracyRow]:
    """Fills the table with these subnets at these resolutions; all rows that it has then.

    Raises:
        UserError: see `EvaluationOptions.run` and `AccuracyRun.fill`.
    """
    run = options.run(table, supernet, ranks)
    if ranks.first:
        _tell_memory(supernet, subnets, max(resolutions), options.calibration_images)
    return run.fill(subnets, resolutions)


def _tell_memory(
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
