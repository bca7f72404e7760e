"""Which keys are offered: what OpenSSH's own client does with the same configuration."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compofa.common.errors import DeviceError
from compofa.profiler.transports.ssh.connection import connect
from compofa.profiler.transports.ssh.login import identities, ssh_config
from compofa.profiler.transports.ssh.login.ssh_config import SshConfig
from rigs.sshd import Sshd

HOST = """\
Host board
    HostName {sshd.address}
    Port {sshd.port}
    User {sshd.user}
    UserKnownHostsFile {home}/.ssh/known_hosts
"""

PEM = b"-----BEGIN %s PRIVATE KEY-----\nAAAA\n-----END %s PRIVATE KEY-----\n"

ONLY = ["IdentityAgent $HOME/agent", "IdentitiesOnly yes"]


@pytest.fixture
def home(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A client's home of this test's own, with the right key in it as `right`."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    shutil.copy(sshd.home / ".ssh" / "known_hosts", folder)
    shutil.copy(sshd.home / ".ssh" / "id_test", folder / "right")
    shutil.copy(sshd.home / ".ssh" / "id_test.pub", folder / "right.pub")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setattr(ssh_config, "SYSTEM_CONFIG", folder / "nothing")
    return folder.parent


@pytest.fixture
def agent(home: Path) -> Iterator[Path]:
    """The socket of an ssh-agent that holds the right key, and no file does."""
    path = home / "agent"
    keeper = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        while not path.exists():
            time.sleep(0.01)
        held = {"SSH_AUTH_SOCK": str(path)}
        subprocess.run(["ssh-add", "-q", str(home / ".ssh" / "right")], check=True, env=held)
        (home / ".ssh" / "right").unlink()
        yield path
    finally:
        keeper.terminate()
        keeper.wait()


def configure(sshd: Sshd, home: Path, *lines: str) -> Path:
    path = home / ".ssh" / "config"
    text = HOST.format(sshd=sshd, home=home) + "".join(f"    {line}\n" for line in lines)
    path.write_text(text.replace("$HOME", str(home)))
    return path


def lets_us_in() -> bool:
    config = SshConfig()
    try:
        connect(config, config.login("board")).close()
    except DeviceError:
        return False
    return True


def lets_openssh_in(config: Path) -> bool:
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "board", "true"]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def make_key(path: Path, *options: str) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *options, "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@pytest.mark.parametrize(
    ("lines", "inside"),
    [
        (["IdentityFile $HOME/.ssh/right"], True),
        (['IdentityFile "$HOME/.ssh/right"  # the board\'s'], True),
        (["IdentityFile=$HOME/.ssh/%n-%r-%p"], True),
        (["IdentityFile ${KEYS}/right"], True),
        (["IdentityFile $HOME/.ssh/other", "IdentityFile $HOME/.ssh/right"], True),
        (["IdentityFile $HOME/.ssh/other"], False),
        (["IdentityFile $HOME/.ssh/right", "PubkeyAuthentication no"], False),
        (["IdentityFile $HOME/.ssh/right", "PubkeyAcceptedAlgorithms rsa-*"], False),
        (["IdentityFile $HOME/.ssh/right", "PubkeyAcceptedAlgorithms -ssh-ed25519"], False),
        (["IdentityFile $HOME/.ssh/right", "PubkeyAcceptedAlgorithms +ssh-rsa"], True),
        (["IdentityFile none"], False),
    ],
)
def test_files_are_offered_as_openssh_does(
    sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str], inside: bool
) -> None:
    monkeypatch.setenv("KEYS", str(home / ".ssh"))
    make_key(home / ".ssh" / "other")
    shutil.copy(home / ".ssh" / "right", home / ".ssh" / f"board-{sshd.user}-{sshd.port}")
    config = configure(sshd, home, *lines)
    assert lets_us_in() == lets_openssh_in(config) == inside


@pytest.mark.parametrize(
    ("lines", "inside"),
    [
        (["IdentityAgent $HOME/agent"], True),
        (["IdentityAgent $AGENT"], True),
        (["IdentityAgent none"], False),
        (["IdentityAgent SSH_AUTH_SOCK"], False),
        (ONLY, False),
        (
            [*ONLY, "IdentityFile $HOME/.ssh/right"],
            True,
        ),
        (
            [
                "IdentityAgent $HOME/agent",
                "IdentitiesOnly yes",
                "IdentityFile $HOME/.ssh/right.pub",
            ],
            True,
        ),
    ],
)
def test_agents_are_asked_as_openssh_does(
    sshd: Sshd,
    home: Path,
    agent: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: list[str],
    inside: bool,
) -> None:
    monkeypatch.setenv("AGENT", str(agent))
    config = configure(sshd, home, *lines)
    assert lets_us_in() == lets_openssh_in(config) == inside


def test_the_agent_of_the_environment_is_asked(
    sshd: Sshd, home: Path, agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configure(sshd, home)
    assert not lets_us_in()
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    assert lets_us_in()
    assert lets_openssh_in(config)


def test_a_locked_key_that_an_agent_holds_open_is_known_without_its_pub_file(
    sshd: Sshd, home: Path, agent: Path
) -> None:
    shutil.copy(sshd.home / ".ssh" / "id_test", home / ".ssh" / "locked")
    lock = ["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(home / ".ssh" / "locked")]
    subprocess.run(lock, check=True)
    lines = [*ONLY, "IdentityFile $HOME/.ssh/locked"]
    config = configure(sshd, home, *lines)
    assert lets_us_in()
    assert lets_openssh_in(config)


@pytest.mark.parametrize("held", ["file", "agent"])
@pytest.mark.parametrize("named", ["beside the key", "CertificateFile"])
def test_certificates_are_shown(
    home: Path, tmp_path: Path, named: str, held: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sshd(tmp_path / "rig", settings=f"TrustedUserCAKeys {tmp_path}/ca.pub\n") as own:
        shutil.copy(own.home / ".ssh" / "known_hosts", home / ".ssh")
        make_key(tmp_path / "ca")
        make_key(home / ".ssh" / "mine")
        sign = ["ssh-keygen", "-q", "-s", str(tmp_path / "ca"), "-I", "me", "-n", own.user]
        subprocess.run([*sign, str(home / ".ssh" / "mine.pub")], check=True)
        lines = ["IdentityFile $HOME/.ssh/mine"]
        if named == "CertificateFile":
            (home / ".ssh" / "mine-cert.pub").rename(home / ".ssh" / "other")
            lines += ["CertificateFile $HOME/.ssh/nothing", "CertificateFile $HOME/.ssh/other"]
        if held == "agent":
            path = home / "agent"
            keeper = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=-3)
            while not path.exists():
                time.sleep(0.01)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
            subprocess.run(["ssh-add", "-q", str(home / ".ssh" / "mine")], check=True)
            (home / ".ssh" / "mine").unlink()
        try:
            config = configure(own, home, *lines)
            assert lets_us_in()
            assert lets_openssh_in(config)
        finally:
            if held == "agent":
                keeper.terminate()
                keeper.wait()


def test_what_is_not_supported_is_named(sshd: Sshd, home: Path) -> None:
    configure(sshd, home, "PKCS11Provider /usr/lib/token.so", "IdentityFile none")
    with pytest.raises(DeviceError, match="PKCS11Provider of the SSH configuration is not supp"):
        connect(SshConfig(), SshConfig().login("board"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "there is no key to log in with"),
        (b"not a key\n", "is not a key that can be used here"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "not a",
        ),
        (PEM % (b"DSA", b"DSA"), "is not a key that can be used here"),
        (bytes(range(256)) * 8, "is not a key that can be used here"),
    ],
)
def test_a_file_that_is_no_key_is_told(sshd: Sshd, home: Path, content: bytes, said: str) -> None:
    if content:
        (home / ".ssh" / "odd").write_bytes(content)
    configure(sshd, home, "IdentityFile $HOME/.ssh/odd")
    with pytest.raises(DeviceError, match=said):
        connect(SshConfig(), SshConfig().login("board"))


def test_an_agent_that_stays_silent_is_told(
    sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identities, "AGENT_S", 0.3)
    configure(sshd, home, "IdentityAgent $HOME/agent", "IdentityFile none")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "agent"))
        listener.listen()
        taken: list[socket.socket] = []
        threading.Thread(target=lambda: taken.append(listener.accept()[0]), daemon=True).start()
        with pytest.raises(DeviceError, match="no ssh-agent at .*agent: timed out"):
            connect(SshConfig(), SshConfig().login("board"))
        for connection in taken:
            connection.close()


def test_an_agent_without_keys_is_of_no_use(sshd: Sshd, home: Path, agent: Path) -> None:
    subprocess.run(["ssh-add", "-q", "-D"], check=True, env={"SSH_AUTH_SOCK": str(agent)})
    configure(sshd, home, "IdentityAgent $HOME/agent")
    assert not lets_us_in()
