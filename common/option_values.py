"""Values of options as people write them: percentages, durations, lists of sizes."""

from __future__ import annotations

import math
import re

from compofa.common.errors import UserError

LONGEST_DURATION_S = 30 * 86400


def percent(share: float) -> str:
    """A fraction of one as people write it, and as `parse_share` reads it: 0.02 is "2%"."""
    return f"{100 * share:.10g}%"


_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def parse_share(text: str, name: str, low: float, high: float) -> float:
    """`2%` or `0.02` as a fraction of one, strictly between `low` and `high`.

    Raises:
        UserError: it is not such a number.
    """
    parsed = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*(%?)\s*", text)
    value = float(parsed[1]) / (100 if parsed[2] else 1) if parsed else math.nan
    if not low < value < high:
        example = "2% or 0.02" if low < 0.02 else "95% or 0.95"
        if parsed and not parsed[2] and low < value / 100 < high:
            # Most likely a percentage whose sign was forgotten.
            example = f"{value:g}% or {value / 100:g}"
        raise UserError(
            f"--{name} must be more than {low:.0%} and less than {high:.0%}, not {text[:60]!r}",
            hint=f"as in {example}",
        )
    return value


def parse_duration(text: str, name: str) -> float:
    """`90`, `90s`, `10m` or `1.5h` in seconds.

    Raises:
        UserError: it is not such a duration, or not above zero.
    """
    parsed = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(s|m|min|h|)\s*", text)
    seconds = float(parsed[1]) * _SECONDS[parsed[2]] if parsed else 0.0
    if not 0 < seconds <= LONGEST_DURATION_S:
        hint = "as in 90s, 10m or 2h, at most 30 days"
        raise UserError(f"--{name} must be a duration, not {text[:60]!r}", hint=hint)
    return seconds


def parse_sizes(text: str, name: str, low: int, high: int) -> tuple[int, ...]:
    """`160,192,224` or `160-224:16` as sizes in rising order, each once.

    Raises:
        UserError: it is not such a list, or a size is out of bounds.
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
