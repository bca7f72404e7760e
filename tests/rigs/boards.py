"""Several "boards" behind one sshd, each with a folder and a lock, and little to measure there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from compofa.profiler.fleet.job import Job
from compofa.profiler.measurement.profile import ProfileRequest
from compofa.profiler.results.journal import Timing, of_kind, read_journal
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.spaces import SPACES
from rigs.sshd import Sshd

_COMPOFA = SPACES["compofa"]
ONE_SUBNET = replace(
    _COMPOFA,
    name="one-subnet",
    width=0.25,
    classes=10,
    units=tuple(replace(unit, depths=(2,)) for unit in _COMPOFA.units),
    resolutions=tuple(range(32, 80, 4)),
)
"""A space with a cell for each of its twelve resolutions."""

ONE_SESSION = Protocol(
    min_sessions=1, max_sessions=1, min_runs=3, run_s=1e-4, warmup_chunk=2, reference_runs=2
)


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


def write_inventory(folder: Path, devices: Iterable[Device]) -> None:
    """Writes the devices.yaml that lists them."""
    entries = {
        device.name: device.model_dump(exclude_defaults=True, exclude={"name"})
        | {"transport": device.transport}
        for device in devices
    }
    (folder / "devices.yaml").write_text(json.dumps(entries))


def timings(journal: Path) -> list[Timing]:
    """What was timed so far; nothing before the journal's first line."""
    written = journal.exists() and journal.stat().st_size > 0
    return of_kind(read_journal(journal)[1], Timing) if written else []


def small_job(device: Device) -> Job:
    """Measures `device` for a few seconds, into the working folder."""
    out = Path(f"{device.name}.csv")
    request = ProfileRequest(
        ONE_SUBNET, ONE_SUBNET.resolutions, (1,), out, protocol=ONE_SESSION, patience_s=0
    )
    return Job(device, request)
