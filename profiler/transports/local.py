"""This computer as the device: the agent is a child process."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Literal

from compofa.common.console import detail
from compofa.common.errors import DeviceError, UserError, file_error
from compofa.common.scratch import Scratch
from compofa.profiler.agent import AGENT
from compofa.profiler.transports.base import Channel, Transport
from compofa.profiler.transports.device import THIS_COMPUTER, Device, Text
from compofa.profiler.transports.registry import TransportSpec
from compofa.profiler.transports.stream import StreamChannel


class LocalDevice(Device):
    """This computer. `python` runs the agent; None means the interpreter of this profiler."""

    transport: Literal["local"] = "local"
    python: Text | None = None

    @property
    def address(self) -> str:
        """See `Device.address`."""
        return THIS_COMPUTER

    @property
    def resource(self) -> str:
        """See `Device.resource`."""
        return THIS_COMPUTER


class LocalTransport(Transport):
    """Starts agents as child processes; models are links in a private folder.

    Args:
        device: this computer.
        agent: the program that is started.
    """

    def __init__(self, device: LocalDevice, agent: Path = AGENT) -> None:
        self._agent = agent
        self._python = device.python or sys.executable
        self._scratch = Scratch()
        # The folder is this profiler's own; its lock is that of the whole computer.
        (self._scratch.path / "lock").symlink_to(_lock_file())

    def put(self, file: Path, sha256: str) -> None:
        """See `Transport.put`; nothing is copied."""
        target, wanted = self._scratch.path / sha256, file.resolve()
        if target.exists() and target.resolve() == wanted:
            return
        # Another file of the same content may have been there first, and have changed since.
        new = target.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)
            new.symlink_to(wanted)
            new.replace(target)
        except OSError as error:
            raise DeviceError(f"cannot link {file} into the agent's folder: {error}") from None

    def start_agent(self) -> Channel:
        """See `Transport.start_agent`."""
        return LocalChannel([self._python, "-I", str(self._agent), str(self._scratch.path)])

    def close(self) -> None:
        """See `Transport.close`."""
        self._scratch.close()


KEPT_STDERR = 2000
"""Bytes of stderr that are kept, as by the other transports."""

TRANSPORT = TransportSpec(LocalDevice, LocalTransport)


def _lock_file() -> Path:
    """By which the profilers of one user on this computer exclude each other."""
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(cache) if cache else Path.home() / ".cache") / "compofa"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder, "cannot keep the device's lock") from None
    return folder.resolve() / "lock"


class _LastWords:
    """The end of what a process writes to stderr, read as it comes.

    A pipe that nobody reads fills up, and the process would wait for ever.
    """

    def __init__(self, stderr: IO[bytes]) -> None:
        self._stderr, self._kept = stderr, b""
        # A daemon: a process that the agent left behind may hold the pipe open for ever.
        self._reader = threading.Thread(target=self._read, name="stderr", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._stderr:
            while part := self._stderr.read(1 << 16):
                self._kept = (self._kept + part)[-KEPT_STDERR:]

    def lines(self) -> list[str]:
        """Its last lines; all of them once the process has ended."""
        self._reader.join(timeout=1)
        return self._kept.decode(errors="replace").strip().splitlines()

    def close(self) -> None:
        """Waits a moment for what is still on its way."""
        self._reader.join(timeout=1)


class LocalChannel(StreamChannel):
    """The pipes of a child process."""

    def __init__(self, command: list[str]) -> None:
        super().__init__()
        detail(f"starting {shlex.join(command)}")
        try:
            # A session of its own: Ctrl-C is for the host, which then ends the agent in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise UserError(
                f"cannot start the agent with {command[0]}: {error.strerror}",
                hint="`python` in the inventory must name a Python interpreter",
            ) from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._last_words = _LastWords(self._process.stderr)

    @property
    def pid(self) -> int:
        """Of the agent."""
        return self._process.pid

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        try:
            self._stdin.write(data)
        except (BrokenPipeError, ValueError):
            raise self.ended() from None

    def receive(self, timeout_s: float) -> bytes:
        """See `StreamChannel.receive`."""
        if not select.select([self._stdout], [], [], timeout_s)[0]:
            raise TimeoutError
        return os.read(self._stdout.fileno(), 1 << 16)

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`."""
        try:
            code: int | None = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = None
        parts = []
        if code is not None:
            parts.append(f"signal {-code}" if code < 0 else f"exit code {code}")
        parts += self._last_words.lines()[-1:]
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
            self._last_words.close()
