"""How far a long piece of work is: one line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import math
import sys
import time

from compofa.common.console import note
from compofa.common.running_log import loudness

LINE_SECONDS = 30.0
"""Between two lines where there is no terminal."""


class Meter:
    """Counts units of work as they are done, and says how many a second and how long is left.

    Attributes:
        total: units in all.
        done: units so far.
    """

    def __init__(self, what: str, unit: str, total: int, *, silent: bool = False) -> None:
        """Starts the clock.

        Args:
            what: names the work.
            unit: what is counted, as in "images".
            total: how many there are in all.
            silent: says nothing; so does --quiet.
        """
        self.total = total
        self.done = 0
        self._what = what
        self._unit = unit
        self._silent = silent or loudness().quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """So many more are done."""
        self.done += count
        pause = 1.0 if self._terminal else LINE_SECONDS
        if not self._silent and time.monotonic() - self._told > pause:
            self._told = time.monotonic()
            self._tell()

    def _tell(self) -> None:
        if self._terminal:
            print(f"\r{self}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            note(str(self))

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        left = seconds / max(self.done, 1) * (self.total - self.done)
        share = self.done / max(self.total, 1)
        rate = self.done / seconds
        return f"{self._what}: {share:.0%}, {rate:,.0f} {self._unit}/s, {duration(left)} left"

    def end(self) -> None:
        """Clears the line of a terminal."""
        if self._terminal and not self._silent:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`seconds` in the unit that suits them; "unknown time" where they are not finite."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
