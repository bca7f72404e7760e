"""Where the time goes: operators found again in blocks, sums, and one enlarged kernel explained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compofa.common.errors import UserError
from compofa.profiler.agent.compofa_agent import Refused, onnxruntime_operators
from compofa.profiler.layers.layers_page import render_layers_page
from compofa.profiler.layers.trace_layers import (
    Layers,
    TimedPart,
    TracedNetwork,
    blocks_of,
    compare_layers,
    trace_layers,
)
from compofa.profiler.measurement.device_access import models_for, open_device
from compofa.profiler.measurement.progress import Display
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.local import LocalDevice
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import get_space

ELASTIC = get_space("compofa-elastic")
BLOCKS = build_graph(ELASTIC, ELASTIC.parse("d22222-k33553355" + "33"), 128).blocks


def traced(*keys: str, runtime: str = "onnxruntime", sessions: int = 3) -> tuple[Layers, ...]:
    device = LocalDevice(name="here", runtime=runtime)
    networks = []
    for key in keys:
        blocks = build_graph(ELASTIC, ELASTIC.parse(key), 128).blocks
        networks.append(TracedNetwork(key, Cell(ELASTIC.name, key, 128, 1), blocks))
    with (
        Display("here", quiet=True) as display,
        open_device(device, models_for(device, ELASTIC), display) as access,
    ):
        return trace_layers(access, networks, sessions, runs=20)


def test_one_enlarged_kernel_is_explained_as_that_block() -> None:
    # 20 blocks of which the third unit's second one takes 7x7 in place of 3x3.
    base, new = traced("d22222-k3333333333", "d22222-k7333333333", sessions=5)
    assert len(base.blocks) == len(new.blocks) == 16
    changes = compare_layers(base, new)
    assert changes[0].name == "units.0.0"
    assert changes[0].ms > 0
    assert {part.name for part in base.units} >= {"stem", "units.0", "units.4", "classifier"}
    assert sum(part.ms for part in base.blocks) == pytest.approx(base.sum_ms, rel=0.3)


@pytest.mark.parametrize("runtime", ["openvino", "torch"])
def test_other_runtimes_tell_of_the_same_blocks(runtime: str) -> None:
    (layers,) = traced("d22222-k3333333333", runtime=runtime, sessions=2)
    assert len(layers.blocks) == 16
    assert all(part.ms > 0 for part in layers.blocks)


def test_a_runtime_that_does_not_tell_says_which_do() -> None:
    with pytest.raises(UserError, match="does not tell what its operators take") as caught:
        traced("d22222-k3333333333", runtime="tflite", sessions=2)
    assert "onnxruntime" in str(caught.value.hint)


def test_operators_that_a_runtime_adds_belong_to_what_follows() -> None:
    names = ["Reorder", "stem/conv_nchwc", "units.0.1.expand_nchwc", "ReorderOut", "units.1.0.se/x"]
    told = blocks_of([*names, "Reorder_2"], BLOCKS)
    assert told == ["stem", "stem", "units.0.1", "units.1.0", "units.1.0", "units.1.0"]
    assert blocks_of(names, ()) == [""] * len(names)


def event(name: str, dur: float, ts: int, index: int) -> dict[str, Any]:
    told = {"op_name": "Conv", "node_index": str(index)}
    return {"cat": "Node", "name": f"{name}_kernel_time", "dur": dur, "ts": ts, "args": told}


def test_the_last_runs_of_a_profile_count() -> None:
    events = [
        event(name, dur, ts, index)
        for ts, dur in enumerate((100, 5, 7, 6))
        for index, name in enumerate(("a", "b"))
    ]
    told = onnxruntime_operators(json.dumps(events).encode(), 3)
    assert told == [("a", "Conv", 6000.0), ("b", "Conv", 6000.0)]


@pytest.mark.parametrize("damage", ["cut", "empty", "one missing", "strange"])
def test_an_incomplete_trace_is_refused(damage: str) -> None:
    events: list[Any] = [event(n, 5, ts, i) for ts in range(3) for i, n in enumerate("ab")]
    text = json.dumps(events).encode()
    broken = {
        "cut": text[:-20],
        "empty": b"[]",
        "one missing": json.dumps(events[:-1]).encode(),
        "strange": b'[{"cat": "Node", "name": "a_kernel_time", "ts": 1}]',
    }
    with pytest.raises(Refused) as caught:
        onnxruntime_operators(broken[damage], 3)
    assert caught.value.kind == "trace"


def layers(*blocks: tuple[str, tuple[float, ...]]) -> Layers:
    parts = tuple(TimedPart(f"{name}.x", "Conv", name, times) for name, times in blocks)
    return Layers("net", (3.0, 3.1, 3.2), (3.3, 3.4, 3.5), parts)


def test_what_one_network_lacks_takes_no_time_there() -> None:
    base = layers(("stem", (1.0, 1.1, 1.0)))
    new = layers(("stem", (1.0, 1.1, 1.0)), ("units.0.0", (2.0, 2.01, 1.99)))
    added, same = compare_layers(base, new)
    assert added.name == "units.0.0"
    assert added.ms == pytest.approx(2.0)
    assert added.sure
    assert not same.sure


def test_the_page_has_a_bar_for_each_block(tmp_path: Path) -> None:
    base, new = layers(("stem", (1.0,) * 3)), layers(("stem", (1.0,) * 3), ("<b>", (2.0,) * 3))
    page = render_layers_page("here", (base, new), compare_layers(base, new))
    assert page.count("<rect") == 3
    assert "<b>" not in page.partition("<main>")[2].partition("</main>")[0]
