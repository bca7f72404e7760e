"""The options of compofa-report compare with their help texts, panel by panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.common.option_values import percent
from compofa.profiler.commands.options import (
    complete_device,
    input_data_option,
    input_shape_option,
    inventory_option,
    own_space_option,
    pause_option,
)
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT, MIN_EFFECT_IN_TURNS

IN_TURNS = "Measuring models (--device)"
COUNTS = "What counts as a change"
FRONT = "Pareto front"
CONFIRMING = "Measuring again (--confirm)"
MEASURING = "How it is measured (--device, --confirm)"
REPORTS = "Reports"

DEFAULT_CONFIDENCE = percent(CONFIDENCE)

CompareBaseTable = Annotated[
    Path,
    typer.Argument(
        metavar="BASE",
        help="The base of the comparison: a table, or a folder of tables. With --device it is a "
        "model file, a folder of them, or a manifest as for compofa-profile --models.",
    ),
]
CompareNewTable = Annotated[
    Path | None,
    typer.Argument(
        metavar="[NEW]",
        help="The new side, which must be of the same kind; what has the same name is compared. It "
        "is left out if one model is compared on two devices, of which the first is the base.",
        show_default=False,
    ),
]
CompareDevices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        autocompletion=complete_device,
        rich_help_panel=IN_TURNS,
        help="Measures two models on this device of the inventory, run by run in turns, until it "
        "is known whether they differ. If the option is repeated, two models are compared on each "
        "device; a single model is compared between two devices, session by session in turns.",
        show_default=False,
    ),
]
CompareForce = Annotated[
    bool,
    typer.Option(
        "--force",
        metavar="",
        rich_help_panel=IN_TURNS,
        help="Measures also pairs of identical files.",
    ),
]
CompareFresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        metavar="",
        rich_help_panel=IN_TURNS,
        help="Discards the measurements of an earlier comparison of the same files. By default the "
        "comparison continues from them.",
    ),
]
CompareJournals = Annotated[
    Path,
    typer.Option(
        "--journals",
        metavar="DIR",
        rich_help_panel=IN_TURNS,
        help="The folder for the journals, which contain every run.",
    ),
]
CompareInputShape = Annotated[list[str] | None, input_shape_option(IN_TURNS)]
CompareInputData = Annotated[Path | None, input_data_option(IN_TURNS)]
CompareMinEffect = Annotated[
    str | None,
    typer.Option(
        "--min-effect",
        metavar="PERCENT",
        rich_help_panel=COUNTS,
        help="Changes of latency that are smaller than this do not count. By default "
        f"{percent(MIN_EFFECT)}, and {percent(MIN_EFFECT_IN_TURNS)} with --device. With 0 every "
        "change counts.",
        show_default=False,
    ),
]
CompareConfidence = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        rich_help_panel=COUNTS,
        help="The probability that no cell is falsely called slower or faster, over all cells and "
        "devices together. It must be more than 50 % and less than 100 %.",
    ),
]
CompareGates = Annotated[
    list[str] | None,
    typer.Option(
        "--gate",
        metavar="COLUMN=PERCENT",
        rich_help_panel=COUNTS,
        help="Fails as well if this measured column of the tables gets worse by more than that, as "
        "in peak_memory_mb=5%. The option may be repeated.",
        show_default=False,
    ),
]
CompareAllowDifferent = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FACT",
        rich_help_panel=COUNTS,
        help="Compares set-ups although they differ in this fact, such as runtime_version. The "
        "option may be repeated. Without it, different set-ups are refused.",
        show_default=False,
    ),
]
CompareAccuracy = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=FRONT,
        help="The accuracies for the verdict on the Pareto front: a CSV table or a predictor, as "
        "for compofa-search. By default the ones that ship with the package.",
        show_default=False,
    ),
]
CompareSpace = Annotated[str | None, own_space_option(FRONT)]
CompareConfirm = Annotated[
    bool,
    typer.Option(
        "--confirm",
        metavar="",
        rich_help_panel=CONFIRMING,
        help="Measures the cells that may be slower again, with both sides in the same sessions, "
        "and decides by the new figures.",
    ),
]
CompareModels = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=CONFIRMING,
        help="A folder with the model files of both sides, such as one that compofa-profile "
        "--keep-models wrote. The option may be repeated.",
        show_default=False,
    ),
]
CompareInventory = Annotated[Path, inventory_option(MEASURING)]
CompareMaxTime = Annotated[
    str,
    typer.Option(
        metavar="DURATION",
        rich_help_panel=MEASURING,
        help="The most time to measure on each device, such as 90s, 10m or 1h.",
    ),
]
ComparePause = Annotated[bool, pause_option(MEASURING)]
CompareMarkdown = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Appends a summary in Markdown to this file, such as $GITHUB_STEP_SUMMARY.",
        show_default=False,
    ),
]
CompareComment = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes a report in Markdown that is short enough for a comment (64 KB).",
        show_default=False,
    ),
]
CompareHtml = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes an HTML page with charts and all cells, which needs no network.",
        show_default=False,
    ),
]
CompareJunit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes JUnit XML, which GitLab and Jenkins show. A slower cell is a failed test.",
        show_default=False,
    ),
]
CompareCsv = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes a CSV file with one row per cell.",
        show_default=False,
    ),
]
CompareBenchmarkAction = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes JSON for github-action-benchmark (tool: customSmallerIsBetter).",
        show_default=False,
    ),
]
CompareBencher = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=REPORTS,
        help="Writes JSON for Bencher (Bencher Metric Format).",
        show_default=False,
    ),
]
CompareFormats = Annotated[
    list[str] | None,
    typer.Option(
        "--format",
        metavar="NAME=FILE",
        rich_help_panel=REPORTS,
        help="Writes a report in the named format, as in --format junit=junit.xml. Other packages "
        "may add formats to those above. The option may be repeated.",
        show_default=False,
    ),
]
