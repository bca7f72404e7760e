"""The border to paramiko: its errors become ours here, and what a host may send is bounded."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import paramiko
from paramiko.common import MSG_DISCONNECT, MSG_KEXINIT
from paramiko.packet import Packetizer

from compofa.common.console import printable
from compofa.common.errors import CompofaError

LARGEST_PACKET = 1 << 20
"""Bytes; four times what OpenSSH ever sends. paramiko would take four gigabytes."""

LONGEST_GREETING = 1 << 16
"""Bytes that may come before the line with the host's version."""

# What matters is raised; without a handler of ours paramiko prints tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@contextmanager
def translated(
    make: Callable[[str], CompofaError], keep: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turns whatever paramiko raises in the block into the error that `make` makes of its reason.

    There is no list of what that can be: paramiko raises in our thread what its own thread met,
    which may be a struct.error, an IndexError or one of the cryptography library. So the block
    must hold calls of paramiko and nothing else that could be a bug of ours.

    Args:
        make: from the reason in words to the error to raise.
        keep: errors that the caller tells apart.
    """
    try:
        yield
    except CompofaError:
        raise
    except Exception as error:
        if isinstance(error, keep):
            raise
        raise make(reason(error)) from None


def reason(error: Exception) -> str:
    """What a library's error says, on one line of at most 200 characters."""
    said = (isinstance(error, OSError) and error.strerror) or str(error)
    if not said:
        return "it hung up" if isinstance(error, EOFError) else type(error).__name__
    return printable(said)[:200]


class WatchedPacketizer(Packetizer):
    """Reads packets as paramiko does, with bounds, and remembers what the other end said last.

    On a slow line an answer may queue behind a large upload for long, while the upload's own
    acknowledgements keep coming: so any packet counts as a sign of life, not the answers alone.

    Attributes:
        heard_s: when the last packet came, on the monotonic clock.
        greeted: whether any byte has come.
        late: whether the host let a time limit of the first key exchange pass.
        offered: the algorithms that the host named, in the order of RFC 4253, section 7.1.
        farewell: why the host said that it hangs up; empty where it said nothing.
    """

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self.heard_s = time.monotonic()
        self.greeted = self.late = False
        self.offered: tuple[list[str], ...] = ()
        self.farewell = ""
        self._greeting_left = LONGEST_GREETING

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """The next `n` bytes.

        Raises:
            paramiko.SSHException: no packet is that large.
        """
        if n > LARGEST_PACKET:
            raise paramiko.SSHException(f"it sends a packet of {n:,} bytes")
        return bytes(super().read_all(n, check_rekey))

    def handshake_timed_out(self) -> bool:
        """See its base class, which has no other way to tell than to say that the line ended."""
        timed_out = bool(super().handshake_timed_out())
        self.late = self.late or timed_out
        return timed_out

    def read_message(self) -> Any:
        """The next packet, as its base class reads it."""
        kind, message = super().read_message()
        self.heard_s = time.monotonic()
        if kind == MSG_KEXINIT:
            said = paramiko.Message(message.asbytes())
            said.get_bytes(16)  # a random number
            self.offered = tuple(said.get_list() for _ in range(6))
        elif kind == MSG_DISCONNECT:
            said = paramiko.Message(message.asbytes())
            said.get_int()
            self.farewell = printable(said.get_binary().decode(errors="replace"))[:200]
        return kind, message

    def _read_timeout(self, timeout: float) -> Any:
        """Some bytes of the greeting: paramiko itself bounds neither its length nor its lines."""
        try:
            base: Any = super()
            part = base._read_timeout(timeout)
        except TimeoutError:
            self.late = True
            raise
        self.greeted = True
        self._greeting_left -= len(part)
        if self._greeting_left < 0:
            raise paramiko.SSHException("it sends no line with its version")
        return part
