"""This computer as the device: the agent is a child process."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from compofa.profiler import agent
from compofa.profiler.inventory import LocalDevice
from compofa.profiler.transports.base import Channel, Transport
from compofa.supernet.errors import DeviceError, UserError

AGENT = Path(agent.__file__).with_name("compofa_agent.py")


class LocalTransport(Transport):
    """Starts agents as child processes; models are links in a private folder."""

    def __init__(self, device: LocalDevice) -> None:
        self._python = device.python or sys.executable
        self._folder = Path(tempfile.mkdtemp(prefix="compofa-"))

    def put(self, file: Path, sha256: str) -> None:
        """See `Transport.put`; nothing is copied."""
        target = self._folder / sha256
        if not target.exists():
            try:
                target.symlink_to(file.resolve())
            except OSError as error:
                raise DeviceError(f"cannot hand {file} to the agent: {error}") from None

    def start_agent(self) -> Channel:
        """See `Transport.start_agent`."""
        return LocalChannel([self._python, "-I", str(AGENT), str(self._folder)])

    def close(self) -> None:
        """See `Transport.close`."""
        shutil.rmtree(self._folder, ignore_errors=True)


class LocalChannel(Channel):
    """The pipes of a child process.

    Attributes:
        closing_s: how long it may take to end once its stdin is closed.
    """

    closing_s = 5.0

    def __init__(self, command: list[str]) -> None:
        handle, name = tempfile.mkstemp(prefix="compofa-")
        Path(name).unlink()
        self._stderr: IO[bytes] = os.fdopen(handle, "w+b")
        try:
            # A session of its own: Ctrl-C is for the host, which then ends the agent in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise UserError(
                f"cannot start the agent with {command[0]}: {error.strerror}",
                hint="the device's python names an interpreter",
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._pending = bytearray()

    @property
    def pid(self) -> int:
        """Of the agent."""
        return self._process.pid

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        try:
            self._stdin.write(data)
        except (BrokenPipeError, ValueError):
            raise DeviceError(f"the agent is gone{self._because()}") from None

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """See `Channel.receive_line`."""
        until = time.monotonic() + deadline_s
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > longest:
                raise DeviceError(f"the agent sent a line of more than {longest:,} bytes")
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._stdout], [], [], left)[0]:
                raise DeviceError(f"the agent said nothing for {deadline_s:g} s")
            part = os.read(self._stdout.fileno(), 1 << 16)
            if not part:
                raise DeviceError(f"the agent ended{self._because()}")
            self._pending += part
        line = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        return line

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`."""
        try:
            code: int | None = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        parts = []
        if code is not None:
            parts.append(f"signal {-code}" if code < 0 else f"exit code {code}")
        if not self._stderr.closed:
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - 2000))
            last = self._stderr.read().decode(errors="replace").strip().splitlines()
            parts += last[-1:]
        return ", ".join(parts)

    def close(self) -> None:
        """See `Channel.close`."""
        if not self._stdin.closed:
            self._stdin.close()
            try:
                self._process.wait(self.closing_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._stdout.close()
            self._stderr.close()

    def _because(self) -> str:
        reason = self.diagnosis()
        return f": {reason}" if reason else ""
