"""Makes Ctrl-C and SIGTERM stop a training after the current step, so that nothing is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether the training has been asked to stop."""

    stop: bool = False


@contextmanager
def heeding_signals() -> Iterator[StopRequest]:
    """Turns the first signal into a stop request; a second Ctrl-C interrupts immediately."""
    stop_request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop_request.stop and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        stop_request.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
