"""Watching the device's state: what disturbs a measurement, and how long to wait for its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from compofa.profiler.results.journal import Pause, utc_now

BUSY_PRESSURE = 10.0
"""Percent of the last 10 s in which some program waited for a CPU; the agent alone causes none."""

STOLEN = 0.1
"""Share of CPU time that the hypervisor gave to others; shared hosts always lose a few percent."""

HOT = 85.0
"""Degrees Celsius; phones and boards throttle from about here on."""

SLOWED = 0.9
"""A CPU counts as slowed down below this share of the highest frequency seen."""

STEAL_TICKS = 400
"""Stolen time is judged over at least this many ticks (usually 1/100 s) of all CPUs together."""


@dataclass(frozen=True)
class Concern:
    """Something that disturbs a measurement.

    Attributes:
        kind: busy, stolen, quota, hot, slow, throttled or governor.
        passing: whether waiting can help.
        text: the message for the user.
    """

    kind: str
    passing: bool
    text: str


def concerns(
    state: Mapping[str, Any], before: Mapping[str, Any] | None = None, best_mhz: float = 0.0
) -> list[Concern]:
    """What in `state` disturbs a measurement; empty if nothing does, or the device does not tell.

    Args:
        state: as the agent reports it.
        before: an earlier state of the same device: stolen time and the governor are compared.
        best_mhz: the highest frequency seen on it so far.
    """
    disturbances = []
    pressure = _number(state, "cpu_pressure_10s")
    if pressure is not None and pressure > BUSY_PRESSURE:
        text = f"busy: programs waited for a CPU {pressure:.0f} % of the last 10 s"
        disturbances.append(Concern("busy", True, text))
    celsius = state.get("celsius")
    if isinstance(celsius, Mapping):
        for name, value in celsius.items():
            if isinstance(value, int | float) and value >= HOT:
                disturbances.append(Concern("hot", True, f"hot: {name} is at {value:.0f} °C"))
    gpu = state.get("gpu")
    if isinstance(gpu, Mapping):
        disturbances += _gpu_concerns(gpu)
    status = _number(state, "thermal_status")
    if status:
        text = f"hot: the phone reports that it throttles (thermal status {status:.0f})"
        disturbances.append(Concern("hot", True, text))
    if state.get("battery_saver") is True:
        disturbances.append(Concern("slow", False, "slowed down: battery saver is on"))
    now_mhz = highest_mhz(state)
    if now_mhz and now_mhz < SLOWED * best_mhz:
        text = f"slowed down: CPUs reach {now_mhz:.0f} MHz and reached {best_mhz:.0f} MHz before"
        disturbances.append(Concern("slow", True, text))
    if before is not None:
        disturbances += _changes(state, before)
    return disturbances


def _gpu_concerns(gpu: Mapping[str, Any]) -> list[Concern]:
    disturbances = []
    celsius, throttled = _number(gpu, "celsius"), gpu.get("throttled")
    if celsius is not None and celsius >= HOT:
        disturbances.append(Concern("hot", True, f"hot: the GPU is at {celsius:.0f} °C"))
    if isinstance(throttled, list) and throttled:
        reasons = ", ".join(map(str, throttled))
        disturbances.append(
            Concern("throttled", True, f"the GPU's driver slows it down: {reasons}")
        )
    return disturbances


def _changes(state: Mapping[str, Any], before: Mapping[str, Any]) -> list[Concern]:
    disturbances = []
    ticks, stolen = _increase(state, before, "cpu_ticks"), _increase(state, before, "steal_ticks")
    if ticks >= STEAL_TICKS and stolen > STOLEN * ticks:
        text = f"the hypervisor took {stolen / ticks:.0%} of the CPU time"
        disturbances.append(Concern("stolen", True, text))
    stopped = _increase(state, before, "nr_throttled")
    if stopped > 0:
        text = f"a CPU quota (cgroup) stopped the agent in {stopped:.0f} periods"
        disturbances.append(Concern("quota", False, text))
    old, new = before.get("governor"), state.get("governor")
    if old != new:
        text = f"the CPU governor was {old} and is {new} now"
        disturbances.append(Concern("governor", False, text))
    return disturbances


def highest_mhz(state: Mapping[str, Any]) -> float:
    """The highest frequency of any CPU in `state`, in MHz; 0 where the device does not tell.

    A phone's CPUs slow down whenever they idle, so of a phone it is the highest frequency that they
    may reach: only that says whether the phone throttles.
    """
    mhz = state.get("cap_mhz", state.get("mhz"))
    if not isinstance(mhz, list):
        return 0.0
    return max((float(m) for m in mhz if isinstance(m, int | float)), default=0.0)


def _number(state: Mapping[str, Any], name: str) -> float | None:
    value = state.get(name)
    return float(value) if isinstance(value, int | float) else None


def _increase(state: Mapping[str, Any], before: Mapping[str, Any], name: str) -> float:
    return (_number(state, name) or 0.0) - (_number(before, name) or 0.0)


def cpu_shortages(
    threads: int, cpus: Collection[int] | None, facts: Mapping[str, Any]
) -> list[str]:
    """Why `threads` threads cannot run at the same time there; empty if they can, or if unknown.

    Measuring such a set-up is valid, but it is seldom the one that was meant.

    Args:
        threads: of the runtime.
        cpus: those that the agent is bound to; None where it is bound to none.
        facts: of the device, as its agent tells them.
    """
    shortages = []
    needed, get = (f"{threads} threads", "get") if threads > 1 else ("1 thread", "gets")
    if cpus is not None and len(cpus) < threads:
        listed = ", ".join(map(str, sorted(cpus)))
        bound = f"CPU {listed}" if len(cpus) == 1 else f"CPUs {listed}"
        shortages.append(
            f"{needed} share {bound}: they wait for each other; set threads to {len(cpus)}, or "
            "let the agent use more CPUs (cpus, or the cpuset of its container)"
        )
    quota = facts.get("cpu_quota")
    if isinstance(quota, int | float) and quota < threads:
        shortages.append(
            f"{needed} {get} the time of {quota:g} {'CPU' if quota == 1 else 'CPUs'}: a CPU quota "
            "(cgroup) stops them again and again; raise it, or set fewer threads"
        )
    return shortages


PATIENCE_S = 30.0
"""The longest single pause, unless the user says otherwise."""

POLL_S = 1.0
"""Seconds between two looks at a device that is waited for."""


class DeviceMonitor:
    """Pauses a profile while the device is disturbed, and says why.

    Args:
        tell: shows a reason on the screen, once for each kind; the journal has every pause.
        out_of_time: when it returns true, there is no more waiting.
        patience_s: the longest single pause. After it the profile goes on, and the pause is
            recorded as one that did not help.
        budget_s: of all pauses together; a device that is never quiet is measured all the same.
        sleep: lets time pass.
    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        out_of_time: Callable[[], bool] = lambda: False,
        patience_s: float = PATIENCE_S,
        budget_s: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._tell, self._out_of_time, self._sleep = tell, out_of_time, sleep
        self._patience_s, self._budget_s = patience_s, budget_s
        self._before: Mapping[str, Any] | None = None
        self._best_mhz = 0.0
        self._told: set[str] = set()
        self._endured: set[str] = set()
        self._marked: set[str] = set()

    def settle(
        self, session: int, state: Mapping[str, Any], poll: Callable[[], Mapping[str, Any]]
    ) -> Pause | None:
        """Waits until `poll` reports nothing any more that waiting can help against.

        Args:
            session: the current session, for the record.
            state: the device's state now.
            poll: asks the device for its state.

        Returns:
            The pause, to be recorded; None where nothing disturbed, or nothing new did and there
            was no waiting.
        """
        disturbances = self._look(state)
        kinds = {concern.kind for concern in disturbances}
        known = kinds <= self._marked
        self._marked = kinds
        if not disturbances:
            return None
        begun = time.monotonic()
        texts = tuple(concern.text for concern in disturbances)
        waited = 0.0
        while any(concern.passing for concern in disturbances) and self._may_wait(waited):
            if not waited and not kinds <= self._told:
                self._told |= kinds
                self._tell(f"paused: {'; '.join(texts)}")
            self._sleep(POLL_S)
            waited += POLL_S
            disturbances = self._look(poll())
        self._budget_s -= waited
        cleared = not disturbances
        # Between every two cells the same news would fill the journal.
        if known and not waited:
            return None
        for concern in disturbances:
            if concern.kind not in self._endured:
                self._endured.add(concern.kind)
                self._tell(f"measuring all the same: {concern.text}")
        return Pause(session, texts, round(time.monotonic() - begun, 3), cleared, utc_now())

    def _look(self, state: Mapping[str, Any]) -> list[Concern]:
        disturbances = concerns(state, self._before, self._best_mhz)
        self._best_mhz = max(self._best_mhz, highest_mhz(state))
        # Over fewer ticks a share of stolen time would be an accident.
        if self._before is None or _increase(state, self._before, "cpu_ticks") >= STEAL_TICKS:
            self._before = state
        return disturbances

    def _may_wait(self, waited: float) -> bool:
        left = min(self._patience_s, self._budget_s) - waited
        return left > 0 and not self._out_of_time()
