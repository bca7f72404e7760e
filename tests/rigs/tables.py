"""Tables of the compound space, made from a formula."""

from __future__ import annotations

from collections.abc import Sequence

from compofa.profiler.results.table import Cell, Row, SetUp, Table
from compofa.supernet.spaces import SPACES

COMPOFA = SPACES["compofa"]


def make_table(
    device: str = "phone",
    resolutions: Sequence[int] = (160, 224),
    factor: float = 1.0,
    batch_size: int = 1,
    space: str = "compofa",
    slope: float = 1.0,
) -> Table:
    """Latencies that grow with depth (later units `slope` times as much) and resolution."""
    rows = []
    for resolution in resolutions:
        for subnet in COMPOFA.enumerate():
            weighted = sum(depth * slope**i for i, depth in enumerate(subnet.depths))
            latency = factor * weighted * resolution / 160
            cell = Cell(space, COMPOFA.key(subnet), resolution, batch_size)
            interval = (0.98 * latency, 1.02 * latency)
            rows.append(Row(cell, latency, *interval, 0.95, None, "measured", "ok", 5, 50, "", ""))
    return Table(SetUp(device, "onnxruntime", "1.2", "cpu", 1, "float32"), tuple(rows))
