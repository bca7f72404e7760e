"""The monitor: what counts as a disturbance, and how long it is waited out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from compofa.profiler.measurement.device_monitor import DeviceMonitor, concerns

QUIET: dict[str, Any] = {
    "cpu_pressure_10s": 0.3, "cpu_ticks": 1000, "steal_ticks": 5, "mhz": [1500.0, 1800.0],
    "governor": "performance", "celsius": {"cpu": 50.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"cpu_pressure_10s": 40.0}, "busy"),
        ({"celsius": {"cpu": 50.0, "gpu": 90.0}}, "hot"),
        ({"gpu": {"celsius": 88, "throttled": []}}, "hot"),
        ({"gpu": {"celsius": 60, "throttled": ["power cap"]}}, "throttled"),
        ({"mhz": [600.0, 600.0]}, "slow"),
        ({"cpu_ticks": 2000, "steal_ticks": 205}, "stolen"),
        ({"governor": "powersave"}, "governor"),
    ],
)
def test_each_disturbance_is_named(change: dict[str, Any], kind: str) -> None:
    assert [c.kind for c in concerns({**QUIET, **change}, QUIET, 1800.0)] == [kind]


def test_a_quiet_device_and_one_that_says_nothing_raise_no_concern() -> None:
    assert concerns(QUIET, QUIET, 1800.0) == []
    assert concerns({}, {}, 0.0) == []
    assert (
        concerns(
            {"mhz": "?", "celsius": [], "cpu_pressure_10s": None, "gpu": {"celsius": None}},
            QUIET | {"governor": None},
        )
        == []
    )


class Device:
    """A device whose states follow from a list; time passes when it is waited for."""

    def __init__(self, states: list[Mapping[str, Any]]) -> None:
        self.states = states
        self.slept = 0.0

    def poll(self) -> Mapping[str, Any]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def test_it_waits_until_the_disturbance_has_passed_and_says_why() -> None:
    busy = {**QUIET, "cpu_pressure_10s": 40.0}
    device = Device([busy, busy, QUIET])
    told: list[str] = []
    monitor = DeviceMonitor(told.append, sleep=device.sleep)
    assert monitor.settle(1, QUIET, device.poll) is None
    pause = monitor.settle(3, busy, device.poll)
    assert pause is not None
    assert pause.session == 3
    assert pause.cleared
    assert device.slept == 3
    assert told == ["paused: busy: programs waited for a CPU 40 % of the last 10 s"]


def test_it_does_not_wait_for_ever() -> None:
    busy = {**QUIET, "cpu_pressure_10s": 40.0}
    device = Device([busy])
    told: list[str] = []
    monitor = DeviceMonitor(told.append, sleep=device.sleep, patience_s=10, budget_s=25)
    slept: list[float] = []
    for session in range(1, 4):
        pause = monitor.settle(session, busy, device.poll)
        assert pause is not None
        assert not pause.cleared
        slept.append(device.slept)
    assert slept == [10, 20, 25]
    # Nothing new and no patience left: said once, not before every cell.
    assert monitor.settle(4, busy, device.poll) is None
    assert device.slept == 25
    assert sum("measuring all the same" in text for text in told) == 1


def test_a_changed_governor_is_marked_but_not_waited_for() -> None:
    device = Device([QUIET])
    told: list[str] = []
    monitor = DeviceMonitor(told.append, sleep=device.sleep)
    monitor.settle(1, QUIET, device.poll)
    pause = monitor.settle(1, {**QUIET, "governor": "powersave"}, device.poll)
    assert pause is not None
    assert device.slept == 0
    assert told == ["measuring all the same: the CPU governor was performance and is powersave now"]


def test_stolen_time_is_taken_over_a_stretch_and_told_once() -> None:
    def at(seconds: float, share: float) -> dict[str, Any]:
        ticks = int(200 * seconds)
        return {**QUIET, "cpu_ticks": ticks, "steal_ticks": int(share * ticks)}

    told: list[str] = []
    states = [at(s, 0.3) for s in range(4, 60)]
    device = Device(list(states))
    monitor = DeviceMonitor(told.append, sleep=device.sleep, patience_s=3, budget_s=30)
    assert monitor.settle(1, at(0.0, 0), device.poll) is None
    assert monitor.settle(1, at(1.0, 0.3), device.poll) is None, "a second says nothing"
    assert monitor.settle(1, at(3.0, 0.3), device.poll) is not None
    monitor.settle(2, device.poll(), device.poll)
    assert sum("paused" in text for text in told) == 1
