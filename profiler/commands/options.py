"""Options that several commands share.

Some commands show an option in a panel of their own: for these a function makes the option, and
the panel is its argument.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from compofa.supernet.commands.completion import complete_space


def inventory_option(panel: str | None = None) -> Any:
    """--inventory, a path."""
    return typer.Option(
        "--inventory",
        metavar="FILE",
        rich_help_panel=panel,
        help="The file that lists the devices and how to reach them.",
    )


def pause_option(panel: str) -> Any:
    """--pause and --no-pause, whether to wait."""
    return typer.Option(
        "--pause/--no-pause",
        metavar="",
        rich_help_panel=panel,
        help="Waits while the device is busy, hot or slowed down, at most 30 seconds at a time.",
    )


def min_effect_option(panel: str | None = None) -> Any:
    """--min-effect, a share as text."""
    return typer.Option(
        "--min-effect",
        metavar="PERCENT",
        rich_help_panel=panel,
        help="Changes of latency that are smaller than this do not count.",
    )


def input_shape_option(panel: str) -> Any:
    """--input-shape, texts as in image=1,3,224,224."""
    return typer.Option(
        "--input-shape",
        metavar="NAME=SIZES",
        rich_help_panel=panel,
        help="The shape of an input whose size a model leaves open, as in image=1,3,224,224. The "
        "option may be repeated.",
        show_default=False,
    )


def input_data_option(panel: str) -> Any:
    """--input-data, the path of a file."""
    return typer.Option(
        "--input-data",
        metavar="FILE.npz",
        rich_help_panel=panel,
        help="Runs the models on these arrays, which are named like their inputs. By default "
        "inputs are random.",
        show_default=False,
    )


def own_space_option(panel: str | None = None) -> Any:
    """--space of the commands that know built-in spaces from the tables, the path of a file."""
    return typer.Option(
        "--space",
        metavar="FILE.yaml",
        rich_help_panel=panel,
        help="The file that defines the space of the tables, if it is not a built-in space.",
        show_default=False,
    )


def json_option(panel: str | None = None) -> Any:
    """--json, whether to print JSON."""
    return typer.Option(
        "--json",
        metavar="",
        rich_help_panel=panel,
        help="Prints one JSON object on the standard output, for programs.",
    )


def complete_device(context: typer.Context, incomplete: str) -> list[str]:
    """What a shell offers for --device: what the inventory has that the line names, if it does."""
    from compofa.common.errors import CompofaError
    from compofa.profiler.inventory import DEFAULT_INVENTORY, built_in_devices, read_inventory

    try:
        listed = read_inventory(context.params.get("inventory") or DEFAULT_INVENTORY)
    except CompofaError:
        listed = {}  # The command itself says what is wrong with the file.
    known = {**built_in_devices(), **listed}
    return [name for name in known if name.startswith(incomplete)]


Inventory = Annotated[Path, inventory_option()]
Json = Annotated[bool, json_option()]
DeviceName = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        metavar="NAME",
        autocompletion=complete_device,
        help="The device, as the inventory calls it.",
    ),
]
SpaceFile = Annotated[
    str | None,
    typer.Option(
        "--space",
        metavar="NAME",
        autocompletion=complete_space,
        help="The space of the subnets, by name or by its YAML file. By default the one that the "
        "table names; a space of your own must be given by its file.",
        show_default=False,
    ),
]
