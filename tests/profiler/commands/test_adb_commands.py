"""Commands on a phone: their output, their end, and a server or phone that lies about either."""

from __future__ import annotations

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import DeviceError
from compofa.profiler.transports.adb.phone import Phone
from compofa.profiler.transports.adb.server import AdbServer, AdbStream
from compofa.profiler.transports.adb.shell import RemoteCommand, command_line
from compofa.profiler.transports.base import LinkLost
from rigs.adbd import NASTY, AdbPeer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"OK",
        b"WHAT????",
        b"FAILzzzz",
        b"FAIL0006\x1b[31mX",
        b"OKAYffffshort",
        b"OKAY-001x",
        b"\0" * 100,
    ],
)
def test_a_server_that_lies_is_an_error_in_one_plain_line(answer: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        peer.recv(1000)
        peer.sendall(answer)
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    with listener, pytest.raises(DeviceError) as caught:
        AdbServer(port=listener.getsockname()[1]).ask("host:devices", 2.0)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_exit_codes_come_back(adb_phone: Phone, code: int) -> None:
    finished = adb_phone.run(f"echo out; echo err >&2; exit {code}")
    assert (finished.code, finished.text, finished.stderr) == (code, "out\n", "err\n")


def test_a_death_by_signal_comes_back(adb_phone: Phone) -> None:
    assert adb_phone.run("kill -9 $$").code == 128 + 9


def test_a_command_whose_adbd_dies_did_not_succeed(adb_peer: AdbPeer, adb_phone: Phone) -> None:
    with adb_phone.start("echo half; exec sleep 60") as remote:
        assert remote.receive(5.0) == b"half\n"
        adb_peer.kill_server()
        with pytest.raises(LinkLost):
            remote.finish(10.0)
        assert remote.code is None


def test_a_device_that_prints_without_end_is_cut_off(adb_phone: Phone) -> None:
    with pytest.raises(DeviceError, match="more than 1,048,576 bytes"):
        adb_phone.run("cat /dev/zero", 30.0)


def test_bytes_of_every_value_pass(adb_phone: Phone) -> None:
    content = bytes(range(256)) * 2000
    with adb_phone.start("cat") as remote, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(remote.send, content)
        received = b""
        while len(received) < len(content):
            received += remote.receive(10.0)
        sending.result()
    assert received == content


def packets(parts: list[tuple[int, bytes]]) -> bytes:
    return b"".join(struct.pack("<BI", kind, len(data)) + data for kind, data in parts)


@given(
    outputs=st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=8),
    code=st.integers(0, 255),
    cut=st.integers(1, 7),
)
def test_packets_are_read_however_they_are_cut(
    outputs: list[tuple[int, bytes]], code: int, cut: int
) -> None:
    stream = packets([*outputs, (3, bytes([code]))])
    finished = RemoteCommand(Pieces(stream, cut)).finish(1.0)
    assert finished.code == code
    assert finished.stdout == b"".join(data for kind, data in outputs if kind == 1)
    assert (
        finished.stderr.encode(errors="replace")[:1]
        == b"".join(data for kind, data in outputs if kind == 2)
        .decode(errors="replace")
        .encode()[:1]
    )


@pytest.mark.parametrize(
    "stream",
    [
        b"\x09\x00\x00\x00\x00",
        b"\x01\xff\xff\xff\xff" + b"x" * 100,
        packets([(1, b"half")]),
        packets([(1, b"half")])[:-2],
    ],
)
def test_a_stream_that_is_none_of_adb_s_shell_is_an_error(stream: bytes) -> None:
    with pytest.raises(DeviceError):
        RemoteCommand(Pieces(stream, 1000)).finish(1.0)


class Pieces(AdbStream):
    """A connection whose bytes come a few at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self._pieces = [content[i : i + size] for i in range(0, len(content), size)]

    def receive(self, most: int, timeout_s: float) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        pass


@pytest.mark.parametrize("form", NASTY)
def test_words_mean_nothing_to_the_phone_s_shell(
    adb_phone: Phone, tmp_path: Path, form: str
) -> None:
    word = form.format(c=tmp_path / "canary")
    assert adb_phone.run(command_line("printf", "%s", word)).text == word
    assert not (tmp_path / "canary").exists()
