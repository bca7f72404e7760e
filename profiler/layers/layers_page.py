"""The page about where the time of a run goes: a bar for each block, or each operator."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from compofa.profiler.layers.trace_layers import Layers, PartChange
from compofa.profiler.report.offline import offline_page, page_part

MOST_BARS = 60
"""Operators of a model file that have a bar, the longest."""


@dataclass(frozen=True)
class Bar:
    """One part: its time, its share of all, and how long its bar is, in percent of the longest."""

    name: str
    ms: float
    share: float
    length: float


@dataclass(frozen=True)
class DrawnNetwork:
    """A network as the page draws it."""

    name: str
    untraced_ms: float
    sum_ms: float
    tracing_percent: float
    bars: tuple[Bar, ...]


def render_layers_page(device: str, traced: Sequence[Layers], changes: Sequence[PartChange]) -> str:
    """The page of one or two networks."""
    return offline_page(
        page_part(__package__, "page.html"),
        {},
        title=f"Where the time goes on {device}: {', '.join(each.name for each in traced)}",
        device=device,
        networks=[_drawn(each) for each in traced],
        changes=changes,
    )


def _drawn(layers: Layers) -> DrawnNetwork:
    parts = layers.blocks
    if not parts:
        parts = tuple(sorted(layers.operators, key=lambda part: -part.ms)[:MOST_BARS])
    longest = max((part.ms for part in parts), default=0.0) or 1.0
    total = layers.sum_ms or 1.0
    return DrawnNetwork(
        name=layers.name,
        untraced_ms=statistics.median(layers.untraced_ms),
        sum_ms=layers.sum_ms,
        tracing_percent=100 * layers.tracing_share,
        bars=tuple(
            Bar(part.name, part.ms, 100 * part.ms / total, 100 * part.ms / longest)
            for part in parts
        ),
    )
