"""Unit terms from traces against the differences between whole networks.

    python benchmarks/bench_layers.py

Of a network and five others, each of which has one unit deeper, all traced in the same sessions:
what the deeper unit takes longer by its operators, and what the whole network takes longer without
tracing.
"""

from __future__ import annotations

import statistics
from typing import Any

from machine import save

from compofa.profiler.layers.trace_layers import Layers, TracedNetwork, trace_layers
from compofa.profiler.measurement.device_access import models_for, open_device
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import get_space

BASE = "d22222"
DEEPER = ("d42222", "d24222", "d22422", "d22242", "d22224")
RESOLUTION, SESSIONS, RUNS = 192, 7, 60


def unit_times(layers: Layers, unit: str) -> tuple[float, ...]:
    """Milliseconds of a unit in each session."""
    (part,) = (part for part in layers.units if part.name == unit)
    return part.session_ms


def longer(base: tuple[float, ...], new: tuple[float, ...]) -> float:
    """The median difference within a session."""
    return statistics.median(after - before for before, after in zip(base, new, strict=True))


def main() -> None:
    """Writes the results."""
    space = get_space("compofa")
    device = LocalDevice(name="here", runtime="onnxruntime")
    networks = [
        TracedNetwork(
            key,
            Cell(space.name, key, RESOLUTION, 1),
            build_graph(space, space.parse(key), RESOLUTION).blocks,
        )
        for key in (BASE, *DEEPER)
    ]
    with (
        Display("here", quiet=True) as display,
        open_device(device, models_for(device, space), display) as access,
    ):
        base, *others = trace_layers(access, networks, SESSIONS, RUNS)
    rows: list[dict[str, Any]] = []
    for number, layers in enumerate(others):
        unit = f"units.{number}"
        term = longer(unit_times(base, unit), unit_times(layers, unit))
        whole = longer(base.untraced_ms, layers.untraced_ms)
        rows.append({"network": layers.name, "unit_ms": term, "whole_ms": whole})
        print(rows[-1], f"ratio {term / whole:.3f}")
    shares = {
        "sum_over_untraced": base.sum_ms / statistics.median(base.untraced_ms),
        "tracing_share": base.tracing_share,
    }
    print(save("layers", {"base": BASE, "resolution": RESOLUTION, "rows": rows, **shares}))


if __name__ == "__main__":
    main()
