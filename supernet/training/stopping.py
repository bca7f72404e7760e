"""Ctrl-C and SIGTERM end a training after the step that runs, so that nothing of it is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Wish:
    """Whether someone asked the training to end."""

    stop: bool = False


@contextmanager
def heeding_signals() -> Iterator[Wish]:
    """Turns the first signal into a wish; a second Ctrl-C interrupts at once, as usual."""
    wish = Wish()

    def ask(number: int, frame: FrameType | None) -> None:
        if wish.stop and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        wish.stop = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
