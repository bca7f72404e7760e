"""Commands on a device over adb: stdin, stdout, stderr and the exit code apart.

The shell protocol (AOSP, adb's shell_protocol.h) sends packets of one byte of kind, four bytes of
length (little endian) and the data. The packet with the exit code is the end marker: where it is
missing the connection broke, whatever had arrived by then (`adb shell` calls that success).
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from shlex import quote

from compofa.common.closing import Closing
from compofa.common.console import printable
from compofa.common.errors import DeviceError
from compofa.profiler.transports.adb.server import AdbStream
from compofa.profiler.transports.base import LinkLost

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)

LONGEST_PACKET = 1 << 24

LARGEST_PART = 1 << 16
"""Bytes of stdin in one packet."""

KEPT_STDERR = 4096
"""Bytes of stderr that are remembered: the last ones."""

LARGEST_OUTPUT = 1 << 20
"""Bytes; a command that prints more is cut off."""


def command_line(*words: str) -> str:
    """`words` as one command for the device's shell; nothing in them means anything to it."""
    return " ".join(map(quote, words))


@dataclass(frozen=True)
class ShellResult:
    """A command that ended by itself."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Its stdout."""
        return self.stdout.decode(errors="replace")

    @property
    def last_words(self) -> str:
        """The last line that it wrote to stderr, or else to stdout, fit to be shown."""
        lines = (self.stderr.strip() or self.text.strip()).splitlines()
        return printable(lines[-1])[:300] if lines else f"exit code {self.code}"


class RemoteCommand(Closing):
    """A command that is running on the device.

    Args:
        stream: a connection to the service `shell,v2,raw:COMMAND`.

    Attributes:
        code: its exit code, once it has ended and all its output was received.
    """

    def __init__(self, stream: AdbStream) -> None:
        self._stream = stream
        self._pending = bytearray()
        self._stderr = bytearray()
        self.code: int | None = None

    @property
    def stderr(self) -> str:
        """The last of what it wrote to stderr so far."""
        return self._stderr.decode(errors="replace")

    def send(self, data: bytes) -> None:
        """Writes to its stdin.

        Raises:
            LinkLost: it is gone.
        """
        for start in range(0, len(data), LARGEST_PART):
            part = data[start : start + LARGEST_PART]
            self._stream.send(struct.pack("<BI", STDIN, len(part)) + part)

    def close_stdin(self) -> None:
        """Tells it that there is no more input."""
        self._stream.send(struct.pack("<BI", CLOSE_STDIN, 0))

    def receive(self, timeout_s: float) -> bytes:
        """Some of what it wrote to stdout; nothing once it has ended and `code` is known.

        Raises:
            TimeoutError: it wrote nothing for `timeout_s`.
            LinkLost: the connection ended before the command did.
        """
        until = time.monotonic() + timeout_s
        while self.code is None:
            kind, data = self._packet(until)
            if kind == STDOUT:
                return data
            if kind == STDERR:
                self._stderr += data
                del self._stderr[:-KEPT_STDERR]
            elif kind == EXIT:
                self.code = data[0] if data else 255
        return b""

    def finish(self, timeout_s: float) -> ShellResult:
        """Waits for its end.

        Raises:
            LinkLost: the connection broke, or it took longer than `timeout_s`.
            DeviceError: it printed more than a megabyte.
        """
        until = time.monotonic() + timeout_s
        output = bytearray()
        while self.code is None:
            try:
                output += self.receive(until - time.monotonic())
            except TimeoutError:
                raise LinkLost(f"the device did not answer within {timeout_s:g} s") from None
            if len(output) > LARGEST_OUTPUT:
                raise DeviceError(f"the device sent more than {LARGEST_OUTPUT:,} bytes of output")
        return ShellResult(self.code, bytes(output), self.stderr)

    def _packet(self, until: float) -> tuple[int, bytes]:
        while True:
            if len(self._pending) >= 5:
                kind, length = struct.unpack_from("<BI", self._pending)
                if kind > EXIT or length > LONGEST_PACKET:
                    raise DeviceError("the device sent a packet that adb's shell does not have")
                if len(self._pending) >= 5 + length:
                    data = bytes(self._pending[5 : 5 + length])
                    del self._pending[: 5 + length]
                    # An empty packet must not look like the end of stdout.
                    if data or kind == EXIT:
                        return kind, data
                    continue
            part = self._stream.receive(1 << 18, until - time.monotonic())
            if not part:
                raise LinkLost("the connection to the device was lost")
            self._pending += part

    def close(self) -> None:
        """Closes the connection; the command finds its stdin and stdout closed."""
        self._stream.close()
