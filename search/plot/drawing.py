"""Draws subnets unit by unit, so that a person sees depth, width and kernels at a glance.

There is one row per subnet and one column per block slot, so that subnets can be compared. A block
is a bar: its height is the expand ratio, and its colour the kernel. A slot without a block is drawn
as a dashed outline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compofa.profiler.report.style import Spec
from compofa.supernet.space import Space
from compofa.supernet.subnet import Subnet

ROW_HEIGHT = 64
GAP = 0.6
"""The distance between units, as a share of a slot's width."""

KERNEL_COLOURS = ("#bcd9ea", "#5b9bc8", "#1f4e79")
"""The colours from the smallest kernel to the largest."""


@dataclass(frozen=True)
class Drawn:
    """A subnet to draw, with the key and resolution of its cell.

    Attributes:
        title: the text above its row.
    """

    key: str
    resolution: int
    subnet: Subnet
    title: str


def drawing(space: Space, drawn: list[Drawn], width: int, name: str) -> Spec:
    """The drawing as a Vega-Lite specification, with one row per subnet.

    The view of the first row is called `name`0, the next `name`1, so that a selection can refer to
    them.

    Args:
        space: the space of the subnets.
        drawn: the subnets, at least one.
        width: the width of a row in pixels.
        name: the prefix of the views' names.
    """
    kernels = sorted({kernel for unit in space.units for kernel in unit.kernels})
    tallest = max(expand for unit in space.units for expand in unit.expands)
    frame = _Frame(space, tuple(kernels), tallest, width)
    rows = [frame.row(each, f"{name}{i}", i == len(drawn) - 1) for i, each in enumerate(drawn)]
    return {"vconcat": rows, "spacing": 14, "resolve": {"scale": {"color": "independent"}}}


@dataclass(frozen=True)
class _Frame:
    """What all rows have in common, so that they can be compared.

    Attributes:
        space: the space of the subnets.
        kernels: the kernels of the space, ascending.
        tallest: the largest expand ratio of the space.
        width: the width of a row in pixels.
    """

    space: Space
    kernels: tuple[int, ...]
    tallest: float
    width: int

    def row(self, drawn: Drawn, name: str, last: bool) -> Spec:
        """The row of one subnet as the view `name`; the last has the legend and the unit names."""
        blocks = list(_blocks(self.space, drawn, self.tallest))
        end = max(block["x2"] for block in blocks)
        across = {"scale": {"domain": [0, end], "nice": False}, "type": "quantitative"}
        up = {"scale": {"domain": [0, self.tallest * 1.05]}, "type": "quantitative"}
        ticks = {"title": "expand", "values": [0, self.tallest], "grid": False, "domain": False}
        place = {
            "x": {**across, "field": "x", "axis": None},
            "x2": {"field": "x2"},
            "y": {**up, "field": "top", "axis": ticks},
            "y2": {"datum": 0},
        }
        bars: Spec = {
            "name": name,
            "data": {"values": [block for block in blocks if block["active"]]},
            "mark": {"type": "rect", "cornerRadius": 2, "stroke": "white"},
            "encoding": {**place, "color": self._colour(last), "tooltip": _tooltip()},
        }
        beyond = {
            "data": {"values": [block for block in blocks if not block["active"]]},
            "mark": {"type": "rect", "fill": None, "stroke": "#bbbbbb", "strokeDash": [3, 3]},
            "encoding": place,
        }
        labels = {
            "data": {"values": _unit_labels(self.space)},
            "mark": {"type": "text", "baseline": "top", "dy": 4, "fontSize": 12, "color": "#555"},
            "encoding": {
                "x": {**across, "field": "x", "axis": None},
                "y": {"datum": 0, **up},
                "text": {"field": "unit"},
            },
        }
        title = {"text": drawn.title, "anchor": "start", "fontSize": 14, "offset": 6}
        layers = [beyond, bars, labels] if last else [beyond, bars]
        return {"title": title, "width": self.width, "height": ROW_HEIGHT, "layer": layers}

    def _colour(self, legend: bool) -> Spec:
        return {
            "field": "kernel",
            "type": "nominal",
            "title": "kernel",
            "scale": {
                "domain": [f"{kernel}x{kernel}" for kernel in self.kernels],
                "range": _colours(len(self.kernels)),
            },
            "legend": {"orient": "bottom"} if legend else None,
        }


def _blocks(space: Space, drawn: Drawn, tallest: float) -> Iterator[Spec]:
    """The data of every slot: a bar if it has a block, else an outline."""
    for u, slots in enumerate(space.slot_ranges):
        for slot in slots:
            expand, kernel = drawn.subnet.expands[slot], drawn.subnet.kernels[slot]
            left = slot + GAP * u
            yield {
                "subnet": drawn.key,
                "resolution": drawn.resolution,
                "unit": u + 1,
                "block": slot - slots.start + 1,
                "x": left + 0.06,
                "x2": left + 0.94,
                "top": expand or tallest,
                "expand": expand,
                "kernel": f"{kernel}x{kernel}",
                "active": bool(kernel),
            }


def _unit_labels(space: Space) -> list[Spec]:
    return [
        {"unit": f"unit {u + 1}", "x": (slots.start + slots.stop) / 2 + GAP * u}
        for u, slots in enumerate(space.slot_ranges)
    ]


def _colours(count: int) -> list[str]:
    return [KERNEL_COLOURS[0], KERNEL_COLOURS[-1]] if count == 2 else list(KERNEL_COLOURS[:count])


def _tooltip() -> list[Spec]:
    return [{"field": name} for name in ("subnet", "unit", "block", "expand", "kernel")]
