"""A line to a server that can be cut without anybody being told, as a pulled cable cuts it."""

from __future__ import annotations

import contextlib
import socket
import threading

from compofa.common.closing import Closing


class Relay(Closing):
    """Passes bytes between whoever connects to `port` here and a server on 127.0.0.1.

    While the line is cut, bytes wait and ends stay unsaid; what waits arrives once it is whole
    again, as TCP would see to.

    Attributes:
        port: where to connect instead.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nothing passes."""
        self._whole.clear()

    def mend(self) -> None:
        """What waited passes, and all that follows."""
        self._whole.set()

    def hang_up(self) -> None:
        """Ends every connection there is, and both ends hear of it."""
        while self._ends:
            end = self._ends.pop()
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def close(self) -> None:
        """Ends every connection, and takes no more."""
        self._listener.close()
        self.hang_up()
        self._whole.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except ConnectionRefusedError:
                    near.close()
                    continue
                for end in (near, far):
                    # Else small packets wait for acknowledgements: 40 ms each way.
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._ends += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(1 << 16):
                self._whole.wait()
                sink.sendall(part)
        self._whole.wait()
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
