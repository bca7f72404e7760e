"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Inventory = Annotated[
    Path,
    typer.Option(
        "--inventory",
        metavar="FILE",
        help="The file that lists the devices and how to reach them.",
    ),
]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        help="The device, as the inventory calls it.",
    ),
]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        help="The space of the subnets, by name or by its YAML file. By default the one that the "
        "table names; a space of your own is found by its file only.",
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Prints one JSON object on the standard output, for programs."
    ),
]
