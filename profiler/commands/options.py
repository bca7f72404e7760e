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
Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Prints one JSON object on the standard output, for programs."
    ),
]
