"""Options that commands share, and values: percentages, durations, lists of sizes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from compofa.common.errors import UserError

Inventory = Annotated[Path, typer.Option("--inventory", help="The file that lists the devices.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def parse_share(text: str, name: str, low: float, high: float) -> float:
    """`2%` or `0.02` as a fraction of one, strictly between `low` and `high`.

    Raises:
        UserError: it is not such a number.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(%?)\s*", text)
    value = float(found[1]) / (100 if found[2] else 1) if found else math.nan
    if not low < value < high:
        raise UserError(
            f"--{name} must be between {low:.0%} and {high:.0%}, not {text!r}",
            hint="as in 2% or 0.02",
        )
    return value


_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def parse_duration(text: str, name: str) -> float:
    """`90`, `90s`, `10m` or `1.5h` in seconds.

    Raises:
        UserError: it is not such a duration, or not above zero.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|m|min|h|)\s*", text)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not 0 < seconds <= 30 * 86400:
        hint = "as in 90s, 10m or 2h, at most 30 days"
        raise UserError(f"--{name} must be a duration, not {text!r}", hint=hint)
    return seconds


def parse_sizes(text: str, name: str, low: int, high: int) -> tuple[int, ...]:
    """`160,192,224` or `160-224:16` as sizes in rising order, each once.

    Raises:
        UserError: it is not such a list, or a size is out of bounds.
    """
    sizes: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,7})(?:-([0-9]{1,7}):([0-9]{1,7}))?\s*", part)
        if found is None or (found[3] and int(found[3]) == 0):
            hint = "as in 160,192,224 or 160-224:16"
            raise UserError(f"--{name} must be a list of sizes, not {text!r}", hint=hint)
        first = int(found[1])
        sizes |= set(range(first, int(found[2]) + 1, int(found[3]))) if found[2] else {first}
    wrong = sorted(size for size in sizes if not low <= size <= high)
    if wrong or not sizes:
        said = f"{wrong[0]} is not" if wrong else "there are none"
        raise UserError(f"--{name} must be from {low} to {high}: {said} in {text!r}")
    return tuple(sorted(sizes))
