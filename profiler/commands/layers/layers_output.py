"""What compofa-profile layers says: on the screen, and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from compofa.common.console import printable
from compofa.profiler.layers.trace_layers import Layers, PartChange, TimedPart

MOST_SHOWN = 15
"""Operators or blocks on the screen; --json and the page have them all."""


def describe_layers(traced: Sequence[Layers], changes: Sequence[PartChange]) -> dict[str, Any]:
    """Everything, as JSON has it; docs/costs.md describes it."""

    def parts(each: Sequence[TimedPart]) -> list[dict[str, Any]]:
        return [{"ms": part.ms, **asdict(part)} for part in each]

    return {
        "networks": [
            {
                "name": each.name,
                "untraced_ms": statistics.median(each.untraced_ms),
                "traced_ms": statistics.median(each.traced_ms),
                "sum_ms": each.sum_ms,
                "tracing_share": each.tracing_share,
                "sessions": len(each.untraced_ms),
                "units": parts(each.units),
                "blocks": parts(each.blocks),
                "operators": parts(each.operators),
            }
            for each in traced
        ],
        "changes": [{**asdict(each), "sure": each.sure} for each in changes],
    }


def show_layers(layers: Layers) -> None:
    """Prints where the time of one network goes."""
    untraced = statistics.median(layers.untraced_ms)
    print(
        f"{printable(layers.name)}: {untraced:.3f} ms a run; operators add up to "
        f"{layers.sum_ms:.3f} ms ({layers.sum_ms / untraced:.0%}); tracing makes a run "
        f"{layers.tracing_share:.1%} longer"
    )
    for title, parts in (("block", layers.blocks), ("operator", layers.operators)):
        if parts:
            print(f"  {title:<44}{'ms':>9}{'share':>8}")
        longest = sorted(parts, key=lambda part: -part.ms)
        for part in longest[:MOST_SHOWN]:
            name = printable(f"{part.name} {part.kind}".strip())[:42]
            print(f"  {name:<44}{part.ms:>9.4f}{part.ms / layers.sum_ms:>8.1%}")
        if len(longest) > MOST_SHOWN:
            print(f"  ... and {len(longest) - MOST_SHOWN:,} more")


def show_changes(changes: Sequence[PartChange]) -> None:
    """Prints where two networks differ, if there are two."""
    if not changes:
        return
    print("where the second one takes longer:")
    for each in changes[:MOST_SHOWN]:
        said = "" if each.sure else "  not sure"
        name = printable(each.name)[:42]
        print(f"  {name:<44}{each.ms:>+9.4f} ms ({each.low:+.4f} to {each.high:+.4f}){said}")
