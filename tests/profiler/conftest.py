"""A space of tiny networks, on which a whole profile takes seconds, and devices of every kind."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from compofa.profiler.agent import AGENT
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.server import AdbServer
from compofa.profiler.transports.local import LocalDevice, LocalTransport
from compofa.supernet.space import Space
from compofa.supernet.spaces import get_space
from rigs.adbd import AdbPeer, OwnServer, built_adbd
from rigs.peer import Peer, processes_naming
from rigs.sshd import Sshd, SshPeer

TINY_SPACE = """\
name: tiny
width: 0.25
classes: 10
resolutions: [32, 40]
"""


@pytest.fixture(scope="session")
def tiny_space_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "tiny.yaml"
    path.write_text(TINY_SPACE)
    return path


@pytest.fixture(scope="session")
def tiny_space(tiny_space_file: Path) -> Space:
    return get_space(str(tiny_space_file))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds adbd, which takes a minute once, before any test's time runs."""
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if not session.config.option.collectonly and wanted & {"adb_server", "peer"}:
        with contextlib.suppress(pytest.skip.Exception):
            built_adbd()


class LocalPeer(Peer):
    """This computer; all that agents leave is in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.device, self._folder = LocalDevice(name="here"), folder

    def open(self, agent: Path | None = None) -> LocalTransport:
        """See `Peer.open`."""
        return LocalTransport(LocalDevice(name="here"), agent or AGENT)

    def files(self) -> set[str]:
        """See `Peer.files`."""
        return {path.name for path in self._folder.glob("*/*")}

    def processes(self) -> list[int]:
        """See `Peer.processes`."""
        return processes_naming(str(self._folder))

    def close(self) -> None:
        """See `Closing.close`."""


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with Sshd(tmp_path_factory.mktemp("sshd")) as started, pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield started


@pytest.fixture
def ssh_peer(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> SshPeer:
    monkeypatch.setenv("HOME", str(sshd.home))
    return SshPeer(sshd)


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with OwnServer(tmp_path_factory.mktemp("adb")) as server:
        yield server.address


@pytest.fixture
def adb_peer(adb_server: AdbServer, tmp_path: Path) -> Iterator[AdbPeer]:
    with AdbPeer(tmp_path, adb_server) as phone:
        yield phone


@pytest.fixture
def adb_phone(adb_peer: AdbPeer) -> Phone:
    """The phone behind `adb_peer`, connected to."""
    found = Phone(adb_peer.server, adb_peer.device.serial)
    found.reach()
    return found


@pytest.fixture(params=["local", "ssh", "adb"])
def peer(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Peer]:
    """A device of each kind; after the test no agent may be left on it."""
    found: Peer
    if request.param == "local":
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        found = LocalPeer(tmp_path)
    else:
        found = request.getfixturevalue(f"{request.param}_peer")
    yield found
    found.wait_for_processes([])
