"""The options of compofa-search with their help texts, panel by panel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.profiler.commands.options import inventory_option, json_option, pause_option
from compofa.supernet.commands.completion import complete_space
from compofa.supernet.export.dtype import Dtype, parse_dtype
from compofa.supernet.export.formats import DTYPES, FORMATS, parse_format
from compofa.supernet.export.model_format import ModelFormat

WHERE = "Which cells to look at"
WANTED = "What is wanted"
BOUNDS = "Bounds"
UNSURE = "Predicted and uncertain latencies"
VERIFYING = "Measuring the finalists (--verify)"
OUTPUT = "Output"
DEPLOYING = "Model files (--export)"

DEFAULT_TOP = 5

SearchTables = Annotated[
    list[Path],
    typer.Option(
        "--table",
        metavar="PATH",
        rich_help_panel=WHERE,
        help="A latency table that compofa-profile has written, or a folder of block tables. "
        "Repeat the option for several devices: a subnet then has to suit all of them.",
    ),
]
SearchAccuracy = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=WHERE,
        help="The accuracies: a CSV table, a predictor that compofa-train has fitted (.npz), or "
        "OFA's acc_predictor.pth. By default the predictions that ship with the package, which "
        "exist for the space compofa only.",
        show_default=False,
    ),
]
SearchMetric = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        rich_help_panel=WHERE,
        help="The column that says how good a network is, as in mAP: of the accuracies, or of "
        "tables about model files. More of it is better.",
    ),
]
SearchSpace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=complete_space,
        rich_help_panel=WHERE,
        help="The space to search: its name, or its YAML file. By default the space of the tables.",
        show_default=False,
    ),
]
SearchBatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=WHERE,
        help="Searches only cells of this batch size. It is needed if a table has several.",
        show_default=False,
    ),
]
SearchResolutions = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        rich_help_panel=WHERE,
        help="Searches only cells of these resolutions, as in 160,224 or 160-224:16. By default "
        "all are searched.",
        show_default=False,
    ),
]
SearchLatency = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LIMIT",
        rich_help_panel=WANTED,
        help="The largest latency allowed, in milliseconds or with a unit (us, ms, s), as in 25. "
        "Several limits are given as 15,20,25 or 15-50:5. With several tables, repeat the option "
        "once for each, in the same order. Without any limit the answer is the Pareto front.",
        show_default=False,
    ),
]
SearchMinTop1 = Annotated[
    str | None,
    typer.Option(
        "--min-top1",
        metavar="PERCENT",
        rich_help_panel=WANTED,
        help="The least accuracy allowed, as in 76%. Without --latency and --minimise, the fastest "
        "subnet comes first.",
        show_default=False,
    ),
]
SearchMinimise = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=WANTED,
        help="Prefers the subnets that have the least of this, instead of the most accurate ones: "
        "latency_ms, macs, params, size, memory, or a further column of the table. Several, as in "
        "latency_ms,memory, give the Pareto front over them.",
        show_default=False,
    ),
]
SearchTop = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=WANTED,
        help=f"The most results to show. By default {DEFAULT_TOP}; one per limit if there are "
        "several limits; all members of a Pareto front.",
        show_default=False,
    ),
]
SearchEach = Annotated[
    bool,
    typer.Option(
        "--each",
        metavar="",
        rich_help_panel=WANTED,
        help="Answers every limit of every table separately, each with a subnet of its own.",
    ),
]
SearchFamily = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=20,
        metavar="N",
        rich_help_panel=WANTED,
        help="Finds this many subnets (20 at most) that together serve all tables and limits best.",
        show_default=False,
    ),
]
SearchMaxMacs = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT",
        rich_help_panel=BOUNDS,
        help="The most multiply-accumulates (MACs) per image, as in 250M.",
        show_default=False,
    ),
]
SearchMaxParams = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT",
        rich_help_panel=BOUNDS,
        help="The most trainable parameters, as in 5M.",
        show_default=False,
    ),
]
SearchMaxSize = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        rich_help_panel=BOUNDS,
        help="The most bytes of weights, as in 20MB. MB is 1,000,000 bytes, MiB 1024 x 1024.",
        show_default=False,
    ),
]
SearchMaxMemory = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        rich_help_panel=BOUNDS,
        help="The most bytes of activations that are held at once, per image, as in 8MB.",
        show_default=False,
    ),
]
SearchAtMost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=NUMBER",
        rich_help_panel=BOUNDS,
        help="The largest value allowed in a further column of the table, as in energy_mj=50. The "
        "option may be repeated.",
        show_default=False,
    ),
]
SearchRisk = Annotated[
    str | None,
    typer.Option(
        metavar="PERCENT",
        rich_help_panel=UNSURE,
        help="The largest probability with which the true latency may exceed its limit, as in 5%. "
        "Without it, the latency in the table has to meet the limit.",
        show_default=False,
    ),
]
SearchLike = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="TABLE",
        rich_help_panel=UNSURE,
        help="The table of another device, from which the cells that --table lacks are predicted. "
        "The option may be repeated.",
        show_default=False,
    ),
]
SearchPredict = Annotated[
    bool,
    typer.Option(
        "--predict",
        metavar="",
        rich_help_panel=UNSURE,
        help="Searches the whole space instead of the cells in the table. A model that is fitted "
        "to the measured cells predicts the latencies.",
    ),
]
SearchSeed = Annotated[
    int,
    typer.Option(
        min=0,
        metavar="N",
        rich_help_panel=UNSURE,
        help="The random seed of the search of a large space. The same seed gives the same answer.",
    ),
]
SearchVerify = Annotated[
    bool,
    typer.Option(
        "--verify",
        metavar="",
        rich_help_panel=VERIFYING,
        help="Measures the candidates that may win on the tables' devices, updates the tables, and "
        "answers from them.",
    ),
]
SearchModels = Annotated[
    list[Path] | None,
    typer.Option(
        "--models",
        metavar="DIR",
        rich_help_panel=VERIFYING,
        help="Where the model files are that the tables are about, to measure them again: a "
        "folder, a manifest, or a file. May be given several times.",
        show_default=False,
    ),
]
SearchInventory = Annotated[Path, inventory_option(VERIFYING)]
SearchMaxTime = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        rich_help_panel=VERIFYING,
        help="The most time to spend, as in 90s, 10m or 2h. By default there is no limit.",
        show_default=False,
    ),
]
SearchPause = Annotated[bool, pause_option(VERIFYING)]
SearchPlot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Draws accuracy against latency as a page (.html) or a picture (.png).",
        show_default=False,
    ),
]
SearchOut = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.csv",
        rich_help_panel=OUTPUT,
        help="Writes the results to this CSV file, one row per result and table.",
        show_default=False,
    ),
]
SearchJson = Annotated[bool, json_option(OUTPUT)]
SearchExport = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=DEPLOYING,
        help="Writes the chosen subnets to this folder as model files, with the weights of "
        "--checkpoint.",
        show_default=False,
    ),
]
SearchCheckpoint = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=DEPLOYING,
        help="The checkpoint of the trained supernet from which the model files get their weights.",
        show_default=False,
    ),
]
SearchExportFormat = Annotated[
    ModelFormat | None,
    typer.Option(
        "--format",
        parser=parse_format,
        metavar="|".join(FORMATS),
        rich_help_panel=DEPLOYING,
        help="The format of the model files. By default onnx.",
    ),
]
SearchExportDtype = Annotated[
    Dtype,
    typer.Option(
        "--dtype",
        parser=parse_dtype,
        metavar="|".join(DTYPES),
        rich_help_panel=DEPLOYING,
        help="The number type in which the models compute.",
    ),
]
SearchCalibration = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=DEPLOYING,
        help="Images for the calibration of a quantised dtype such as int8: a folder of pictures "
        "or an .npz file.",
        show_default=False,
    ),
]
SearchData = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=DEPLOYING,
        help="A data set from which the batch norm statistics of each chosen subnet are computed. "
        "Without it, those in the checkpoint are used.",
        show_default=False,
    ),
]
