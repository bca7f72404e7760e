"""A running board: QEMU emulates a 64-bit ARM machine that answers to ssh."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from board.image import Image

BOOT_S = 180.0

COUNTED_TIME = ["-smp", "1", "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on"]
"""One CPU whose clock counts instructions, one a nanosecond: what it times repeats. While the CPU
sleeps the clock keeps to ours, or waiting would take no time and every deadline pass at once."""


class Board:
    """A board that runs between `with` and its end, reached over ssh at a port of this computer.

    Attributes:
        home: a home folder whose .ssh/config knows it as `board`.
    """

    def __init__(self, image: Image, home: Path) -> None:
        self._image = image
        self._console = home / "console.log"
        self.home = home
        self.port = _free_port()
        self._write_config()

    def __enter__(self) -> Self:
        image = self._image
        self._process = subprocess.Popen(
            ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-m", "1024",
             *COUNTED_TIME, "-display", "none", "-monitor", "none", "-no-reboot",
             "-serial", f"file:{self._console}", "-kernel", str(image.kernel),
             "-initrd", str(image.memory), "-append", "console=ttyAMA0 quiet panic=-1",
             "-drive", f"file={image.disk},format=raw,if=none,id=disk,snapshot=on",
             "-device", "virtio-blk-pci,drive=disk",
             "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22",
             "-device", "virtio-net-pci,netdev=net,romfile=",
             "-device", "virtio-rng-pci"],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def ssh(self) -> list[str]:
        """The beginning of a command line whose last word the board's shell runs."""
        return ["ssh", "-F", str(self.home / ".ssh/config"), "board"]

    def run(self, command: str) -> str:
        """What a shell command prints on the board."""
        done = subprocess.run([*self.ssh, command], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout

    def copy(self, *files: Path) -> None:
        """Puts files into root's home folder on the board."""
        config = str(self.home / ".ssh/config")
        names = [str(file) for file in files]
        subprocess.run(["scp", "-q", "-F", config, *names, "board:"], check=True)

    def _wait(self) -> None:
        """Until sshd greets."""
        until = time.monotonic() + BOOT_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                    if connection.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            time.sleep(0.2)
        said = self._console.read_text(errors="replace") if self._console.exists() else ""
        self._process.kill()
        raise RuntimeError(f"the board does not come up; its console says:\n{said[-3000:]}")

    def _write_config(self) -> None:
        folder = self.home / ".ssh"
        folder.mkdir(mode=0o700)
        known = folder / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self._image.host_key}\n")
        settings = {
            "HostName": "127.0.0.1",
            "Port": self.port,
            "User": "root",
            "IdentityFile": self._image.key.resolve(),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": known,
        }
        lines = [f"    {name} {value}\n" for name, value in settings.items()]
        (folder / "config").write_text("Host board\n" + "".join(lines))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
