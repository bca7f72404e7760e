"""Hosts that take a connection and then do not behave: silent, slow, endless, or nonsense."""

from __future__ import annotations

import contextlib
import itertools
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

from compofa.common.closing import Closing

GREETING = b"SSH-2.0-mute\r\n"


def silent() -> Iterator[bytes]:
    """Says nothing."""
    yield b""


def trickling() -> Iterator[bytes]:
    """Sends its first line a byte at a time, and never ends it."""
    for byte in itertools.cycle(b"SSH-2.0-"):
        time.sleep(0.05)
        yield bytes([byte])


def endless() -> Iterator[bytes]:
    """Sends a first line without an end."""
    while True:
        yield b"x" * 4096


def chatty() -> Iterator[bytes]:
    """Sends lines without end, none of them its version."""
    while True:
        yield b"welcome\r\n"


def greets_only() -> Iterator[bytes]:
    """Sends its version, and nothing more."""
    yield GREETING


def huge_packet() -> Iterator[bytes]:
    """Announces a packet of four gigabytes."""
    yield GREETING + struct.pack(">IB", 0xFFFFFFFC, 4) + bytes(100)


def nonsense() -> Iterator[bytes]:
    """Sends packets that mean nothing."""
    yield GREETING + struct.pack(">IB", 12, 4) + b"\x63" + bytes(10) * 100


def hangs_up() -> Iterator[bytes]:
    """Ends the connection at once."""
    raise ConnectionError
    yield b""


def web_server() -> Iterator[bytes]:
    """Speaks another protocol, and ends."""
    yield b"HTTP/1.1 400 Bad Request\r\n\r\n"
    raise ConnectionError


BEHAVIOURS: tuple[Callable[[], Iterator[bytes]], ...] = (
    silent, trickling, endless, chatty, greets_only, huge_packet, nonsense, hangs_up, web_server,
)  # fmt: skip


class MuteHost(Closing):
    """Listens at `port` of an address; every connection is treated as `behaviour` says."""

    def __init__(
        self,
        behaviour: Callable[[], Iterator[bytes]],
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._behaviour = behaviour
        self._listener = socket.create_server((address, port))
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """See `Closing.close`."""
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._treat, args=(connection,), daemon=True).start()

    def _treat(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for part in self._behaviour():
                connection.sendall(part)
                if self._ended.is_set():
                    return
            self._ended.wait(60)


def mute_command(behaviour: str, address: str, port: int) -> list[str]:
    """The command of a mute host that lives until it is killed."""
    return [sys.executable, __file__, behaviour, address, str(port)]


if __name__ == "__main__":
    chosen = next(each for each in BEHAVIOURS if each.__name__ == sys.argv[1])
    with MuteHost(chosen, sys.argv[2], int(sys.argv[3])):
        signal.pause()
