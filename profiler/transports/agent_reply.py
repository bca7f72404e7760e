"""What a device says, checked once, where it comes in.

Whatever runs on a device may be broken, out of date or somebody else's. What passes here can be
shown, written to a journal and computed with: finite numbers, whole numbers of a bounded size,
strings that print on one line, and no more of anything than a device has reason to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from compofa.common.csv_lines import LONGEST_TEXT, shown

LARGEST_INTEGER = 2**63
DEEPEST = 8
LONGEST_LIST = 100_000
MOST_KEYS = 1000
LONGEST_STRING = 4096
LARGEST_TENSOR = 2**40
"""Numbers in an output."""

MOST_DIMENSIONS = 16


class AgentReply:
    """The answer to one request.

    Args:
        content: what the agent answered.
        unchecked: the names of lists whose numbers may be infinite or not a number (NaN), as
            what a network computes may be.

    Raises:
        ValueError: it holds what no device has reason to say; names the place.
    """

    def __init__(self, content: Mapping[str, Any], unchecked: frozenset[str] = frozenset()) -> None:
        checked = {name: each for name, each in content.items() if name not in unchecked}
        check_value(checked, "it")
        self._content = content

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return check_integer(self._content.get(name), name, low, high)

    def integers(self, name: str, low: int, high: int) -> tuple[int, ...]:
        """A list of such numbers."""
        return tuple(check_integer(each, name, low, high) for each in self._list(name))

    def lists(self, name: str, low: int, high: int) -> tuple[tuple[int, ...], ...]:
        """A list of lists of such numbers."""
        rows = self._list(name)
        for row in rows:
            if not isinstance(row, list):
                raise ValueError(f"{name} holds {_quoted(row)}, not lists")
        return tuple(tuple(check_integer(each, name, low, high) for each in row) for row in rows)

    def numbers(self, name: str, most: int) -> tuple[float, ...]:
        """A list of at most `most` numbers, any of which may be infinite or NaN."""
        numbers = self._list(name)
        if len(numbers) > most:
            raise ValueError(f"{name} has {len(numbers)} numbers, more than {most}")
        for each in numbers:
            if isinstance(each, bool) or not isinstance(each, int | float):
                raise ValueError(f"{name} holds {_quoted(each)}, which is not a number")
        try:
            return tuple(map(float, numbers))
        except OverflowError:
            raise ValueError(f"{name} holds a number that is too large") from None

    def text(self, name: str) -> str:
        """A short text, as a table may hold it."""
        return check_text(self._content.get(name), name)

    def mapping(self, name: str, *, optional: bool = False) -> dict[str, Any]:
        """An object; an empty one where it is `optional` and left out."""
        value = self._content.get(name, {} if optional else None)
        if not isinstance(value, dict):
            raise ValueError(f"{name} is {_quoted(value)}, not an object")
        return value

    def objects(self, name: str, most: int) -> list[dict[str, Any]]:
        """A list of at most `most` objects."""
        objects = self._list(name)
        if len(objects) > most:
            raise ValueError(f"{name} has {len(objects)} objects, more than {most}")
        for each in objects:
            if not isinstance(each, dict):
                raise ValueError(f"{name} holds {_quoted(each)}, which is no object")
        return objects

    def has(self, name: str) -> bool:
        """Whether it says anything of `name`; null says nothing."""
        return self._content.get(name) is not None

    def _list(self, name: str) -> list[Any]:
        value = self._content.get(name)
        if not isinstance(value, list):
            raise ValueError(f"{name} is {_quoted(value)}, not a list")
        return value


def check_integer(value: object, name: str, low: int, high: int) -> int:
    """`value`, which has to be a whole number from `low` to `high`.

    Raises:
        ValueError: it is not.
    """
    # True is an int to Python, and to no device.
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {_quoted(value)}, not a whole number from {low} to {high}")
    return value


def check_text(value: object, name: str) -> str:
    """`value`, which has to be a short text, as a table may hold it.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} is {_quoted(value)}, not a short text")
    return value


def check_value(value: object, place: str, depth: int = 0) -> None:
    """Refuses what cannot be shown, written or computed with, at any depth.

    Raises:
        ValueError: there is such a value; the message names its place.
    """
    if isinstance(value, str):
        _check_string(value, place)
    elif isinstance(value, dict):
        if depth == DEEPEST or len(value) > MOST_KEYS:
            raise ValueError(f"{place} is too deep or too large")
        for name, each in value.items():
            _check_string(name, f"a name in {place}")
            check_value(each, name if depth == 0 else f"{place}.{name}", depth + 1)
    elif isinstance(value, list):
        if depth == DEEPEST or len(value) > LONGEST_LIST:
            raise ValueError(f"{place} is too deep or too large")
        for each in value:
            check_value(each, place, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place} holds {value}, which is not a finite number")
    elif isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        raise ValueError(f"{place} holds a number that is too large")


def _check_string(text: str, place: str) -> None:
    if len(text) > LONGEST_STRING:
        raise ValueError(f"{place} holds a text of {len(text)} characters")
    if not text.isprintable():
        raise ValueError(f"{place} holds characters that do not print: {shown(text)}")


def _quoted(value: object) -> str:
    # A whole number of thousands of digits cannot even be printed.
    if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        return "too large a number"
    return shown(value) if isinstance(value, str) else repr(value)[:60]
