"""The options of `compofa-profile --device`: what each is called, what it takes, and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.profiler.commands.options import complete_device, inventory_option, pause_option
from compofa.supernet.commands.completion import complete_space
from compofa.supernet.defaults import DEFAULT_SPACE

WHERE = "Where to measure"
WHAT = "What to measure"
HOW = "How long and how precisely"
RESULTS = "What to write"

DevicesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        autocompletion=complete_device,
        rich_help_panel=WHERE,
        help="Measures on this device of the inventory. Repeat the option to measure several "
        "devices at the same time. `compofa-profile devices` lists what there is.",
        show_default=False,
    ),
]
InventoryOption = Annotated[Path, inventory_option(WHERE)]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=WHERE,
        help="Runs the networks with this runtime, such as tflite, instead of the one that the "
        "inventory names.",
        show_default=False,
    ),
]
AcceleratorOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=WHERE,
        help="Runs the networks on this accelerator of the runtime, such as cuda, instead of the "
        "one that the inventory names.",
        show_default=False,
    ),
]
DtypeChoice = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="NAME",
        rich_help_panel=WHERE,
        help="Computes in this number format, such as float16 or int8, instead of the one that "
        "the inventory names.",
        show_default=False,
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=WHERE,
        help="Gives the runtime this many threads instead of the number in the inventory.",
        show_default=False,
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        rich_help_panel=WHERE,
        help="Measures devices that are connected to the hosts of a Ray cluster: HOST:PORT of its "
        "head, or auto. By default this computer connects to the devices.",
        show_default=False,
    ),
]
SpaceOption = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        autocompletion=complete_space,
        rich_help_panel=WHAT,
        help="The space whose subnets are measured, by name or by its YAML file. By default "
        f"{DEFAULT_SPACE}.",
        show_default=False,
    ),
]
ResolutionList = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        rich_help_panel=WHAT,
        help="The sides of the square input images in pixels, as in 160,192 or 160-224:16. By "
        "default those of the space.",
        show_default=False,
    ),
]
BatchSizeOption = Annotated[
    str | None,
    typer.Option(
        "--batch-size",
        metavar="LIST",
        rich_help_panel=WHAT,
        help="How many images a run processes at once, as in 1 or 1,8. By default what the "
        "inventory says, or else 1.",
        show_default=False,
    ),
]
PlanOption = Annotated[
    str,
    typer.Option(
        "--plan",
        metavar="PLAN",
        rich_help_panel=WHAT,
        help="Which cells are measured; the others are predicted. auto: 40 well-chosen ones, and "
        "20 random ones to test the predictions; a number: that many, and the 20; full: all of "
        "them; TABLE.csv: those that were measured for this table.",
    ),
]

LikeOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A table of another device to learn from: 10 well-chosen cells and 10 random ones are "
        "then measured, unless --plan says otherwise. May be given several times.",
        rich_help_panel=WHAT,
        show_default=False,
    ),
]
CellSeed = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        rich_help_panel=WHAT,
        help="The seed for the choice and the order of cells.",
    ),
]
MeasureOption = Annotated[
    str,
    typer.Option(
        "--measure",
        metavar="LIST",
        rich_help_panel=WHAT,
        help="What to measure of each cell, with its columns: latency, load (load_ms), first "
        "(first_ms, the first run), memory (peak_memory_mb) and throughput (throughput_per_s). By "
        "default what comes with timing; the others take passes of their own afterwards. The "
        "latency is measured in any case.",
    ),
]
StreamsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=256,
        rich_help_panel=WHAT,
        help="Measures throughput with this many workers at once, each with a model and threads "
        "of its own. By default 1, where --measure names throughput.",
        show_default=False,
    ),
]
TargetOption = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        rich_help_panel=HOW,
        help="Measures a cell until the half-width of its confidence interval is at most this "
        "share of its latency.",
    ),
]
ConfidenceOption = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        rich_help_panel=HOW,
        help="The probability that a confidence interval holds the latency: more than 50 % and "
        "less than 100 %.",
    ),
]
MaxTimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        rich_help_panel=HOW,
        help="Stops after this time, as in 90s, 10m or 2h; the same command continues later. By "
        "default there is no limit.",
        show_default=False,
    ),
]
PauseOption = Annotated[bool, pause_option(HOW)]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=RESULTS,
        help="The table to write. By default DEVICE.csv, in the current folder.",
        show_default=False,
    ),
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        rich_help_panel=RESULTS,
        help="Adds single columns to those of --measure, as in p50_ms,p99_ms (docs/tables.md "
        "lists them). By default none. latency_ms is the time of a quiet run, below the median "
        "and the mean of all runs: p50_ms,mean_ms adds those, with intervals.",
        show_default=False,
    ),
]
FreshStart = Annotated[
    bool,
    typer.Option(
        "--fresh",
        metavar="",
        rich_help_panel=RESULTS,
        help="Starts over: discards what an earlier profile has written to the journal of the same "
        "table. By default the profile continues from there.",
    ),
]
KeepModelsOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        rich_help_panel=RESULTS,
        help="Keeps the model files in this folder, for `compofa-report compare --confirm`. By "
        "default they are deleted when the profile ends.",
        show_default=False,
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar="",
        rich_help_panel=HOW,
        help="Measures nothing: says how many cells, sessions, minutes and megabytes it would be.",
    ),
]
