"""Parses the values of compofa-search's options, and pairs limits with tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from compofa.common.csv_lines import parse_number, shown
from compofa.common.errors import UserError
from compofa.search.answer import Limits
from compofa.search.measures import LATENCY, MEASURES, Bound, Measure, measure

PLOT_SUFFIXES = (".html", ".png")

MOST_LIMITS = 10_000
"""The most limits that one range may have."""

LEAST_WITHOUT_UNIT = 1000
"""Smaller amounts need a unit: who writes 20 means 20 MB of weights, not 20 bytes."""

MILLISECONDS = {"": 1.0, "ms": 1.0, "us": 1e-3, "µs": 1e-3, "s": 1e3}

_NUMBER = r"[0-9]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?"
_UNIT = r"ms|us|µs|s|"
_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY_SCALES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def parse_limit(text: str) -> float:
    """Parses `25`, `25ms`, `15000us` or `0.5s`, and returns milliseconds.

    Raises:
        UserError: `text` is not a finite number above zero, with or without one of these units.
    """
    parsed = re.fullmatch(rf"\s*({_NUMBER})\s*({_UNIT})\s*", text)
    try:
        value = float(parsed[1]) * MILLISECONDS[parsed[2]] if parsed else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        hint = "in milliseconds, as in --latency 25, or with a unit, as in 15000us"
        message = f"--latency must be a number above zero, not {shown(text)}"
        raise UserError(message, hint=hint)
    # Rounded, so that 15100us and 15.1 are the same limit.
    return float(f"{value:.12g}")


def parse_amount(text: str, name: str) -> int:
    """Parses `250000000`, `250M`, `0.25G`, `8MB` or `8MiB` as a whole number.

    MB is 1,000,000 bytes, MiB 1024 x 1024 bytes.

    Raises:
        UserError: `text` is not a number above zero with one of these units, or has no unit but is
            less than `LEAST_WITHOUT_UNIT`; the message names the option `name`.
    """
    parsed = re.fullmatch(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([kKmMgG]?)(i?)B?\s*", text)
    example = "20MB" if name in ("max-size", "max-memory") else "250M"
    if parsed is None or (parsed[3] and not parsed[2]):
        hint = f"as in {example}"
        raise UserError(f"--{name} must be a number above zero, not {shown(text)}", hint=hint)
    number, unit = float(parsed[1]), parsed[2].lower()
    value = number * (_BINARY_SCALES if parsed[3] else _SCALES)[unit]
    if value < 1:
        raise UserError(
            f"--{name} must be a number above zero, not {shown(text)}", hint=f"as in {example}"
        )
    if not unit and value < LEAST_WITHOUT_UNIT:
        hint = f"as in {number:g}{example.lstrip('0123456789')}"
        raise UserError(f"--{name} {text.strip()} has no unit", hint=hint)
    return int(value)


def parse_bound(text: str) -> Bound:
    """Parses `energy_mj=50` as the largest value of a column.

    Raises:
        UserError: `text` is not a name and a number.
    """
    name, _, amount = text.partition("=")
    try:
        return Bound(measure(name.strip()), parse_number(amount.strip(), "the bound"))
    except ValueError as error:
        message = f"--at-most {shown(text)}: {error}"
        hint = "write a column and a number, as in energy_mj=50"
        raise UserError(message, hint=hint) from None


def parse_bounds(amounts: Mapping[str, str | None], columns: Sequence[str]) -> list[Bound]:
    """The upper bounds of --max-NAME and --at-most.

    Args:
        amounts: the value of --max-NAME by NAME; None if the option was not given.
        columns: the values of --at-most.

    Raises:
        UserError: a value is not an amount, or not a column and a number.
    """
    bounds = [
        Bound(MEASURES[name], parse_amount(text, f"max-{name}"))
        for name, text in amounts.items()
        if text is not None
    ]
    return bounds + [parse_bound(text) for text in columns]


def parse_objectives(texts: Sequence[str]) -> tuple[Measure, ...]:
    """The objectives of --minimise, of which each value may be several names with commas.

    Raises:
        UserError: a name is missing, or given twice.
    """
    names = [name.strip() for text in texts for name in text.split(",")]
    for name in names:
        if not name:
            hint = f"as in {LATENCY}, memory, or {LATENCY},memory"
            raise UserError("--minimise needs the name of what to minimise", hint=hint)
        if names.count(name) > 1:
            raise UserError(f"--minimise {shown(name)} is given twice")
    return tuple(map(measure, names))


def parse_limits(text: str) -> list[float]:
    """Parses `20`, `15,20,25` or `15-50:5` (with an optional unit), and returns milliseconds.

    Raises:
        UserError: `text` is not such a list, or a range has more than `MOST_LIMITS` limits.
    """
    limits: list[float] = []
    number = r"\s*([0-9.]+)\s*"
    for part in text.split(","):
        spread = re.fullmatch(rf"{number}-{number}:{number}({_UNIT})\s*", part)
        if spread is None:
            limits.append(parse_limit(part))
            continue
        first, last, step = (parse_limit(each + spread[4]) for each in spread.groups()[:3])
        # The factor keeps the last limit where the division comes out a hair too small.
        count = int((last - first) / step * (1 + 1e-9)) + 1
        if not 1 <= count <= MOST_LIMITS:
            hint = f"at most {MOST_LIMITS}, from low to high, as in 15-50:5"
            raise UserError(f"--latency {shown(text)} spans {max(count, 0)} limits", hint=hint)
        limits += [round(first + i * step, 9) for i in range(count)]
    return limits


def questions(limits: Sequence[Sequence[float]], tables: int) -> list[Limits]:
    """The questions that --latency asks.

    With one table, each limit is a question. With several, there is one question: a subnet that
    meets the limit of every table.

    Args:
        limits: the limits of each --latency, in milliseconds.
        tables: the number of tables.

    Raises:
        UserError: there are several tables but not one limit for each.
    """
    if tables == 1:
        return [(limit,) for each in limits for limit in each]
    if limits and len(limits) != tables:
        given = f"{len(limits)} --latency" if len(limits) > 1 else "one --latency"
        hint = "give one for each table, in the same order, or none for the Pareto front"
        raise UserError(f"{tables} --table need {tables} --latency, not {given}", hint=hint)
    if any(len(each) > 1 for each in limits):
        hint = "with --each or --family, a table may have several"
        raise UserError("with several tables, each can have only one limit", hint=hint)
    return [tuple(each[0] for each in limits)] if limits else []


def device_questions(limits: Sequence[Sequence[float]], tables: int) -> list[Limits]:
    """The questions of --each and --family: each limit of each table is one.

    Args:
        limits: the limits of each --latency, in milliseconds. The first are those of the first
            table, and so on; if there is only one --latency, its limits are those of all tables.
        tables: the number of tables.

    Raises:
        UserError: the number of --latency is neither one nor that of the tables.
    """
    if len(limits) not in (1, tables):
        hint = "give one for each table, in the same order, or one for all"
        given = f"of which there are {len(limits)}" if limits else "of which there is none"
        raise UserError(f"--each and --family answer the limits of --latency, {given}", hint=hint)
    own = list(limits) * (tables if len(limits) == 1 else 1)
    return [
        tuple(limit if i == table else math.inf for i in range(tables))
        for table in range(tables)
        for limit in own[table]
    ]


def check_plot(path: Path) -> None:
    """Raises UserError if a plot cannot be written under that name."""
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise UserError("a plot's name ends in .html or .png", path=path)
