"""The values of compofa-search's options, and which limit goes with which table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from compofa.common.csv_lines import parse_number, shown
from compofa.common.errors import UserError
from compofa.search.answer import Limits
from compofa.search.measures import Bound, measure

PLOT_SUFFIXES = (".html", ".png")

MOST_LIMITS = 10_000
"""Of one range."""

_SCALES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def parse_limit(text: str) -> float:
    """`25`, `25ms` or `1.5e1` in milliseconds.

    Raises:
        UserError: it is not a finite number above zero.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*(?:ms)?\s*", text)
    try:
        value = float(found[1]) if found else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        hint = "milliseconds, as in --latency 25"
        message = f"--latency must be a number above zero, not {shown(text)}"
        raise UserError(message, hint=hint)
    return value


def parse_amount(text: str, name: str) -> int:
    """`250000000`, `250M`, `0.25G` or `8MB` as a number of things, MB being a million bytes.

    Raises:
        UserError: it is not a number above zero with one of these endings.
    """
    found = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kMG]?)B?\s*", text)
    value = float(found[1]) * _SCALES[found[2]] if found else 0.0
    if value < 1:
        hint = "as in 250M or 0.25G"
        raise UserError(f"--{name} must be a number above zero, not {shown(text)}", hint=hint)
    return int(value)


def parse_bound(text: str) -> Bound:
    """`energy_mj=50` as the most that a column may hold.

    Raises:
        UserError: it is not a name and a number.
    """
    name, _, amount = text.partition("=")
    try:
        return Bound(measure(name.strip()), parse_number(amount.strip(), "the bound"))
    except ValueError as error:
        message = f"--at-most {shown(text)}: {error}"
        raise UserError(message, hint="a column and a number, as in energy_mj=50") from None


def parse_limits(text: str) -> list[float]:
    """`20`, `15,20,25` or `15-50:5` in milliseconds.

    Raises:
        UserError: it is not such a list, or a long one.
    """
    found: list[float] = []
    for part in text.split(","):
        spread = re.fullmatch(r"\s*([0-9.]+)\s*-\s*([0-9.]+)\s*:\s*([0-9.]+)\s*(?:ms)?\s*", part)
        if spread is None:
            found.append(parse_limit(part))
            continue
        first, last, step = (parse_limit(each) for each in spread.groups())
        count = int((last - first) / step * (1 + 1e-9)) + 1
        if not 1 <= count <= MOST_LIMITS:
            hint = f"at most {MOST_LIMITS}, from low to high, as in 15-50:5"
            raise UserError(f"--latency {shown(text)} spans {max(count, 0)} limits", hint=hint)
        found += [round(first + i * step, 9) for i in range(count)]
    return found


def questions(limits: Sequence[Sequence[float]], tables: int) -> list[Limits]:
    """What is asked: with one table each limit by itself, else all limits of one subnet at once.

    Args:
        limits: what each --latency holds.
        tables: how many there are.

    Raises:
        UserError: there are several tables, and not one limit for each.
    """
    if tables == 1:
        return [(limit,) for each in limits for limit in each]
    if limits and len(limits) != tables:
        given = f"{len(limits)} --latency" if len(limits) > 1 else "one --latency"
        hint = "give one for each table, in the same order, or none for the Pareto front"
        raise UserError(f"{tables} --table go with {tables} --latency, not {given}", hint=hint)
    if any(len(each) > 1 for each in limits):
        hint = "lists of limits go with --each and --family"
        raise UserError("one subnet for several tables has one limit for each", hint=hint)
    return [tuple(each[0] for each in limits)] if limits else []


def device_questions(limits: Sequence[Sequence[float]], tables: int) -> list[Limits]:
    """What --each and --family ask: every limit of every table by itself.

    Args:
        limits: what each --latency holds: those of its table, or of all tables if it is alone.
        tables: how many there are.

    Raises:
        UserError: there are neither one nor as many --latency as tables.
    """
    if len(limits) not in (1, tables):
        hint = "give one for each table, in the same order, or one for all"
        message = f"--each and --family of {tables} --table need {tables} --latency or one"
        raise UserError(f"{message}, not {len(limits)}", hint=hint)
    own = list(limits) * (tables if len(limits) == 1 else 1)
    return [
        tuple(limit if i == table else math.inf for i in range(tables))
        for table in range(tables)
        for limit in own[table]
    ]


def check_plot(path: Path) -> None:
    """Raises UserError where no plot can be written under that name."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise UserError("a plot's name ends in .html or .png", path=path)
