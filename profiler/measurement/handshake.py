"""The handshake with a device: what it is and has, before anything is measured or written."""

from __future__ import annotations

from compofa.common.errors import DeviceError, UserError
from compofa.profiler.inventory import changed
from compofa.profiler.measurement.device_lease import DeviceLease
from compofa.profiler.models.model_store import Models
from compofa.profiler.results.journal import Header
from compofa.profiler.results.table import Cell, SetUp
from compofa.profiler.runtimes.runtime_registry import find_runtime
from compofa.profiler.transports import Transport
from compofa.profiler.transports.agent_client import AgentError, AgentLink, Hello
from compofa.profiler.transports.device import Device

REFERENCE = Cell("compofa", "d22222", 160, 1)
"""The reference model: the smallest subnet of the default space, whatever space is measured."""


def shake_hands(device: Device, transport: Transport, lease: DeviceLease, models: Models) -> Hello:
    """Asks the device what it is and has, and loads the reference model there once.

    So whatever is missing, there or here, is reported before anything is written or measured.

    Raises:
        UserError: the device's settings do not go together, or this computer lacks the runtime,
            the accelerator, or what writes its models.
        DeviceError: the device cannot be reached, is in use by another, or lacks one of them.
    """
    with transport.start_agent() as channel:
        link = AgentLink(channel)
        hello = lease.hello(link)
        if device.runtime not in hello.runtimes:
            installed = ", ".join(hello.runtimes) or "no runtime"
            # The native agent runs without Python.
            python = hello.facts.get("python")
            where = "its agent" if python is None else f"its Python {python}"
            message = f"does not have the runtime {device.runtime}: {where} has {installed}"
            raise _fault(device)(f"{device.name} {message}", hint=_remedy(device))
        # Small and always the same: a set-up that cannot load this model can load no other.
        reference = models.model(REFERENCE)
        transport.put(reference.path, reference.sha256)
        try:
            link.load(reference.sha256, device.runtime, device.load_options())
        except AgentError as error:
            # A setting that the device refuses is the user's to change, wherever the device is.
            fault = UserError if error.kind == "setting" else _fault(device)
            raise fault(f"{device.name}: {error.message}") from None
        link.quit()
    return hello


def _remedy(device: Device) -> str | None:
    """How to get the device's runtime."""
    packages = " ".join(device.spec.packages)
    return device.install_hint(packages) if packages else None


def _fault(device: Device) -> type[UserError] | type[DeviceError]:
    """Whose fault it is that something is missing: on this computer the user can install it."""
    return UserError if device.on_this_computer else DeviceError


def fingerprint(device: Device, hello: Hello) -> dict[str, object]:
    """The facts that tell one device, and one state of its software, from another."""
    names = ("system", "machine", "os", "kernel", "cpu", "board", "cpus", "governor")
    told: dict[str, object] = {name: hello.facts.get(name) for name in names}
    told["runtime_sha256"] = hello.runtime_hashes[device.runtime]
    told["serial_sha256"] = hello.facts.get("serial_sha256")
    told["affinity"] = None if hello.affinity is None else list(hello.affinity)
    told["gpu"] = hello.facts.get("gpu")
    # Every journal has a mode, of runtimes without one as well: the first ones were written so.
    return told | {"mode": None} | device.spec.settings_of(device)


def set_up(device: Device, hello: Hello) -> SetUp:
    """What a table of this device says that its cells ran on."""
    return SetUp(
        device=device.name,
        runtime=device.runtime,
        runtime_version=hello.runtimes[device.runtime],
        accelerator=device.spec.accelerator_of(device),
        threads=device.threads,
        dtype=str(device.dtype),
    )


def as_measured(device: Device, setup: SetUp) -> Device:
    """`device` with the settings that a table of it was measured with."""
    name = find_runtime(setup.runtime).shown_as_accelerator
    settings: dict[str, str | int | None] = {name: setup.accelerator}
    return changed(
        device, runtime=setup.runtime, threads=setup.threads, dtype=setup.dtype, **settings
    )


def header(device: Device, hello: Hello) -> Header:
    """What a journal of this device says that all its lines have in common."""
    return Header(set_up(device, hello), fingerprint(device, hello))
