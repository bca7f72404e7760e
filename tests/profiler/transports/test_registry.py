"""Transports by name: what a new one has to say of its devices, and what becomes of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from compofa.common.entry_points import all_entry_points, registered
from compofa.common.errors import UserError
from compofa.profiler.inventory import find_device
from compofa.profiler.transports import open_transport
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.local import LocalDevice, LocalTransport
from compofa.profiler.transports.registry import TransportSpec, find_transport, transport_names

SERIAL = """
from typing import Literal
from compofa.profiler.transports.device import Device
from compofa.profiler.transports.registry import TransportSpec

class SerialDevice(Device):
    transport: Literal["serial"] = "serial"
    port: str
    {members}

def open_serial(device):
    raise ConnectionError(f"nothing answers at {{device.port}}")

TRANSPORT = TransportSpec(SerialDevice, open_serial)
"""

ADDRESS = "address = property(lambda self: self.port)"
RESOURCE = "resource = property(lambda self: f'serial {self.port}')"


class Nameless(Device):
    transport: Literal["nameless"] = "nameless"


def test_every_registered_transport_is_whole() -> None:
    assert {"local", "ssh", "adb"} <= set(transport_names())
    assert list(transport_names()) == sorted(transport_names())
    for name in ("local", "ssh", "adb"):
        assert find_transport(name).settings.model_fields["transport"].default == name


def test_a_transport_that_forgets_to_say_where_its_devices_are_is_told_what_is_missing() -> None:
    with pytest.raises(TypeError, match="Nameless does not define address, resource"):
        TransportSpec(Nameless, LocalTransport)  # type: ignore[type-abstract]  # the mistake itself


def test_this_computer_is_this_computer_and_nothing_else_is(tmp_path: Path) -> None:
    text = "b: {transport: ssh, host: b, user: pi, port: 22}\np: {transport: adb, serial: A1}"
    (tmp_path / "devices.yaml").write_text(text)
    board, phone = (find_device(tmp_path / "devices.yaml", name) for name in "bp")
    assert LocalDevice(name="x").on_this_computer
    assert not board.on_this_computer
    assert not phone.on_this_computer
    assert [board.address, phone.address] == ["pi@b:22", "A1"]
    assert [board.resource, phone.resource] == ["ssh b:22", "adb A1"]


@pytest.fixture
def serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An inventory with a device of a transport that an installed package adds."""
    info = tmp_path / "serial_lines-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: serial-lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[compofa.transports]\nserial = lines_:TRANSPORT\n")
    (tmp_path / "devices.yaml").write_text("board: {transport: serial, port: ttyUSB0}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lines_", raising=False)
    all_entry_points.cache_clear()
    registered.cache_clear()
    yield tmp_path
    all_entry_points.cache_clear()
    registered.cache_clear()


def test_the_inventory_knows_the_settings_of_a_transport_from_elsewhere(serial: Path) -> None:
    (serial / "lines_.py").write_text(SERIAL.format(members=f"{ADDRESS}\n    {RESOURCE}"))
    device = find_device(serial / "devices.yaml", "board")
    assert (device.address, device.resource) == ("ttyUSB0", "serial ttyUSB0")
    with pytest.raises(ConnectionError, match="ttyUSB0"):
        open_transport(device)


def test_a_transport_from_elsewhere_that_lacks_something_is_named(serial: Path) -> None:
    (serial / "lines_.py").write_text(SERIAL.format(members=ADDRESS))
    said = "'serial' of the package serial-lines.*SerialDevice does not define resource"
    with pytest.raises(UserError, match=said):
        find_device(serial / "devices.yaml", "board")
