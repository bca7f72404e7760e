"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Inventory = Annotated[Path, typer.Option("--inventory", help="The file that lists the devices.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
