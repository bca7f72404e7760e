"""The adb server of this computer, spoken to over its own socket: no shell, no output to scrape.

A request is four hexadecimal digits of length and a service; the answer is OKAY or FAIL (AOSP,
packages/modules/adb: OVERVIEW.TXT and SERVICES.TXT). The server is shared with every other user of
adb on this computer: it is started where none runs, and never killed.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from compofa.common.closing import Closing
from compofa.common.console import printable
from compofa.common.errors import DeviceError, UserError
from compofa.profiler.transports.base import LinkLost

ANSWER_S = 5.0
"""How long the server may take to answer, and a device to open a service."""

SILENCE_S = 2.0
"""After so long without a byte the device is asked whether it is still there: when a connection is
cut, the server itself goes on listing the phone as "device" for minutes."""

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Where a server can be started."""

START_S = 20.0
"""How long a server may take to start."""


class AdbRefused(DeviceError):
    """The server said FAIL; `reason` is its own words, and nobody else's."""

    def __init__(self, reason: str) -> None:
        self.reason = printable(reason)[:300]
        super().__init__(f"adb: {self.reason}")


class AdbStream(Closing):
    """One connection to the server; every call has a deadline.

    Args:
        connection: to the server.
        probe: asks on another connection whether the device is still there; raises LinkLost.
    """

    def __init__(self, connection: socket.socket, probe: Callable[[], None] | None = None) -> None:
        self._socket = connection
        self._probe = probe

    def send(self, data: bytes, timeout_s: float = 2 * ANSWER_S) -> None:
        """Writes all of `data`.

        Raises:
            LinkLost: the connection is gone, or takes nothing for `timeout_s`.
        """
        try:
            self._socket.settimeout(timeout_s)
            self._socket.sendall(data)
        except OSError as error:
            raise LinkLost(f"the connection to the device was lost: {error}") from None

    def receive(self, most: int, timeout_s: float) -> bytes:
        """What has arrived, up to `most` bytes; nothing once the other end has closed.

        Raises:
            TimeoutError: nothing arrived within `timeout_s`.
            LinkLost: nothing arrived, and the device does not answer on another connection.
        """
        until = time.monotonic() + timeout_s
        while True:
            left = until - time.monotonic()
            try:
                self._socket.settimeout(max(min(left, SILENCE_S), 1e-3))
                return self._socket.recv(most)
            except TimeoutError:
                if left <= SILENCE_S:
                    raise
            except OSError:
                # A reset is an end like any other: whoever reads knows what is still missing.
                return b""
            if self._probe is not None:
                self._probe()

    def exactly(self, count: int, timeout_s: float = ANSWER_S) -> bytes:
        """The next `count` bytes.

        Raises:
            LinkLost: the connection ended before, or they did not come within `timeout_s`.
        """
        until = time.monotonic() + timeout_s
        received = bytearray()
        while len(received) < count:
            try:
                part = self.receive(count - len(received), until - time.monotonic())
            except TimeoutError:
                raise LinkLost(f"the device did not answer within {timeout_s:g} s") from None
            if not part:
                raise LinkLost("the connection to the device was lost")
            received += part
        return bytes(received)

    def close(self) -> None:
        """See `Closing.close`."""
        self._socket.close()


@dataclass(frozen=True)
class AdbServer:
    """Where the server listens."""

    host: str = "127.0.0.1"
    port: int = 5037

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> AdbServer:
        """The server that the `adb` command would use.

        Raises:
            UserError: the environment names a socket that is none.
        """
        host = environment.get("ANDROID_ADB_SERVER_ADDRESS", cls.host)
        port = environment.get("ANDROID_ADB_SERVER_PORT", str(cls.port))
        if place := environment.get("ADB_SERVER_SOCKET"):
            kind, *address = place.split(":")
            if kind != "tcp" or len(address) not in (1, 2):
                raise UserError(f"ADB_SERVER_SOCKET is {place!r}, not tcp:HOST:PORT")
            host, port = (cls.host, *address)[-2:]
        if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 1 << 16:
            raise UserError(f"the adb server's port is {port[:60]!r}, not a number up to 65535")
        return cls(host, int(port))

    def ask(self, service: str, timeout_s: float = ANSWER_S) -> str:
        """The server's own answer to `service`, such as "host:devices".

        Raises:
            AdbRefused: it said FAIL.
            DeviceError: it does not run, or does not answer.
        """
        with self._request(service, timeout_s) as stream:
            return _text(stream, timeout_s)

    def tell(self, service: str, timeout_s: float = ANSWER_S) -> None:
        """Asks for `service`, whose answer is OKAY alone.

        Raises:
            AdbRefused, DeviceError: see `ask`.
        """
        self._request(service, timeout_s).close()

    def open(self, serial: str, service: str, timeout_s: float = ANSWER_S) -> AdbStream:
        """A connection to `service` of the device `serial`.

        Raises:
            AdbRefused: the server does not know the device, or cannot reach it.
            LinkLost: the device did not answer within `timeout_s`.
        """
        return self._open(serial, service, timeout_s, lambda: self.probe(serial))

    def probe(self, serial: str) -> None:
        """Has the device look at its root folder, which costs it next to nothing.

        Raises:
            LinkLost: it does not answer.
        """
        try:
            with self._open(serial, "sync:", ANSWER_S, None) as stream:
                stream.send(struct.pack("<4sI", b"STAT", 1) + b"/")
                stream.exactly(16, ANSWER_S)
        except AdbRefused as error:
            raise LinkLost(f"the device is gone: {error.reason}") from None

    def _open(
        self, serial: str, service: str, timeout_s: float, probe: Callable[[], None] | None
    ) -> AdbStream:
        stream = self._request(f"host:transport:{serial}", timeout_s, probe)
        return _asked(stream, service, timeout_s)

    def _request(
        self, service: str, timeout_s: float, probe: Callable[[], None] | None = None
    ) -> AdbStream:
        return _asked(AdbStream(self._connect(), probe), service, timeout_s)

    def _connect(self) -> socket.socket:
        try:
            return socket.create_connection((self.host, self.port), ANSWER_S)
        except (OSError, UnicodeError) as error:  # the latter for what cannot be a host's name
            # Only a refusal says that no server runs, and adb starts one on this computer only.
            if not isinstance(error, ConnectionRefusedError) or self.host not in LOCAL:
                raise self._unreachable(error) from None
        self._start()
        try:
            return socket.create_connection((self.host, self.port), ANSWER_S)
        except (OSError, UnicodeError) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> DeviceError:
        return DeviceError(f"no adb server answers at {self.host}:{self.port}: {error}")

    def _start(self) -> None:
        """Starts a server; where one runs already, adb leaves it alone."""
        command = ["adb", "-P", str(self.port), "start-server"]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=START_S,
                check=True,
            )
        except FileNotFoundError:
            raise UserError(
                "adb is not installed",
                hint="install Android's platform tools: apt install adb, or brew install "
                "android-platform-tools",
            ) from None
        except (OSError, subprocess.SubprocessError):
            raise DeviceError(
                f"the adb server did not start at {self.host}:{self.port}",
                hint="run `adb start-server` to see why",
            ) from None


def _asked(stream: AdbStream, service: str, timeout_s: float) -> AdbStream:
    """The stream once the server has granted the service; closed where it does not."""
    try:
        _ask(stream, service, timeout_s)
    except BaseException:
        stream.close()
        raise
    return stream


def _ask(stream: AdbStream, service: str, timeout_s: float) -> None:
    request = service.encode()
    stream.send(f"{len(request):04x}".encode() + request)
    status = stream.exactly(4, timeout_s)
    if status == b"FAIL":
        raise AdbRefused(_text(stream, timeout_s))
    if status != b"OKAY":
        raise DeviceError(f"the adb server answered {printable(repr(status))} instead of OKAY")


def _text(stream: AdbStream, timeout_s: float) -> str:
    digits = stream.exactly(4, timeout_s)
    if re.fullmatch(rb"[0-9a-fA-F]{4}", digits) is None:
        raise DeviceError(f"the adb server sent {digits!r} instead of a length")
    return stream.exactly(int(digits, 16), timeout_s).decode(errors="replace")
