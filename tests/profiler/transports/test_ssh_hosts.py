"""SSH hosts as they are found: mute, chatty, with few algorithms, no SFTP, or one session."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compofa.common.errors import CompofaError, DeviceError
from compofa.common.files import sha256
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.ssh import connection as ssh_connection
from compofa.profiler.transports.ssh import remote_process
from compofa.profiler.transports.ssh import ssh_transport as ssh
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.profiler.transports.ssh.ssh_transport import SshTransport
from rigs.mute_host import BEHAVIOURS, MuteHost, greets_only, silent, trickling
from rigs.sshd import Dropbear, Sshd, SshPeer


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def use(device: SshDevice, folder: Path) -> None:
    """Copies a file to the device, twice, and runs an agent there while another file is copied."""
    names = []
    for text in (b"one", b"two" * 50_000):
        file = folder / text[:3].decode()
        file.write_bytes(text)
        names.append((file, sha256(text)))
    with SshTransport(device) as transport:
        transport.put(*names[0])
        transport.put(*names[0])
        with transport.start_agent() as channel:
            link = AgentLink(channel)
            assert link.hello(1, None).pid > 0
            transport.put(*names[1])
            link.quit()


# Mute hosts


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda behaviour: behaviour.__name__)
def test_a_host_that_speaks_no_ssh_is_told_in_time(
    home: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Callable[[], Iterator[bytes]]
) -> None:
    monkeypatch.setattr(ssh_connection, "CONNECT_S", 1.0)
    with MuteHost(behaviour) as host:
        device = SshDevice(name="board", host="127.0.0.1", port=host.port)
        begun = time.monotonic()
        with (
            SshTransport(device) as transport,
            pytest.raises(LinkLost, match=r"127\.0\.0\.1 port \d+ does not speak SSH: ..") as said,
        ):
            transport.put(Path(__file__), "0" * 64)
    assert time.monotonic() - begun < 5
    assert len(str(said.value)) < 300


def test_a_mute_host_is_told_from_a_slow_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_connection, "CONNECT_S", 0.5)
    for behaviour, what in (
        (silent, "says nothing within 0.5 s"),
        (trickling, "does not finish its greeting within 0.5 s"),
        (greets_only, "does not finish its greeting within 0.5 s"),
    ):
        with MuteHost(behaviour) as host:
            device = SshDevice(name="board", host="127.0.0.1", port=host.port)
            with SshTransport(device) as transport, pytest.raises(LinkLost, match=what):
                transport.start_agent()


def test_a_jump_host_that_goes_mute_is_told(
    ssh_peer: SshPeer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(ssh_peer.sshd.home))
    monkeypatch.setattr(ssh_connection, "CONNECT_S", 1.0)
    command = "sleep 60"
    config = ssh_peer.sshd.home / ".ssh" / "config"
    before = config.read_text()
    config.write_text(before + f"    ProxyCommand {command}\n")
    try:
        with ssh_peer.open() as transport, pytest.raises(LinkLost, match="says nothing within 1 s"):
            transport.start_agent()
    finally:
        config.write_text(before)


def test_a_host_that_comes_back_mute_is_given_up(
    ssh_peer: SshPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a connection is made again, not the first time."""
    monkeypatch.setattr(ssh_connection, "CONNECT_S", 1.0)
    monkeypatch.setattr(ssh, "RETURN_S", 2.0)
    config = ssh_peer.sshd.home / ".ssh" / "config"
    before = config.read_text()
    with MuteHost(silent) as mute, ssh_peer.open() as transport:
        channel = transport.start_agent()
        config.write_text(f"Host board\n HostName 127.0.0.1\n Port {mute.port}\n" + before)
        try:
            ssh_peer.hang_up()
            with pytest.raises(LinkLost):
                channel.receive_line(10.0, 1000)
            channel.close()
            with pytest.raises(
                DeviceError, match="does not speak SSH: it says nothing .* tried for"
            ):
                transport.start_agent()
        finally:
            config.write_text(before)


PACKETS = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 20, 21, 31, 33, 52, 80, 90, 255]), st.binary(max_size=90)
    ),
    max_size=4,
)


@given(st.sampled_from([b"SSH-2.0-x\r\n", b"SSH-1.5-x\n", b"SSH-2.0\n", b"hello\n", b""]), PACKETS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_a_host_sends_is_told_as_its_fault(
    home: Path, monkeypatch: pytest.MonkeyPatch, greeting: bytes, packets: list[tuple[int, bytes]]
) -> None:
    monkeypatch.setattr(ssh_connection, "CONNECT_S", 0.3)

    def behaviour() -> Iterator[bytes]:
        yield greeting
        for kind, content in packets:
            body = bytes([kind]) + content
            padding = 8 - (len(body) + 5) % 8 + 4
            yield struct.pack(">IB", len(body) + padding + 1, padding) + body + bytes(padding)

    with MuteHost(behaviour) as host:
        device = SshDevice(name="board", host="127.0.0.1", port=host.port)
        with SshTransport(device) as transport, pytest.raises(DeviceError) as caught:
            transport.start_agent()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


# Few algorithms


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("Ciphers chacha20-poly1305@openssh.com", "no cipher in common: board offers chacha20"),
        ("MACs umac-128-etm@openssh.com", "no MAC in common: board offers umac-128-etm@"),
        (
            "KexAlgorithms sntrup761x25519-sha512@openssh.com",
            "no key exchange in common: board offers sntrup761x25519-sha512@openssh.com, and",
        ),
        ("HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com", None),
    ],
)
def test_a_host_with_few_algorithms_is_told_what_is_lacking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str | None
) -> None:
    with Sshd(tmp_path / "rig", settings=setting + "\n") as own:
        monkeypatch.setenv("HOME", str(own.home))
        if said is None:
            with pytest.raises(CompofaError):
                use(own.device, tmp_path)
            return
        with pytest.raises(DeviceError, match=said) as caught:
            use(own.device, tmp_path)
    assert "the SSH library here (paramiko) has" in str(caught.value)
    assert f"to {setting.split()[0]} in sshd_config on board" in str(caught.value)


# What login shells print, and what servers lack


@pytest.mark.parametrize("start_up", ["echo Welcome", "echo Welcome >&2", "printf Welcome"])
def test_a_login_shell_may_print_what_it_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_up: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a user another home")
    with Sshd(tmp_path / "rig") as own:
        monkeypatch.setenv("HOME", str(own.home))
        (own.device_home / ".bashrc").write_text(start_up + "\n")
        use(own.device, tmp_path)


def test_a_host_without_sftp_is_as_good_as_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Dropbear(tmp_path / "rig") as own:
        monkeypatch.setenv("HOME", str(own.home))
        (own.device_home / ".bashrc").write_text("echo Welcome\n")
        use(own.device, tmp_path)


def test_dropbear_that_hangs_up_is_reached_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Dropbear(tmp_path / "rig") as own:
        monkeypatch.setenv("HOME", str(own.home))
        with SshTransport(own.device) as transport:
            with transport.start_agent() as channel:
                AgentLink(channel).hello(1, None)
                own.hang_up()
                with pytest.raises(LinkLost, match="the connection to board broke"):
                    channel.receive_line(10.0, 1000)
            with transport.start_agent() as channel:
                AgentLink(channel).quit()


def test_one_session_for_each_connection_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sshd(tmp_path / "rig", settings="MaxSessions 1\n") as own:
        monkeypatch.setenv("HOME", str(own.home))
        use(own.device, tmp_path)
        assert own.log().count("Accepted publickey") in (2, 3)


def test_a_host_that_allows_no_sessions_is_told_what_to_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sshd(tmp_path / "rig", settings="MaxSessions 0\n") as own:
        monkeypatch.setenv("HOME", str(own.home))
        with pytest.raises(DeviceError, match="board allows no more sessions .*MaxSessions"):
            use(own.device, tmp_path)


def test_a_host_without_a_way_to_check_files_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a user another home")
    with Sshd(tmp_path / "rig") as own:
        monkeypatch.setenv("HOME", str(own.home))
        few = tmp_path / "few"
        few.mkdir()
        for tool in ("sh", "ls", "cat", "wc", "mkdir", "chmod", "rm", "mv", "touch", "df"):
            (few / tool).symlink_to(f"/bin/{tool}")
        (own.device_home / ".bashrc").write_text(f"PATH={few}\n")
        with pytest.raises(DeviceError, match="it needs sha256sum, shasum or openssl"):
            use(own.device, tmp_path)


def test_a_command_that_the_host_never_takes_up_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_process, "START_S", 1.0)
    with Sshd(tmp_path / "rig", settings="ForceCommand sleep 60\n") as own:
        monkeypatch.setenv("HOME", str(own.home))
        monkeypatch.setattr(remote_process.SshProcess, "closing_s", 0.3)
        with pytest.raises(DeviceError, match="board runs no shell"):
            use(own.device, tmp_path)
