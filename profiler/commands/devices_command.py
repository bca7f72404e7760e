"""compofa-profile devices and check: what is in the inventory, and whether it can be measured."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import note, print_json, printable
from compofa.common.errors import ExitCode, UserError
from compofa.profiler.commands.options import Inventory, Json
from compofa.profiler.measurement.device_monitor import concerns

if TYPE_CHECKING:
    from compofa.profiler.transports import Transport
    from compofa.profiler.transports.device import Device

BUSY_LOAD = 0.5
"""Load average per CPU above which a device is called busy."""

ADVICE = {
    "busy": "stop other programs, or wait",
    "hot": "let it cool down",
    "slow": "let it cool down, or plug it in",
    "throttled": "let it cool down, or lock its clocks below what its power allows "
    "(nvidia-smi --lock-gpu-clocks)",
    "governor": "frequencies will change while runs are timed; set it to performance "
    "(cpupower frequency-set -g performance)",
}


def devices_command(inventory: Inventory = Path("devices.yaml"), json_: Json = False) -> None:
    """List the devices of the inventory."""
    from compofa.profiler.inventory import read_inventory

    found = read_inventory(inventory)
    if json_:
        listed = [device.model_dump(exclude_none=True) for device in found.values()]
        print_json({"devices": listed})
        return
    print(f"{'name':<16}{'transport':<11}{'runtime':<17}{'accelerator':<13}{'threads':>7}  where")
    for device in found.values():
        print(
            f"{device.name:<16}{device.transport:<11}{device.runtime:<17}"
            f"{device.accelerator:<13}{device.threads:>7}  {device.address}"
        )


def check_command(
    device: Annotated[str, typer.Option("--device", "-d", help="A device of the inventory.")],
    inventory: Inventory = Path("devices.yaml"),
    provision: Annotated[
        bool, typer.Option("--provision", help="First install there what it needs; ssh only.")
    ] = False,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder of wheels for --provision without a network.")
    ] = None,
    json_: Json = False,
) -> None:
    """Say whether a device can be reached, what it runs, and whether it is quiet enough."""
    if wheels is not None and not provision:
        raise UserError("--wheels goes with --provision")
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.device_access import models_for, open_device
    from compofa.profiler.measurement.noise_probe import probe
    from compofa.profiler.measurement.progress import Display
    from compofa.profiler.transports import open_transport

    settings = find_device(inventory, device)
    settings.check_settings()
    with Display(device) as display:
        if provision:
            with open_transport(settings) as transport:
                _provision(settings, transport, wheels)
        with open_device(settings, models_for(settings), display) as access:
            hello = access.hello
            quietness = probe(access)
    complaints = complain(hello.facts, hello.state) + quietness.complaints
    if json_:
        print_json(
            {
                "device": device,
                "runtimes": hello.runtimes,
                "affinity": hello.affinity,
                "facts": hello.facts,
                "state": hello.state,
                "quietness": asdict(quietness),
                "complaints": complaints,
            }
        )
    else:
        facts = hello.facts
        print(
            printable(f"{device}: {facts.get('cpu')}, {facts.get('cpus')} CPUs, {facts.get('os')}")
        )
        found = [f"{name} {version}" for name, version in hello.runtimes.items()]
        if facts.get("python"):
            found.insert(0, f"Python {facts['python']}")
        print(printable(", ".join(found)))
        print(f"bound to CPUs {hello.affinity}" if hello.affinity else "not bound to CPUs")
        print(f"reference model: {quietness.latency_ms:.2f} ms, scatter {quietness.scatter:.1%}")
        print("\n".join(complaints) or "quiet enough to measure; selftest tells more")
    raise typer.Exit(ExitCode.DONE)


def _provision(device: Device, transport: Transport, wheels: Path | None) -> None:
    packages = device.spec.packages
    if not packages:
        raise UserError(f"{device.name}: {device.runtime} is no Python package to install there")
    note(f"installing numpy and {' and '.join(packages)} on {device.name}; that may take minutes")
    transport.provision(("numpy", *packages), wheels)


def complain(facts: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """What speaks against measuring now, and what to do about it; empty if nothing does."""
    found = [f"{concern.text}; {ADVICE[concern.kind]}" for concern in concerns(state)]
    load = state.get("load_1m")
    if isinstance(load, int | float) and load > BUSY_LOAD * (facts.get("cpus") or 1):
        found.append(f"busy: load average {load:.1f}; {ADVICE['busy']}")
    governor = state.get("governor")
    if governor not in (None, "performance"):
        found.append(f"the CPU governor is {governor}; {ADVICE['governor']}")
    return found
