"""Several "boards" behind one sshd: an alias, a folder and a lock for each."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from compofa.profiler.inventory import SshDevice
from rigs.sshd import Sshd


def add_boards(sshd: Sshd, names: Iterable[str]) -> list[SshDevice]:
    """Makes the host `board` of `sshd` known by these names too.

    Returns:
        Their entries of the inventory.
    """
    config = sshd.home / ".ssh" / "config"
    entry = config.read_text().partition("Host board\n")[2].partition("Host ")[0]
    with config.open("a") as file:
        file.writelines(f"Host {name}\n{entry}" for name in names)
    return [
        SshDevice(
            name=name, host=name, python=sys.executable, folder=str(sshd.device_home / f"at-{name}")
        )
        for name in names
    ]
