"""Reading a file that is sent to a device, and telling now and then how much of it is sent."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import IO

from compofa.common.console import note

TOLD_EVERY_S = 10.0
"""Uploads that take less are not told of."""


def parts_to_send(file: IO[bytes], part: int, shown: str) -> Iterator[bytes]:
    """The rest of `file` in parts of at most `part` bytes, each as the one before has been sent.

    Args:
        file: open, at the place from which it is sent: an upload may go on after a cut.
        part: bytes.
        shown: what the file is called, and where it goes.
    """
    size = os.fstat(file.fileno()).st_size
    told = time.monotonic()
    sent = file.tell()
    while content := file.read(part):
        yield content
        sent += len(content)
        if time.monotonic() - told >= TOLD_EVERY_S and sent < size:
            told = time.monotonic()
            note(f"sending {shown}: {sent / size:.0%} of {size / 1e6:,.0f} MB")
