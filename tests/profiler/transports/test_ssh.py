"""Devices behind a real sshd: who is let in, which way, and what never reaches a shell."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from compofa.common.errors import CompofaError, DeviceError, UserError
from compofa.common.files import sha256
from compofa.profiler.transports.agent_client import AgentLink
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.ssh import remote_files as ssh_files
from compofa.profiler.transports.ssh import ssh_transport as ssh
from compofa.profiler.transports.ssh.remote_process import SshProcess, quote, run
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.profiler.transports.ssh.ssh_transport import SshTransport
from rigs.sshd import Sshd, SshPeer

NASTY = (
    "$(touch pwned)`touch pwned`;touch pwned;touch pwned && touch pwned | touch pwned > pwned * ~",
    "';touch pwned;'\";touch pwned;\"$HOME!!{a,b}",
    "back\\slash\\\\es\\",
    "--help",
    "ümlaut 漢字",
    "",
)
"""Words that mean something to one shell or another."""


def change(sshd: Sshd, **settings: object) -> SshDevice:
    """The rig's device with other settings."""
    return SshDevice.model_validate({**sshd.device.model_dump(), **settings})


def greet(device: SshDevice) -> int:
    with SshTransport(device) as transport, transport.start_agent() as channel:
        return AgentLink(channel).hello(1, None).pid


@pytest.fixture
def config(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The client's ~/.ssh/config, which is put right afterwards, as is all beside it."""
    monkeypatch.setenv("HOME", str(sshd.home))
    folder, kept = sshd.home / ".ssh", sshd.home / "kept"
    shutil.copytree(folder, kept)
    yield folder / "config"
    shutil.rmtree(folder)
    kept.rename(folder)


# Who is let in


def test_an_unknown_host_is_refused_with_its_fingerprint(sshd: Sshd, config: Path) -> None:
    config.with_name("known_hosts").unlink()
    with pytest.raises(
        UserError, match=r"is not known yet; it shows ssh-ed25519 SHA256:"
    ) as caught:
        greet(sshd.device)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", sshd.folder / "host_key.pub"], capture_output=True, text=True
    )
    assert shown.stdout.split()[1] in str(caught.value)
    assert f"ssh -p {sshd.port} {sshd.user}@board" in str(caught.value)


def test_a_changed_host_key_is_refused_loudly(sshd: Sshd, config: Path) -> None:
    known = config.with_name("known_hosts")
    other = (config.with_name("id_test.pub")).read_text()
    known.write_text(f"[{sshd.address}]:{sshd.port} {other}")
    with pytest.raises(DeviceError, match="HAS CHANGED"):
        greet(sshd.device)


def test_an_agent_s_keys_are_offered(
    sshd: Sshd, config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    socket = tmp_path / "agent"
    keeper = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            time.sleep(0.01)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        subprocess.run(["ssh-add", "-q", str(config.with_name("id_test"))], check=True)
        config.with_name("id_test").unlink()
        assert greet(sshd.device) > 0
    finally:
        keeper.terminate()
        keeper.wait()


def test_a_locked_key_is_named(sshd: Sshd, config: Path) -> None:
    key = config.with_name("id_test")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True)
    with pytest.raises(
        DeviceError, match=r"id_test has a passphrase: add it to an ssh-agent with ssh-add"
    ):
        greet(sshd.device)


def test_a_key_that_is_not_welcome_is_told(sshd: Sshd, config: Path) -> None:
    key = config.with_name("id_test")
    key.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    with pytest.raises(
        DeviceError, match="does not let .* in: it accepts none of 1 keys"
    ) as caught:
        greet(sshd.device)
    assert "this command has to work without asking anything: ssh -p" in str(caught.value)


def test_without_a_key_nothing_is_asked(sshd: Sshd, config: Path) -> None:
    config.with_name("id_test").unlink()
    with pytest.raises(DeviceError, match="there is no key to log in with"):
        greet(sshd.device)


# Which way


def test_a_host_that_does_not_exist_is_told(config: Path) -> None:
    with pytest.raises(LinkLost, match=r"cannot reach nowhere\.invalid port 22: "):
        greet(SshDevice(name="x", host="nowhere.invalid"))


def test_a_port_where_nobody_speaks_ssh_is_told(sshd: Sshd, config: Path) -> None:
    with pytest.raises(LinkLost, match=r"cannot reach board \(.* port 1\): "):
        greet(change(sshd, port=1))


def test_jump_hosts_are_gone_through(sshd: Sshd, config: Path) -> None:
    gate = config.read_text().replace("Host board", "Host gate\nHost second")
    behind = f"""
Host board
    HostName {sshd.address}
    ProxyJump gate,second
"""
    keyed = gate.replace("Host gate\nHost second", "Host gate second board")
    config.write_text(behind + keyed)
    before = sshd.log().count("Accepted publickey")
    assert greet(sshd.device) > 0
    assert sshd.log().count("Accepted publickey") == before + 3


def test_jumps_in_a_circle_end(config: Path) -> None:
    config.write_text("Host a\n ProxyJump b\nHost b\n ProxyJump a\n")
    with pytest.raises(UserError, match="behind more than 8 jump hosts"):
        greet(SshDevice(name="x", host="a"))


def test_a_proxy_command_makes_the_connection(sshd: Sshd, config: Path) -> None:
    relay = (
        "import os, select, socket, sys; s = socket.create_connection((sys.argv[1], sys.argv[2]))\n"
        "while True:\n"
        "    for end in select.select([0, s], [], [])[0]:\n"
        "        data = s.recv(65536) if end is s else os.read(0, 65536)\n"
        "        if not data: sys.exit()\n"
        "        s.sendall(data) if end == 0 else os.write(1, data)\n"
    )
    program = sshd.home / "relay.py"
    program.write_text(relay)
    command = f"    ProxyCommand {sys.executable} {program} %h %p\n"
    config.write_text(config.read_text() + command)
    assert greet(sshd.device) > 0


def test_a_host_that_does_not_come_back_is_given_up(
    ssh_peer: SshPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "RETURN_S", 1.0)
    with ssh_peer.open() as transport:
        channel = transport.start_agent()
        ssh_peer.kill_server()
        with pytest.raises(LinkLost, match="the connection to board broke"):
            channel.receive_line(10.0, 1000)
        channel.close()
        with pytest.raises(DeviceError, match="cannot reach board .*; it was tried for 1 s"):
            transport.start_agent()
        ssh_peer.start_server()
        with transport.start_agent() as again:
            AgentLink(again).quit()


# Which host


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "fish", "tcsh", "busybox"])
def test_any_login_shell_will_do(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can give a user another shell")
    if shell == "busybox":
        (tmp_path / "sh").symlink_to(found)
        found = str(tmp_path / "sh")
    with Sshd(tmp_path / "rig", shell=found) as own:
        monkeypatch.setenv("HOME", str(own.home))
        (own.device_home / ".bashrc").write_text("echo 'a *friendly* $greeting'\n")
        with SshTransport(own.device) as transport:
            echo = 'for word; do printf "<%s>\\n" "$word"; done'
            said = run(transport.host().connection, echo, *NASTY).output
            assert said.splitlines() == [f"<{word}>" for word in NASTY]
            with transport.start_agent() as channel:
                AgentLink(channel).quit()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo No more logins; exit 1", "board runs no shell: No more logins"),
        ("exit 7", "board runs no shell: the agent ended: exit code 7"),
        ("yes", "start-up files of the shell on board print without end"),
    ],
)
def test_an_account_without_a_shell_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a user another shell")
    shell = tmp_path / "shell"
    shell.write_text(f"#!/bin/sh\n{script}\n")
    shell.chmod(0o755)
    with Sshd(tmp_path / "rig", shell=str(shell)) as own:
        monkeypatch.setenv("HOME", str(own.home))
        monkeypatch.setattr(SshProcess, "closing_s", 0.3)
        with pytest.raises(DeviceError, match=said):
            greet(own.device)


def test_windows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sshd(tmp_path, settings="VersionAddendum for_Windows_9.5\n") as own:
        monkeypatch.setenv("HOME", str(own.home))
        with pytest.raises(UserError, match="board runs Windows, where agents cannot run"):
            greet(own.device)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "cannot run .*python: .*not found; an agent needs Python 3.8 or newer"),
        ("echo 3 7", "has Python 3.7 as .*python; an agent needs Python 3.8 or newer"),
        ("echo SyntaxError >&2; exit 1", "cannot run .*python: SyntaxError"),
        ("exit 3", "cannot run .*python: exit code 3"),
    ],
)
def test_a_python_that_will_not_do_is_told(
    ssh_peer: SshPeer, tmp_path: Path, body: str | None, said: str
) -> None:
    python = tmp_path / "python"
    if body is not None:
        python.write_text(f"#!/bin/sh\n{body}\n")
        python.chmod(0o700)
    with pytest.raises(DeviceError, match=said):
        greet(change(ssh_peer.sshd, python=str(python)))


def test_the_folder_is_private_wherever_it_is(ssh_peer: SshPeer, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = tmp_path / "a place" / "of its own"
    assert greet(change(ssh_peer.sshd, folder=str(folder))) > 0
    assert folder.stat().st_mode & 0o777 == 0o700
    (agent,) = (path for path in folder.iterdir() if len(path.name) == 64)
    assert agent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_made_is_told(ssh_peer: SshPeer) -> None:
    with pytest.raises(DeviceError, match="cannot make /proc/x on board: .*/proc/x"):
        greet(change(ssh_peer.sshd, folder="/proc/x"))


# What is there


def test_a_damaged_model_is_replaced(ssh_peer: SshPeer, tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"a model")
    digest = sha256(file.read_bytes())
    for _ in range(2):
        with ssh_peer.open() as transport:
            transport.put(file, digest)
        there = ssh_peer.sshd.cache / digest
        assert there.read_bytes() == b"a model"
        assert there.stat().st_mode & 0o777 == 0o600
        there.write_bytes(b"a moth l")


@pytest.mark.parametrize(
    "left",
    [b"x" * 60_000, b"y" * 60_000, b"x" * 120_000],
    ids=["right", "wrong", "too much"],
)
def test_a_transfer_goes_on_if_what_is_there_is_right(
    ssh_peer: SshPeer, tmp_path: Path, left: bytes
) -> None:
    file = tmp_path / "model"
    file.write_bytes(b"x" * 100_000)
    digest = sha256(file.read_bytes())
    ssh_peer.sshd.cache.mkdir(parents=True, exist_ok=True)
    (ssh_peer.sshd.cache / digest).unlink(missing_ok=True)
    part = ssh_peer.sshd.cache / f"{digest}.part"
    part.write_bytes(left)
    with ssh_peer.open() as transport:
        transport.put(file, digest)
    assert (ssh_peer.sshd.cache / digest).read_bytes() == file.read_bytes()
    assert not part.exists()


def test_what_was_used_longest_ago_makes_room(
    ssh_peer: SshPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_files, "CAPACITY", 2_500_000)
    device = change(ssh_peer.sshd, folder=str(tmp_path / "cache"))
    names = []
    for number in range(4):
        file = tmp_path / str(number)
        file.write_bytes(bytes([number]) * 1_000_000)
        names.append(sha256(file.read_bytes()))
    with SshTransport(device) as transport:
        for number in (0, 1, 0, 2):
            transport.put(tmp_path / str(number), names[number])
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept == {names[0], names[2]}
    os.utime(tmp_path / "cache" / names[0], (1, 1))
    with SshTransport(device) as transport:
        transport.put(tmp_path / "3", names[3])
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept == {names[2], names[3]}


def test_an_interrupted_transfer_ends_at_once(
    sshd: Sshd, ssh_peer: SshPeer, tmp_path: Path
) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(200_000_000))
    digest = sha256(file.read_bytes())

    def interrupt() -> float:
        try:
            while f"{digest}.part" not in ssh_peer.files():
                time.sleep(0.001)
            sshd.freeze_transfers()
            time.sleep(0.5)
            return time.monotonic()
        finally:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with ssh_peer.open() as transport, ThreadPoolExecutor(1) as pool:
            interrupted = pool.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                transport.put(file, digest)
            assert time.monotonic() - interrupted.result() < 5
    finally:
        signal.signal(signal.SIGUSR1, before)


# What never reaches a shell


@pytest.mark.parametrize("word", NASTY[:3])
@pytest.mark.parametrize("field", ["host", "user", "python", "folder"])
def test_no_field_of_the_inventory_is_ever_run(
    ssh_peer: SshPeer, field: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if field == "folder":
        assert greet(change(ssh_peer.sshd, folder=f"{tmp_path}/{word}")) > 0
    else:
        with pytest.raises((CompofaError, ValidationError)):
            greet(change(ssh_peer.sshd, **{field: word}))
    folders = (tmp_path, ssh_peer.sshd.device_home, ssh_peer.sshd.cache, ssh_peer.sshd.home)
    assert not any((folder / "pwned").exists() for folder in folders)


@given(st.text(st.characters(exclude_categories=["C"])))
def test_a_quoted_word_is_one_word(word: str) -> None:
    assert shlex.split(quote(word)) == [word]


def test_what_the_host_prints_is_shown_harmlessly(ssh_peer: SshPeer, tmp_path: Path) -> None:
    rude = tmp_path / "python"
    rude.write_text("#!/bin/sh\nprintf '\\033[2J\\033]0;owned\\007' >&2; exit 1\n")
    rude.chmod(0o700)
    with pytest.raises(DeviceError, match=r"\\x1b\[2J") as caught:
        greet(change(ssh_peer.sshd, python=str(rude)))
    assert str(caught.value).isprintable()
