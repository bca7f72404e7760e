"""Files to a device over adb: the SEND request of its sync service (AOSP, adb's SYNC.TXT)."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from compofa.common.console import detail, printable
from compofa.common.errors import DeviceError, file_error
from compofa.profiler.transports.adb.server import AdbStream
from compofa.profiler.transports.base import LinkLost
from compofa.profiler.transports.upload_progress import parts_to_send

LARGEST_PART = 1 << 16
"""Bytes in one DATA request; adbd refuses more."""

FLUSH_S = 60.0
"""How long the device may take to write the last of it."""

REGULAR_FILE = 0o100000


def push(stream: AdbStream, file: Path, target: str, mode: int) -> None:
    """Sends `file`; `stream` is a connection to the service `sync:`.

    Raises:
        LinkLost: the connection broke, and the file is not there.
        DeviceError: the device could not write it: no room, or no such folder.
        UserError: `file` cannot be read.
    """
    detail(f"sending {file.name} to the phone as {target}")
    try:
        with file.open("rb") as content:
            stream.send(_request(b"SEND", f"{target},{REGULAR_FILE | mode}".encode()))
            try:
                for part in parts_to_send(content, LARGEST_PART, f"{file.name} to the phone"):
                    stream.send(_request(b"DATA", part))
                stream.send(struct.pack("<4sI", b"DONE", int(time.time())))
            except LinkLost:
                _refusal(stream, target)  # which may be why it hung up
                raise
    except OSError as error:
        raise file_error(error, file, "cannot send the file") from None
    _refusal(stream, target)


def _refusal(stream: AdbStream, target: str) -> None:
    """Raises what the device says against the file; returns if it says that all is well."""
    status, length = struct.unpack("<4sI", stream.exactly(8, FLUSH_S))
    if status == b"OKAY":
        return
    if status != b"FAIL":
        raise DeviceError(f"the device answered {printable(repr(status))} to a file")
    reason = printable(stream.exactly(min(length, LARGEST_PART)).decode(errors="replace"))
    hint = "make room on it" if "No space left" in reason else None
    raise DeviceError(f"the device cannot store {target}: {reason[:200]}", hint=hint)


def _request(name: bytes, data: bytes) -> bytes:
    return struct.pack("<4sI", name, len(data)) + data
