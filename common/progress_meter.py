"""Shows the progress of long work: in one line on a terminal, elsewhere by a line now and then."""

from __future__ import annotations

import math
import sys
import time

from compofa.common.console import note
from compofa.common.running_log import loudness

LINE_SECONDS = 30.0
"""Seconds between two lines if stderr is not a terminal."""


class Meter:
    """Counts units of work as they are done, and shows their rate and the time that is left.

    Attributes:
        total: how many units there are in all.
        done: how many of them are done.
    """

    def __init__(self, what: str, unit: str, total: int, *, silent: bool = False) -> None:
        """Starts the clock.

        Args:
            what: the name of the work, with which each line begins.
            unit: what is counted, as in "images".
            total: how many units there are in all.
            silent: whether to show nothing, as under --quiet.
        """
        self.total = total
        self.done = 0
        self._what = what
        self._unit = unit
        self._silent = silent or loudness().quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """Adds `count` units to those that are done."""
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
        """Clears the line if stderr is a terminal."""
        if self._terminal and not self._silent:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`seconds` as text in s, min or h; "unknown time" if they are not finite."""
    if not math.isfinite(seconds):
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
