"""Points that the OFA and CompOFA papers publish, for comparison on the same device."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Point:
    """A network on a published front.

    Attributes:
        match: what a device's name has to contain, in small letters and digits.
        method: OFA, CompOFA (fixed kernels) or CompOFA elastic.
        latency_ms: the latency in milliseconds.
        top1_percent: top-1 accuracy on ImageNet's validation set, in percent.
    """

    match: str
    method: str
    latency_ms: float
    top1_percent: float


def published_for(device: str) -> tuple[Point, ...]:
    """The points that were measured on a device of that name; most devices have none."""
    name = re.sub(r"[^a-z0-9]", "", device.lower())
    return tuple(point for point in _points() if point.match in name)


@cache
def _points() -> tuple[Point, ...]:
    text = resources.files("compofa.search").joinpath("data/published.csv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        Point(row["match"], row["method"], float(row["latency_ms"]), float(row["top1_percent"]))
        for row in csv.DictReader(lines)
    )
