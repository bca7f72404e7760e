"""A real adbd of a test's own, and an adb server of its own that knows no other device."""

from __future__ import annotations

import fcntl
import hashlib
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
from compofa.profiler.transports.adb.adb_device import AdbDevice
from compofa.profiler.transports.adb.adb_transport import AdbTransport
from compofa.profiler.transports.adb.server import AdbServer
from rigs.mute_host import mute_command
from rigs.peer import Peer, processes_naming
from rigs.relay import Relay

RECIPE = Path(__file__).with_name("adbd_build")
CACHE = Path.home() / ".cache" / "compofa-tests"
"""Where the built adbd is kept; found before any test gives HOME another meaning."""

PACKAGES = (
    "dpkg-dev g++ patch android-libbase-dev android-libboringssl-dev android-libcutils-dev "
    "android-liblog-dev libcap-dev"
)
BUILDING_S = 600

TOOLBOX = "cat chmod find flock grep head mkdir mv rm sha256sum sleep stat taskset timeout touch"
"""Commands of the shell that are toybox's on a phone; here too, where it is installed."""

NASTY = ("$(touch {c})", "`touch {c}`", "a;touch {c};", "a' 'b", '"$HOME"', "*", "a\\", "é|&>{c}")
"""Words that mean something to shells; {c} is a file that must not come to be."""

PIXEL = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 6",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.build.fingerprint": "google/oriole/oriole:14/AP1A.240505.004/11583682:user/release-keys",
    "ro.serialno": "1A2B3C",
}

BATTERY = """\
Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  status: 5
  level: 87
  temperature: 281
"""

THERMAL = """\
IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=29.0, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue=31.5, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
\tTemperature{{mValue=45.0, mType=0, mName=BIG, mStatus=0}}
\tTemperature{{mValue=4214.0, mType=6, mName=VOLTAGE, mStatus=0}}
"""


def built_adbd() -> Path:
    """Android's adbd, built once for each version of the recipe; skips where it cannot be."""
    for tool in ("adb", "g++", "apt-get", "dpkg-query"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: no real adbd to test with")
    parts = sorted(path for path in RECIPE.iterdir() if path.is_file())
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest()[:16]
    folder = CACHE / f"adbd-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes side by side build it once
        if not (folder / "adbd").exists():
            _build(folder)
    return folder / "adbd"


def _build(folder: Path) -> None:
    _check_packages()
    built = subprocess.run(
        [RECIPE / "build.sh", folder], capture_output=True, text=True, timeout=BUILDING_S
    )
    if built.returncode:
        errors = [line for line in built.stderr.splitlines() if "error" in line.lower()]
        pytest.skip(f"adbd could not be built: {' '.join(errors[:1]) or built.returncode}")


def _check_packages() -> None:
    for package in PACKAGES.split():
        known = subprocess.run(
            ["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True
        )
        if not known.stdout.startswith("install ok"):
            pytest.skip(f"adbd cannot be built without {package}: apt-get install {PACKAGES}")


class OwnServer(Closing):
    """An adb server that nobody else uses, with keys of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = AdbServer(port=_free_port())
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            ["adb", "-L", f"tcp:localhost:{self.address.port}", "nodaemon", "server"],
            env={**os.environ, "HOME": str(folder), "ADB_LOCAL_TRANSPORT_MAX_PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for(self.address.port)

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(10)


class Adbd(Closing):
    """A phone in a folder: adbd, what the shell finds there, and a line that can be cut.

    Args:
        folder: for all its files.
        secure: whether it asks its owner before it lets a computer in; nobody ever answers.

    Attributes:
        port: of adbd itself.
        line: on the way to it.
        tools: the first folder of its PATH.
    """

    def __init__(self, folder: Path, *, secure: bool = False) -> None:
        self._adbd = built_adbd()
        self._folder, self.tools = folder, folder / "bin"
        self.tools.mkdir(parents=True)
        self.port = _free_port()
        settings = {"service.adb.listen_addrs": f"tcp:localhost:{self.port}"}
        if secure:
            settings["ro.adb.secure"] = "1"
        lines = [f"{name}={value}" for name, value in settings.items()]
        (folder / "properties").write_text("\n".join(lines))
        if toybox := shutil.which("toybox"):
            for name in TOOLBOX.split():
                (self.tools / name).symlink_to(toybox)
        self.properties = dict(PIXEL)
        self.tell(0)
        self._mute: subprocess.Popen[bytes] | None = None
        self.start()
        self.line = Relay(self.port)

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return f"127.0.0.1:{self.line.port}"

    def tell(self, thermal_status: int) -> None:
        """Writes what it says of itself when it is asked."""
        lines = "\n".join(f"[{name}]: [{value}]" for name, value in self.properties.items())
        self.tool("getprop", f"cat <<'END'\n{lines}\nEND")
        services = {"battery": BATTERY, "thermalservice": THERMAL.format(status=thermal_status)}
        told = "\n".join(f"{name}) cat <<'END'\n{text}END\n;;" for name, text in services.items())
        self.tool("dumpsys", f"case $1 in\n{told}\nesac")
        self.tool("settings", "echo 0")

    def tool(self, name: str, script: str) -> None:
        """A command that its shell finds."""
        path = self.tools / name
        path.unlink(missing_ok=True)  # which may be a link to toybox
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def start(self) -> None:
        """Starts adbd; a mute host in its place ends."""
        if self._mute is not None:
            self._mute.kill()
            self._mute.wait()
            self._mute = None
        self._process = subprocess.Popen(
            [self._adbd],
            env={
                "ADBD_PROPERTIES": str(self._folder / "properties"),
                "ADBD_SHELL": shutil.which("mksh") or "/bin/sh",
                "HOME": str(self._folder),
                "TMPDIR": str(self._folder),
                "PATH": f"{self.tools}:{os.environ['PATH']}",
            },
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _wait_for(self.port)

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def go_mute(self, behaviour: str) -> None:
        """Kills it, and has a mute host take its place until it is started again."""
        self.kill()
        self._mute = subprocess.Popen(mute_command(behaviour, "127.0.0.1", self.port))

    def kill(self) -> None:
        """Ends adbd as a crash would; what it started finds its pipes closed."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def close(self) -> None:
        """See `Closing.close`."""
        self.kill()
        if self._mute is not None:
            self._mute.kill()
            self._mute.wait()
        self.line.close()


class AdbPeer(Peer):
    """A phone behind a real adbd, with a Python of its own; it runs our Python agent."""

    device: AdbDevice

    def __init__(self, folder: Path, server: AdbServer) -> None:
        self.adbd, self.server = Adbd(folder / "phone"), server
        self.folder = folder / "phone" / "a folder"
        self.device = AdbDevice(
            name="phone",
            serial=self.adbd.serial,
            runtime="onnxruntime",
            python=sys.executable,
            folder=str(self.folder),
        )

    def open(self, agent: Path | None = None) -> AdbTransport:
        """See `Peer.open`."""
        device = self.device
        if agent is not None:
            device = device.model_copy(update={"python": None, "agent": str(agent)})
        return AdbTransport(device, self.server)

    def files(self) -> set[str]:
        """See `Peer.files`."""
        return {path.name for path in self.folder.glob("*")}

    def processes(self) -> list[int]:
        """See `Peer.processes`."""
        return processes_naming(str(self.folder))

    @property
    def environment(self) -> dict[str, str]:
        """See `Peer.environment`."""
        return {"ANDROID_ADB_SERVER_PORT": str(self.server.port)}

    def hang_up(self) -> None:
        """See `Peer.hang_up`."""
        self.adbd.line.hang_up()

    def cut(self) -> None:
        """See `Peer.cut`."""
        self.adbd.line.cut()

    def mend(self) -> None:
        """See `Peer.mend`."""
        self.adbd.line.mend()

    def kill_server(self) -> None:
        """See `Peer.kill_server`."""
        self.adbd.kill()

    def start_server(self) -> None:
        """See `Peer.start_server`."""
        self.adbd.start()

    def hang_server(self) -> None:
        """See `Peer.hang_server`."""
        self.adbd.send(signal.SIGSTOP)

    def wake_server(self) -> None:
        """See `Peer.wake_server`."""
        self.adbd.send(signal.SIGCONT)

    def replace_server(self, behaviour: str) -> None:
        """See `Peer.replace_server`."""
        self.adbd.go_mute(behaviour)

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """See `Peer.full_disk`."""
        if os.geteuid() != 0:
            self.unable("needs root to mount a small disk")
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", self.folder], check=True)

    def close(self) -> None:
        """See `Closing.close`."""
        self.adbd.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
