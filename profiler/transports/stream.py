"""Channels that deliver bytes as they come: they are split into lines here, for all transports."""

from __future__ import annotations

import time
from abc import abstractmethod

from compofa.common.errors import DeviceError
from compofa.profiler.transports.base import AgentLost, Channel, LinkLost, Lost


class StreamChannel(Channel):
    """A channel that reads lines; subclasses only have to receive and send bytes."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @abstractmethod
    def receive(self, timeout_s: float) -> bytes:
        """Some of what the agent wrote to stdout; nothing once it has ended.

        Raises:
            TimeoutError: it wrote nothing for `timeout_s`.
        """

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """See `Channel.receive_line`."""
        until = time.monotonic() + deadline_s
        searched = 0
        while (end := self._pending.find(b"\n", searched)) < 0:
            searched = len(self._pending)
            if searched > longest:
                raise DeviceError(f"the agent sent a line of more than {longest:,} bytes")
            try:
                part = self.receive(max(0.0, until - time.monotonic()))
            except TimeoutError:
                raise AgentLost(f"the agent said nothing for {deadline_s:g} s") from None
            if not part:
                raise self.ended()
            self._pending += part
        line = bytes(self._pending[: end + 1])
        del self._pending[: end + 1]
        return line

    def ended(self) -> Lost:
        """What to raise when the agent is gone: how it ended, or else that the connection broke."""
        reason = self.diagnosis()
        if reason:
            return AgentLost(f"the agent ended: {reason}")
        return LinkLost("the connection to the device broke")
