"""Options that several commands of `compofa-train` share, and the parsing of their values."""

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
"""The most subnets that are measured unless a sample of them or single ones are asked for."""

DATA, MEASURING, RUNNING, OUTPUT = "Data", "Measuring", "Running", "Output"
"""The panels of the help."""

DATA_HELP = (
    "The folder of the data set: one folder of pictures for each class, WebDataset shards (*.tar), "
    "MNIST's idx files or CIFAR's binary files."
)

CheckpointOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE", help="The checkpoint with the supernet's weights.", rich_help_panel=DATA
    ),
]
DataOption = Annotated[Path, typer.Option(help=DATA_HELP, rich_help_panel=DATA)]
SplitOption = Annotated[
    SplitPart,
    typer.Option(
        help="The images to classify: those held out of training, or the test images, which should "
        "be used for final results only.",
        rich_help_panel=DATA,
    ),
]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The record of which images were held out of training. By default the split.json "
        "beside the checkpoint.",
        rich_help_panel=DATA,
    ),
]
ResolutionsOption = Annotated[
    str | None,
    typer.Option(
        metavar="R,R,...",
        help="The resolutions to measure at, as in 160,192,224. By default those of the "
        "checkpoint's space.",
        rich_help_panel=MEASURING,
    ),
]
CalibrationOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="The number of training images from which the batch norm statistics of each subnet "
        "are computed.",
        rich_help_panel=MEASURING,
    ),
]
BatchOption = Annotated[
    int,
    typer.Option(
        min=1,
        metavar="N",
        help="The number of images that are processed together.",
        rich_help_panel=RUNNING,
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="N",
        help="The number of processes that decode pictures, for each GPU. By default up to 8 for "
        "pictures, and none for images that fit in memory.",
        rich_help_panel=RUNNING,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where to compute: cpu, cuda, or auto, which is a GPU if there is one.",
        rich_help_panel=RUNNING,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        min=0, metavar="N", help="The seed of all random choices.", rich_help_panel=RUNNING
    ),
]
FreshOption = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Discards the rows that the table already has and measures all of them again.",
        rich_help_panel=OUTPUT,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Prints one JSON object at the end.", rich_help_panel=OUTPUT)
]


def resolutions_of(text: str | None, space: Space) -> tuple[int, ...]:
    """The resolutions in the value of --resolutions, or those of the space if it is None.

    Raises:
        UserError: `text` is not a list of resolutions.
    """
    if text is None:
        return space.resolutions
    resolutions = []
    for part in text.split(","):
        if not (part.isascii() and part.isdigit() and len(part) < 6):
            message = f"--resolutions must be a list of whole numbers, not {text[:60]!r}"
            raise UserError(message, hint="as in 160,192,224")
        if not SMALLEST_RESOLUTION <= int(part) <= LARGEST_RESOLUTION:
            bounds = f"{SMALLEST_RESOLUTION} to {LARGEST_RESOLUTION}"
            raise UserError(f"--resolutions must be from {bounds}, not {part}")
        resolutions.append(int(part))
    return tuple(dict.fromkeys(resolutions))


def chosen_subnets(
    space: Space, keys: Sequence[str] | None, sample: int | None, seed: int
) -> tuple[Subnet, ...]:
    """The subnets to measure: those with the given keys, a random sample, or all of the space.

    Raises:
        UserError: a key is wrong, both keys and a sample are given, or the space has too many
            subnets to measure all.
    """
    import numpy as np

    if keys and sample:
        raise UserError("--subnet and --sample cannot be combined")
    if keys:
        return tuple(space.parse(key) for key in keys)
    if sample is None or sample >= space.size:
        if space.size > MOST_SUBNETS:
            message = f"space {space.name} has {space.size:.3g} subnets, too many to measure"
            hint = "measure a sample with --sample N, or single ones with --subnet KEY"
            raise UserError(message, hint=hint)
        return space.enumerate()
    # Drawn one by one, since a large space cannot be listed to choose from; each counts once.
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
    """Measures those of the subnets at the resolutions that the table lacks.

    Returns:
        All rows of the table.

    Raises:
        UserError: those of `EvaluationOptions.run` and `AccuracyRun.fill`.
    """
    run = options.run(table, supernet, ranks)
    if ranks.first:
        _tell_memory(supernet, subnets, max(resolutions), options.calibration_images)
    return run.fill(subnets, resolutions)


def _tell_memory(
    supernet: Supernet, subnets: Sequence[Subnet], resolution: int, images: int
) -> None:
    """Tells the user how much memory the calibration of batch norm needs, from 1 GB on."""
    from compofa.supernet.evaluation.bn_calibration import calibration_bytes
    from compofa.supernet.evaluation.prefix_tree import prefix_tree

    tree = prefix_tree(supernet.space, subnets, resolution)
    gigabytes = images * calibration_bytes(tree) / 1e9
    if gigabytes >= 1:
        note(
            f"batch norm is calibrated on {images} images: their activations need up to "
            f"{gigabytes:.1f} GB at resolution {resolution} (fewer images can be chosen with "
            "--calibration-images)"
        )
