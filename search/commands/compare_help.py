"""The options of compofa-report compare with their help texts, panel by panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.common.option_values import percent
from compofa.profiler.commands.options import (
    inventory_option,
    min_effect_option,
    own_space_option,
    pause_option,
)
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT

COUNTS = "What counts as a change"
FRONT = "Pareto front"
CONFIRMING = "Measuring again (--confirm)"
REPORTS = "Reports"

DEFAULT_MIN_EFFECT, DEFAULT_CONFIDENCE = percent(MIN_EFFECT), percent(CONFIDENCE)

CompareBaseTable = Annotated[
    Path,
    typer.Argument(metavar="BASE", help="The table to compare with, or a folder of tables."),
]
CompareNewTable = Annotated[
    Path, typer.Argument(metavar="NEW", help="The table to judge, or a folder of tables.")
]
CompareMinEffect = Annotated[str, min_effect_option(COUNTS)]
CompareConfidence = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        rich_help_panel=COUNTS,
        help="The probability that no cell is falsely called slower or faster, over all cells and "
        "devices together. It must be more than 50 % and less than 100 %.",
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
CompareInventory = Annotated[Path, inventory_option(CONFIRMING)]
CompareMaxTime = Annotated[
    str,
    typer.Option(
        metavar="DURATION",
        rich_help_panel=CONFIRMING,
        help="The most time to spend on each device, such as 90s, 10m or 1h.",
    ),
]
ComparePause = Annotated[bool, pause_option(CONFIRMING)]
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
