"""What a shell offers where a device is to be named."""

from __future__ import annotations

import typer


def complete_device(context: typer.Context, incomplete: str) -> list[str]:
    """The devices of the inventory, of the one that the line names if it names one."""
    from compofa.common.errors import CompofaError
    from compofa.profiler.inventory import DEFAULT_INVENTORY, built_in_devices, read_inventory

    try:
        listed = read_inventory(context.params.get("inventory") or DEFAULT_INVENTORY)
    except CompofaError:
        listed = {}  # The command itself says what is wrong with the file.
    known = {**built_in_devices(), **listed}
    return [name for name in known if name.startswith(incomplete)]
