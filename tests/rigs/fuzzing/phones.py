"""Phones whose answers are in files: their shell's, benchmark_model's and the adb server's."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from compofa.profiler.transports.adb.android import Android
from compofa.profiler.transports.adb.benchmark_channel import BenchmarkChannel, BenchmarkModel
from compofa.profiler.transports.adb.benchmark_program import BenchmarkProgram
from compofa.profiler.transports.adb.cache_folder import AdbFolder
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.phone_lock import AdbLock
from compofa.profiler.transports.adb.server import AdbServer
from compofa.profiler.transports.adb.shell import EXIT, STDERR, STDOUT, ShellResult
from compofa.profiler.transports.agent_client import AgentLink

FACTS = """\
@@ properties
[ro.board.platform]: [gs101]
[ro.build.fingerprint]: [google/oriole/oriole:14/AP1A.240505.004/11583682:user/release-keys]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.serialno]: [1A2B3C]
[ro.soc.model]: [Tensor]
@@ machine
aarch64
@@ kernel
5.10.198-android13
@@ cpus
0-7
@@ memory
MemTotal:        7683844 kB
@@ max_khz
/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq:1803000
/sys/devices/system/cpu/cpu4/cpufreq/cpuinfo_max_freq:2253000
@@ governor
sched_pixel
"""

STATE = """\
@@ battery
Current Battery Service state:
  AC powered: true
  USB powered: false
  level: 42
  temperature: 391
@@ saver
1
@@ thermal
Thermal Status: 2
Current temperatures from HAL:
\tTemperature{mValue=44.5, mType=3, mName=skin, mStatus=2}
@@ wakefulness
  mWakefulness=Dozing
@@ load
3.50 3.28 3.18 2/1312 8735
@@ pressure
some avg10=1.53 avg60=1.20 avg300=0.90 total=123
@@ ticks
cpu  10 20 30 40 50 60 70 80 0 0
@@ governor
sched_pixel
@@ khz
/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:300000
@@ cap_khz
/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq:1803000
"""

BENCHMARK = """\
INFO: STARTING!
INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the \
delegate.
INFO: count=3 first=5100 curr=5000 min=4900 max=5100 avg=5000 std=80 p5=4900 median=5000 p95=5100
INFO: count=20 first=4400 curr=4200 min=4000 max=4400 avg=4200 std=50 p5=4100 median=4250 p95=4400
INFO: Inference timings in us: Init: 13386, First inference: 5100, Warmup (avg): 5000, \
Inference (avg): 4200
"""

HELP = "Flags:\n\t--num_runs=50\tint32\n\t--use_gpu=false\tbool\n\t--use_xnnpack=false\tbool\n"


def write_answers(folder: Path) -> None:
    """What a good phone says."""
    (folder / "facts.txt").write_text(FACTS)
    (folder / "state.txt").write_text(STATE)
    (folder / "benchmark.txt").write_text(BENCHMARK)
    (folder / "help.txt").write_text(HELP)


class RecordedPhone(Phone):
    """Answers out of the files of the working folder."""

    def run(self, command: str, timeout_s: float = 5.0) -> ShellResult:
        """See `Phone.run`."""
        kinds = {"getprop": "facts", "dumpsys": "state", "--help": "help", "--graph": "benchmark"}
        (name,) = (name for word, name in kinds.items() if word in command)
        return ShellResult(0, Path(f"{name}.txt").read_bytes(), "")


class AnyFolder(AdbFolder):
    """Takes all files."""

    def put(self, file: Path, sha256: str, mode: int = 0o600) -> str:
        """See `AdbFolder.put`."""
        return sha256


def measure_on_phone(rng: Random) -> None:
    """A session with benchmark_model."""
    phone = RecordedPhone(AdbServer(), "1A2B3C")
    program = BenchmarkProgram(AnyFolder(phone, "/tmp"), Path("help.txt"), "0" * 64)
    model = BenchmarkModel(program, Android(phone), {"m": Path("help.txt")})
    link = AgentLink(BenchmarkChannel(model, AdbLock(phone, "/tmp")))
    link.hello(2, rng.choice([None, [0, 4]]))
    options = {"accelerator": rng.choice(["cpu", "cpu", "gpu"])}
    loaded = link.load("m", "benchmark_model", options)
    link.run(loaded.handle, 2, 0, 60.0)
    link.state()


def _packet(kind: int, data: bytes) -> bytes:
    return struct.pack("<BI", kind, len(data)) + data


def write_server_answers(folder: Path) -> None:
    """What a good adb server says, for as long as a connection lasts."""
    listed = b"1A2B3C\tdevice\n127.0.0.1:5555\toffline\n"
    (folder / "devices.bin").write_bytes(b"OKAY%04x" % len(listed) + listed)
    packets = _packet(STDERR, b"warning\n"), _packet(STDOUT, b"hello\n" * 9), _packet(EXIT, b"\0")
    (folder / "shell.bin").write_bytes(b"OKAYOKAY" + b"".join(packets))
    (folder / "refusal.bin").write_bytes(b"FAIL0010device not found")


@contextmanager
def recorded_server() -> Iterator[AdbServer]:
    """A server that answers out of the files of the working folder, and hangs up."""
    said = {kind: Path(f"{kind}.bin").read_bytes() for kind in ("devices", "shell", "refusal")}
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        request = connection.recv(4096)
                        kind = "devices" if b"host:devices" in request else "shell"
                        connection.sendall(said["refusal" if b":gone" in request else kind])
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(4096):
                            pass  # else the answer is lost where a request was not read

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield AdbServer("127.0.0.1", listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def ask_server(rng: Random) -> None:
    """One question to the adb server, or to a phone behind it."""
    with recorded_server() as server:
        phone = Phone(server, rng.choice(["1A2B3C", "1A2B3C", "gone"]))
        if rng.random() < 0.5:
            phone.state()
        else:
            phone.run("echo hello")
