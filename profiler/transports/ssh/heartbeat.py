"""Noticing that an SSH connection is dead although no packet said so, as after a pulled cable."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import paramiko

from compofa.common.closing import Closing
from compofa.profiler.transports.ssh.library import WatchedPacketizer

ASK_S = 2.0
"""Between two questions that the other end has to answer."""

SILENCE_S = 7.0
"""After so long without a byte from the other end, it is gone."""


class Heartbeat(Closing):
    """Asks the other end for a sign of life, and closes the connection if none comes.

    paramiko's own keepalive asks for no reply and so never notices. Closing the connection wakes
    every thread that waits for it.
    """

    def __init__(self, transport: paramiko.Transport, packetizer: WatchedPacketizer) -> None:
        self._transport, self._packetizer = transport, packetizer
        self._stopped = threading.Event()
        self.silent = False
        # Two threads, because to ask blocks once the line takes no more bytes.
        for work in (self._ask, self._watch):
            threading.Thread(target=work, name=f"ssh{work.__name__}", daemon=True).start()

    def _ask(self) -> None:
        # Whatever goes wrong here is told to those who use the connection.
        with suppress(Exception):
            while not self._stopped.wait(ASK_S) and self._transport.is_active():
                self._transport.global_request("keepalive@openssh.com", wait=True)

    def _watch(self) -> None:
        with suppress(Exception):
            while not self._stopped.wait(0.5) and self._transport.is_active():
                if time.monotonic() - self._packetizer.heard_s > SILENCE_S:
                    self.silent = True
                    self._transport.close()

    def close(self) -> None:
        """See `Closing.close`."""
        self._stopped.set()
