"""compofa-train evaluate: writes the accuracy table that `compofa-search --accuracy` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.common.errors import require_package
from compofa.common.files import check_suffix
from compofa.supernet.commands import shared_options as shared
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
        help="The accuracy table to write (CSV). Rows that it already has are kept, so that the "
        "command can be run again after an interruption.",
        rich_help_panel=shared.OUTPUT,
    ),
]
_SubnetOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="Measures only this subnet, such as d23422. The option may be repeated. By default "
        "all subnets of the space are measured.",
        rich_help_panel=shared.MEASURING,
    ),
]
_SampleOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Measures N subnets, drawn at random, instead of all subnets of the space.",
        rich_help_panel=shared.MEASURING,
    ),
]


def evaluate(
    checkpoint: shared.CheckpointOption,
    data: shared.DataOption,
    out: _TableOption,
    split: shared.SplitOption = SplitPart.HELDOUT,
    split_file: shared.SplitFileOption = None,
    resolutions: shared.ResolutionsOption = None,
    subnet: _SubnetOption = None,
    sample: _SampleOption = None,
    calibration_images: shared.CalibrationOption = CALIBRATION_IMAGES,
    batch_size: shared.BatchOption = BATCH_SIZE,
    workers: shared.WorkersOption = None,
    device: shared.DeviceOption = "auto",
    seed: shared.SeedOption = 0,
    fresh: shared.FreshOption = False,
    json_: shared.JsonOption = False,
) -> None:
    """Measure the accuracy of subnets of a supernet.

    The batch norm statistics of each subnet are computed first. The result is a table that
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
        subnets = shared.chosen_subnets(supernet.space, subnet, sample, seed)
        sizes = shared.resolutions_of(resolutions, supernet.space)
        rows = shared.measure(options, out, supernet, ranks, subnets, sizes)
        if ranks.first:
            _tell(out, rows, json_)


def _tell(out: Path, rows: list[AccuracyRow], as_json: bool) -> None:
    """Prints the number of rows and the best one."""
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
