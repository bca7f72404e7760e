"""A real sshd of a test's own, and the ~/.ssh of somebody who may log in there."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from compofa.common.closing import Closing
from compofa.profiler.agent import AGENT
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.profiler.transports.ssh.ssh_transport import SshTransport
from rigs.mute_host import mute_command
from rigs.netns import Namespace, may_make_namespaces
from rigs.peer import Peer, processes_naming

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

SETTINGS = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
UsePAM no
StrictModes no
Subsystem sftp /usr/lib/openssh/sftp-server
MaxStartups 100
"""

CONFIG = """\
Host board
    HostName {address}
    Port {port}
    User {user}
    IdentityFile {home}/.ssh/id_test
    IdentitiesOnly yes
"""

IN_NAMESPACE = """\
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs tmpfs /run
mkdir /run/sshd
shift
exec "$@"
"""


class Sshd(Closing):
    """As root it runs in a namespace of its own, where its user has a home and a shell of its own;
    as anybody else on 127.0.0.1, with that user's.

    Args:
        folder: for all its files.
        shell: the user's login shell; needs root.
        settings: more lines for sshd_config.

    Attributes:
        home: the client's: HOME for whoever wants to reach it as `board`.
        device_home: its user's; as anybody but root, a folder beside that.
        address, port, user: where it is, and who may log in.
        cache: the agent's folder there.
    """

    program = "sshd"

    def __init__(self, folder: Path, shell: str = "/bin/bash", settings: str = "") -> None:
        self._need_program()
        self.folder = folder
        self._mute: subprocess.Popen[bytes] | None = None
        self.home, self.device_home = folder / "client", folder / "device"
        for made in (self.home / ".ssh", self.device_home):
            made.mkdir(parents=True, mode=0o700)
        self.namespace = Namespace() if may_make_namespaces() else None
        if self.namespace is None:
            self.address, self.port, self.user = "127.0.0.1", _free_port(), getpass.getuser()
            self.cache = self.device_home / "cache"
        else:
            self.address, self.port, self.user = self.namespace.address, 2222, "dev"
            self.cache = self.device_home / ".cache" / "compofa"
            users = Path("/etc/passwd").read_text()
            users += f"dev:x:0:0::{self.device_home}:{shell}\n"
            (folder / "passwd").write_text(users)
        self._make_keys()
        (folder / "sshd_config").write_text(
            SETTINGS.format(port=self.port, address=self.address, folder=folder) + settings
        )
        self.start()

    @property
    def device(self) -> SshDevice:
        """As the inventory describes it, with this Python as its own."""
        folder = None if self.namespace else str(self.cache)
        settings = {"name": "board", "host": "board", "python": sys.executable, "folder": folder}
        return SshDevice.model_validate({k: v for k, v in settings.items() if v is not None})

    def start(self) -> None:
        """Starts sshd; returns once it listens. A mute host in its place ends."""
        if self._mute is not None:
            self._mute.kill()
            self._mute.wait()
            self._mute = None
        command = self._command()
        if self.namespace is not None:
            shell = ("sh", "-ec", IN_NAMESPACE, "sh", str(self.folder))
            command = self.namespace.command(*shell, *command)
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, start_new_session=True)
        until = time.monotonic() + 10
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"sshd does not start: {self.log()}")
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to it and to all its connections."""
        for pid in [self._process.pid, *_children(self._process.pid)]:
            if _told(pid, "comm").startswith(self.program):
                _send(pid, number)

    def go_mute(self, behaviour: str) -> None:
        """Kills it, and has a mute host take its place until it is started again."""
        self.kill()
        command = mute_command(behaviour, self.address, self.port)
        if self.namespace is not None:
            command = self.namespace.command(*command)
        self._mute = subprocess.Popen(command, start_new_session=True)

    def hang_up(self) -> None:
        """Kills all its connections, but nothing that was started over them."""
        for pid in _children(self._process.pid):
            if _told(pid, "comm").startswith(self.program):
                _send(pid, signal.SIGKILL)

    def freeze_transfers(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Has all transfers of files stand still from now on, while connections live on."""
        for pid in _children(self._process.pid):
            if _told(pid, "comm") == "cat":
                _send(pid, number)

    def kill(self) -> None:
        """Kills it and all its connections, but nothing that was started over them."""
        for pid in [*_children(self._process.pid), self._process.pid]:
            if _told(pid, "comm").startswith(self.program):
                _send(pid, signal.SIGKILL)
        self._process.wait()

    def log(self) -> str:
        """What sshd has said so far."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    def run_inside(self, *command: str) -> None:
        """Runs a command where the device's mounts are; needs root."""
        target = ("nsenter", f"--target={self._process.pid}", "--mount")
        subprocess.run([*target, *command], check=True, capture_output=True)

    def close(self) -> None:
        """Ends it and what it left; nothing stays but files in its folder."""
        self.kill()
        if self._mute is not None:
            self._mute.kill()
            self._mute.wait()
        for pid in processes_naming(str(self.folder)):
            if pid != os.getpid():
                _send(pid, signal.SIGKILL)
        if self.namespace is not None:
            self.namespace.close()

    def _need_program(self) -> None:
        if not Path(SSHD).exists():
            pytest.skip("openssh-server is not installed: no real sshd to test with")

    def _command(self) -> list[str]:
        return [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]

    def _make_host_key(self) -> str:
        """Makes it, and returns its public half, as in a known_hosts file."""
        _make_key(self.folder / "host_key")
        return (self.folder / "host_key.pub").read_text()

    def _make_keys(self) -> None:
        key = self._make_host_key()
        identity = self.home / ".ssh" / "id_test"
        _make_key(identity)
        shutil.copy(f"{identity}.pub", self.folder / "authorized_keys")
        (self.home / ".ssh" / "config").write_text(
            CONFIG.format(address=self.address, port=self.port, user=self.user, home=self.home)
        )
        known = self.home / ".ssh" / "known_hosts"
        known.write_text(f"[{self.address}]:{self.port} {key}")

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.address, self.port), 1).close()
        except OSError:
            return False
        return True


class Dropbear(Sshd):
    """The SSH server of small boards: few algorithms, and no SFTP; needs root."""

    program = "dropbear"

    def _need_program(self) -> None:
        if shutil.which("dropbear") is None:
            pytest.skip("dropbear-bin is not installed")
        if not may_make_namespaces():
            pytest.skip("dropbear lets nobody in whose home has no keys: needs root for one")

    def _command(self) -> list[str]:
        folder = self.device_home / ".ssh"
        folder.mkdir(mode=0o700, exist_ok=True)
        shutil.copy(self.folder / "authorized_keys", folder)
        place = f"{self.address}:{self.port}"
        keys = ("-r", str(self.folder / "host_key"), "-P", str(self.folder / "pid"))
        return ["dropbear", "-F", "-E", "-s", "-p", place, *keys]

    def _make_host_key(self) -> str:
        command = ["dropbearkey", "-t", "ed25519", "-f", str(self.folder / "host_key")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return next(line + "\n" for line in said.splitlines() if line.startswith("ssh-"))


class SshPeer(Peer):
    """A device behind a real sshd; HOME has to be its client's."""

    device: SshDevice

    def __init__(self, sshd: Sshd) -> None:
        self.sshd, self.device = sshd, sshd.device

    def open(self, agent: Path | None = None) -> SshTransport:
        """See `Peer.open`."""
        return SshTransport(self.device, agent or AGENT)

    def files(self) -> set[str]:
        """See `Peer.files`."""
        return {path.name for path in self.sshd.cache.glob("*")}

    def processes(self) -> list[int]:
        """See `Peer.processes`."""
        return processes_naming(str(self.sshd.cache))

    @property
    def environment(self) -> dict[str, str]:
        """See `Peer.environment`."""
        return {"HOME": str(self.sshd.home), "SSH_AUTH_SOCK": ""}

    def hang_up(self) -> None:
        """See `Peer.hang_up`."""
        self.sshd.hang_up()

    def cut(self) -> None:
        """See `Peer.cut`."""
        self._namespace().cut()

    def mend(self) -> None:
        """See `Peer.mend`."""
        self._namespace().mend()

    def kill_server(self) -> None:
        """See `Peer.kill_server`."""
        self.sshd.kill()

    def start_server(self) -> None:
        """See `Peer.start_server`."""
        self.sshd.start()

    def hang_server(self) -> None:
        """See `Peer.hang_server`."""
        self.sshd.send(signal.SIGSTOP)

    def wake_server(self) -> None:
        """See `Peer.wake_server`."""
        self.sshd.send(signal.SIGCONT)

    def replace_server(self, behaviour: str) -> None:
        """See `Peer.replace_server`."""
        self.sshd.go_mute(behaviour)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """See `Peer.full_disk`."""
        self._namespace()
        self.sshd.cache.mkdir(parents=True, exist_ok=True)
        folder = str(self.sshd.cache)
        self.sshd.run_inside("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder)
        yield
        self.sshd.run_inside("umount", folder)

    def close(self) -> None:
        """See `Closing.close`."""
        self.sshd.close()

    def _namespace(self) -> Namespace:
        if self.sshd.namespace is None:
            self.unable("needs root, for a network namespace of its own")
        return self.sshd.namespace


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    """All descendants of a process."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, found) for each in (child, *_children(child))]


def _told(pid: int, what: str) -> str:
    """What the system says of a process; nothing of one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text(errors="replace").strip()
    except OSError:
        return ""


def _send(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process, which may have ended meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
