"""Phones over a real adbd: which of the many ways not to be reached it is, and what to do."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError, UserError
from compofa.profiler.transports import open_transport
from compofa.profiler.transports.adb import server as server_module
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.adb.adb_transport import AdbTransport
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.server import AdbServer
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.base import LinkLost
from rigs.adbd import NASTY, Adbd, AdbPeer
from rigs.peer import processes_naming


def test_a_phone_that_did_not_accept_this_computer_says_what_to_do(
    adb_server: AdbServer, tmp_path: Path
) -> None:
    with (
        Adbd(tmp_path / "phone", secure=True) as adbd,
        pytest.raises(DeviceError, match="is unauthorized.*accept this computer's key"),
    ):
        Phone(adb_server, adbd.serial).reach()


def test_a_serial_that_is_not_there_is_answered_with_those_that_are(adb_phone: Phone) -> None:
    with pytest.raises(DeviceError, match=f"no device 1A2B3C; it sees: .*{adb_phone.serial}"):
        Phone(adb_phone.server, "1A2B3C").reach()


def test_an_address_where_nobody_listens_is_given_up_soon(adb_server: AdbServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        serial = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(LinkLost, match=f"cannot connect to {serial}.*is it on"):
            Phone(adb_server, serial).reach(patience_s=0.5)


def test_a_phone_that_restarted_is_back_before_adb_notices(
    adb_peer: AdbPeer, adb_phone: Phone
) -> None:
    adb_peer.kill_server()
    adb_peer.start_server()
    begun = time.monotonic()
    adb_phone.reach()
    assert adb_phone.run("echo back").text == "back\n"
    assert time.monotonic() - begun < 5


def test_reviving_one_phone_leaves_the_others_alone(
    adb_peer: AdbPeer, adb_phone: Phone, tmp_path: Path
) -> None:
    with (
        AdbPeer(tmp_path / "other", adb_peer.server) as other,
        other.open() as transport,
        transport.start_agent() as channel,
    ):
        link = AgentLink(channel)
        pid = link.hello(1, None).pid
        adb_peer.kill_server()
        adb_peer.start_server()
        adb_phone.reach()
        link.state()
        assert other.processes() == [pid]


def test_a_line_that_was_cut_is_noticed_although_the_server_says_device(
    adb_peer: AdbPeer, adb_phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SILENCE_S", 0.2)
    monkeypatch.setattr(server_module, "ANSWER_S", 0.5)
    with adb_phone.start("sleep 60") as remote:
        adb_peer.cut()
        assert adb_phone.state() == "device"
        begun = time.monotonic()
        with pytest.raises(LinkLost):
            remote.finish(60)
        assert time.monotonic() - begun < 4


def test_a_silent_command_is_not_taken_for_a_cut_line(
    adb_phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "SILENCE_S", 0.1)
    assert adb_phone.run("sleep 0.8; echo done").text == "done\n"


@pytest.mark.parametrize(
    ("environment", "host", "port"),
    [
        ({}, "127.0.0.1", 5037),
        ({"ANDROID_ADB_SERVER_PORT": "15037"}, "127.0.0.1", 15037),
        ({"ANDROID_ADB_SERVER_ADDRESS": "lab", "ANDROID_ADB_SERVER_PORT": "1"}, "lab", 1),
        ({"ADB_SERVER_SOCKET": "tcp:5038"}, "127.0.0.1", 5038),
        ({"ADB_SERVER_SOCKET": "tcp:lab:5038"}, "lab", 5038),
    ],
)
def test_the_server_is_the_one_that_adb_would_use(
    environment: dict[str, str], host: str, port: int
) -> None:
    assert AdbServer.of_environment(environment) == AdbServer(host, port)


@pytest.mark.parametrize(
    "environment",
    [
        {"ANDROID_ADB_SERVER_PORT": "x"},
        {"ANDROID_ADB_SERVER_PORT": "70000"},
        {"ANDROID_ADB_SERVER_PORT": "²"},
        {"ADB_SERVER_SOCKET": "localabstract:adb"},
    ],
)
def test_a_server_address_that_is_none_is_the_user_s_mistake(environment: dict[str, str]) -> None:
    with pytest.raises(UserError):
        AdbServer.of_environment(environment)


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AdbServer]:
    """An address where no server runs yet; one that was started there is ended."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ADB_LOCAL_TRANSPORT_MAX_PORT", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield AdbServer(port=port)
    for pid in processes_naming(f"tcp:{port}"):
        os.kill(pid, signal.SIGTERM)


@pytest.mark.usefixtures("adb_server")
def test_a_server_is_started_where_none_runs(nobody: AdbServer) -> None:
    assert nobody.ask("host:devices") == ""


def test_without_adb_the_error_says_what_to_install(
    nobody: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="adb is not installed.*apt install adb"):
        nobody.ask("host:devices")


@pytest.mark.parametrize("form", NASTY)
@pytest.mark.parametrize("setting", ["serial", "python", "folder"])
def test_settings_of_a_phone_run_nothing(
    adb_peer: AdbPeer, tmp_path: Path, setting: str, form: str
) -> None:
    word = form.format(c=tmp_path / "canary")
    value = f"{tmp_path}/{word.replace('/', '-')}" if setting == "folder" else word
    device = AdbDevice.model_validate(
        {**adb_peer.device.model_dump(), "python": "/bin/cat", setting: value}
    )
    with AdbTransport(device, adb_peer.server) as transport:
        try:
            transport.start_agent().close()
        except DeviceError:
            assert setting != "folder"
    assert not (tmp_path / "canary").exists()
    assert setting != "folder" or Path(value).is_dir()


def test_the_inventory_opens_phones(adb_peer: AdbPeer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_peer.server.port))
    with open_transport(adb_peer.device) as transport, transport.start_agent() as channel:
        hello = AgentLink(channel).hello(1, None)
    assert hello.facts["board"] == "Google Pixel 6"
    assert hello.facts["python"]
    assert hello.state["battery_percent"] == 87


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"runtime": "onnxruntime"}, "names no program that runs onnxruntime on the phone"),
        ({"runtime": "benchmark_model"}, "does not say where benchmark_model is"),
        ({"binary": "nowhere", "runtime": "benchmark_model"}, "cannot read the file: no such file"),
        ({"agent": "nowhere"}, "cannot read the file: no such file"),
    ],
)
def test_a_phone_without_a_program_is_the_user_s_mistake(
    adb_peer: AdbPeer, settings: dict[str, str], said: str
) -> None:
    device = adb_peer.device.model_copy(update={"python": None, **settings})
    with (
        AdbTransport(device, adb_peer.server) as transport,
        pytest.raises(UserError, match=said),
    ):
        transport.start_agent()
