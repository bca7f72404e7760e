"""compofa-train evaluate: the accuracy table that `compofa-search --accuracy` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.common.errors import require_package
from compofa.common.files import check_suffix
from compofa.supernet.commands.shared_options import (
    MEASURING,
    OUTPUT,
    BatchOption,
    CalibrationOption,
    CheckpointOption,
    DataOption,
    DeviceOption,
    FreshOption,
    JsonOption,
    ResolutionsOption,
    SeedOption,
    SplitFileOption,
    SplitOption,
    WorkersOption,
    chosen_subnets,
    resolutions_of,
    tell_memory,
)
from compofa.supernet.evaluation.evaluation_options import (
    BATCH_SIZE,
    CALIBRATION_IMAGES,
    EvaluationOptions,
    SplitPart,
)

if TYPE_CHECKING:
    from compofa.supernet.evaluation.accuracy_file import AccuracyRow


_TableOption = Annotated[
    Path,
    typer.Option(
        help="Accuracy table to write (CSV). Rows that it already has are kept, so that an "
        "interrupted command can be given again.",
        rich_help_panel=OUTPUT,
    ),
]
_SubnetOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="Measure only this subnet, such as d23422. May be given several times.",
        rich_help_panel=MEASURING,
    ),
]
_SampleOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Measure this many subnets, drawn at random, instead of all of the space.",
        rich_help_panel=MEASURING,
    ),
]


def evaluate(
    checkpoint: CheckpointOption,
    data: DataOption,
    out: _TableOption,
    split: SplitOption = SplitPart.HELDOUT,
    split_file: SplitFileOption = None,
    resolutions: ResolutionsOption = None,
    subnet: _SubnetOption = None,
    sample: _SampleOption = None,
    calibration_images: CalibrationOption = CALIBRATION_IMAGES,
    batch_size: BatchOption = BATCH_SIZE,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    fresh: FreshOption = False,
    json_: JsonOption = False,
) -> None:
    """Measure the accuracy of subnets of a supernet.

    Each subnet gets batch norm statistics of its own first. The result is a table that
    `compofa-search --accuracy` reads.
    """
    check_suffix(out, ".csv")
    require_package("torch", "train")
    from compofa.supernet.ranks import joined_ranks

    options = EvaluationOptions(
        checkpoint, data, split, split_file, calibration_images, batch_size, workers, seed, fresh
    )
    with joined_ranks(device) as ranks:
        supernet = options.load(ranks)
        subnets = chosen_subnets(supernet.space, subnet, sample, seed)
        sizes = resolutions_of(resolutions, supernet.space)
        run = options.run(out, supernet, ranks)
        if ranks.first:
            tell_memory(supernet, subnets, max(sizes), calibration_images)
        rows = run.fill(subnets, sizes)
        if ranks.first:
            _tell(out, rows, json_)


def _tell(out: Path, rows: list[AccuracyRow], as_json: bool) -> None:
    """The best row, and how many there are."""
    best = max(rows, key=lambda row: row.top1)
    if as_json:
        print_json(
            {
                "path": str(out),
                "space": best.space,
                "rows": len(rows),
                "best": {"subnet": best.subnet, "resolution": best.resolution, "top1": best.top1},
            }
        )
        return
    print(
        printable(
            f"{out}: {len(rows)} rows of {best.space}, the best {best.subnet} at "
            f"{best.resolution}: {100 * best.top1:.2f} %, {best.source}"
        )
    )
