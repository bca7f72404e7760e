"""Parses the values of options as people write them: percentages, durations, lists of sizes."""

from __future__ import annotations

import math
import re

from compofa.common.errors import UserError

LONGEST_DURATION_S = 30 * 86400


def percent(share: float) -> str:
    """A fraction of one as a percentage that `parse_share` can read: 0.02 becomes "2%"."""
    return f"{100 * share:.10g}%"


_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def parse_share(text: str, name: str, low: float, high: float) -> float:
    """Parses `2%` or `0.02` as a fraction of one, strictly between `low` and `high`.

    Raises:
        UserError: `text` is not such a number; the message names the option `name`.
    """
    parsed = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(%?)\s*", text)
    value = float(parsed[1]) / (100 if parsed[2] else 1) if parsed else math.nan
    if not low < value < high:
        example = "2% or 0.02" if low < 0.02 else "95% or 0.95"
        if parsed and not parsed[2] and low < value / 100 < high:
            # Most likely the user forgot the percent sign.
            example = f"{value:g}% or {value / 100:g}"
        raise UserError(
            f"--{name} must be more than {low:.0%} and less than {high:.0%}, not {text[:60]!r}",
            hint=f"as in {example}",
        )
    return value


def parse_duration(text: str, name: str) -> float:
    """Parses `90`, `90s`, `10m` or `1.5h` as a duration, and returns it in seconds.

    Raises:
        UserError: `text` is not such a duration, is not above zero, or is more than 30 days.
    """
    parsed = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|m|min|h|)\s*", text)
    seconds = float(parsed[1]) * _SECONDS[parsed[2]] if parsed else 0.0
    if not 0 < seconds <= LONGEST_DURATION_S:
        hint = "as in 90s, 10m or 2h, at most 30 days"
        raise UserError(f"--{name} must be a duration, not {text[:60]!r}", hint=hint)
    return seconds


def parse_sizes(text: str, name: str, low: int, high: int) -> tuple[int, ...]:
    """Parses `160,192,224` or `160-224:16` as sizes, and returns each once in ascending order.

    Raises:
        UserError: `text` is not such a list, or a size is not from `low` to `high`.
    """
    sizes: set[int] = set()
    for part in text.split(","):
        parsed = re.fullmatch(r"\s*([0-9]{1,7})(?:-([0-9]{1,7}):([0-9]{1,7}))?\s*", part)
        if parsed is None or (parsed[3] and int(parsed[3]) == 0):
            hint = "as in 160,192,224 or 160-224:16"
            raise UserError(f"--{name} must be a list of sizes, not {text[:60]!r}", hint=hint)
        first = int(parsed[1])
        sizes |= set(range(first, int(parsed[2]) + 1, int(parsed[3]))) if parsed[2] else {first}
    wrong = sorted(size for size in sizes if not low <= size <= high)
    if wrong or not sizes:
        problem = f"{wrong[0]} is not" if wrong else "there are none"
        raise UserError(f"--{name} must be from {low} to {high}: {problem} in {text[:60]!r}")
    return tuple(sorted(sizes))
