"""compofa-profile devices: what is in the inventory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.profiler.commands.options import Inventory, Json


def devices_command(
    inventory: Inventory = Path("devices.yaml"),
    init: Annotated[
        bool,
        typer.Option(
            "--init",
            metavar="",
            help="Writes the inventory, with an example of each kind of device to fill in.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """List the devices of the inventory; without one there is `local`, this computer."""
    from compofa.profiler.inventory import read_inventory, write_example_inventory

    if init:
        write_example_inventory(inventory)
        written = str(inventory)
        if json_:
            print_json({"written": written})
        else:
            print(printable(f"written: {written}"))
        return
    devices = read_inventory(inventory).values()
    if json_:
        print_json({"devices": [each.model_dump(exclude_none=True) for each in devices]})
        return
    print(f"{'name':<16}{'transport':<11}{'runtime':<17}{'accelerator':<13}{'threads':>7}  where")
    for each in devices:
        print(
            printable(
                f"{each.name:<16}{each.transport:<11}{each.runtime:<17}"
                f"{each.accelerator:<13}{each.threads:>7}  {each.address}"
            )
        )
