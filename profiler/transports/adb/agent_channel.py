"""An agent on a phone: its pipes, and its replies completed with what only adb can tell.

Programs on a phone read what Linux shows them. Only the shell user of adb learns the model, the
build, the battery and the thermal status.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from shlex import quote
from typing import Any

from compofa.common.errors import DeviceError
from compofa.profiler.transports.adb.android import Android
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.shell import command_line
from compofa.profiler.transports.base import AgentLost, LinkLost
from compofa.profiler.transports.stream import StreamChannel

STARTING_S = 10.0


class AdbChannel(StreamChannel):
    """A program on the phone, started from the words of its command line.

    Attributes:
        closed: whether it was closed, and has ended as far as is known.
        lost: whether the connection broke before it ended.
    """

    def __init__(self, phone: Phone, words: Sequence[str], android: Android) -> None:
        super().__init__()
        self._phone, self._mark, self._android = phone, words[-1], android
        self.closed = self.lost = False
        # The shell prints its process id and becomes the program, which keeps that id.
        self._remote = phone.start(f"echo $$ && exec {command_line(*words)}")
        try:
            self._pid = int(super().receive_line(STARTING_S, 100))
        except (DeviceError, ValueError) as error:
            self._remote.close()
            raise AgentLost(f"{phone.serial} did not start the agent: {error}") from None

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        try:
            self._remote.send(data)
        except LinkLost:
            raise self.ended() from None

    def receive(self, timeout_s: float) -> bytes:
        """See `StreamChannel.receive`."""
        try:
            return self._remote.receive(timeout_s)
        except LinkLost:
            self.lost = True
            raise

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """See `Channel.receive_line`; facts and state of a reply are completed."""
        line = super().receive_line(deadline_s, longest)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            return line
        ok = reply.get("ok") if isinstance(reply, dict) else None
        if not isinstance(ok, dict):
            return line
        if isinstance(ok.get("facts"), dict):
            ok["facts"] |= self._android.facts()
        if isinstance(ok.get("state"), dict):
            ok["state"] = _both(ok["state"], self._android.state())
        return json.dumps(reply).encode() + b"\n"

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`."""
        self._drain(1.0)
        code = self._remote.code
        parts = []
        if code is not None:
            # adbd reports a signal as 128 and its number, as shells do.
            parts.append(f"signal {code - 128}" if code > 128 else f"exit code {code}")
        parts += self._remote.stderr.strip().splitlines()[-1:]
        return ", ".join(parts)

    def close(self) -> None:
        """See `Channel.close`; if the connection is lost, `kill` has to wait until it is back."""
        if self.closed:
            return
        with self._remote, contextlib.suppress(LinkLost):
            if not self.lost:
                self._remote.close_stdin()
                self._drain(self.closing_s)
            if self._remote.code is None and not self.lost:
                self.kill()
        self.closed = not self.lost

    def kill(self) -> None:
        """Kills the program, unless its id belongs to something else by now.

        Raises:
            LinkLost: the phone does not answer.
        """
        mark, pid = quote(self._mark), self._pid
        self._phone.run(f"grep -qF -e {mark} /proc/{pid}/cmdline && kill -9 {pid}")
        self.closed, self.lost = True, False

    def _drain(self, seconds: float) -> None:
        """Waits that long for the program's end; what it still writes is nobody's business."""
        until = time.monotonic() + seconds
        with contextlib.suppress(TimeoutError, LinkLost):
            while self._remote.code is None:
                self.receive(until - time.monotonic())


def _both(agent: dict[str, Any], phone: dict[str, Any]) -> dict[str, Any]:
    """What both tell, the agent first since it is fresher; temperatures of both are kept."""
    merged = {**phone, **agent}
    if isinstance(agent.get("celsius"), dict) and "celsius" in phone:
        merged["celsius"] = {**agent["celsius"], **phone["celsius"]}
    return merged
