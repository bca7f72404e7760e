"""Virtual devices that the commands are tried on: their noise, and what is wrong with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

from rigs.disturbances import (
    Wander,
    jumping,
    process_step,
    process_warming,
    stepping,
    throttling,
    two_speeds,
    two_speeds_by_load,
    two_speeds_of_runs,
    warming,
)
from rigs.virtual_device import Disturbance, Noise, VirtualDevice
from rigs.virtual_truth import true_latency

QUIET = Noise(session=0.001, load=0.0005, run=0.002)
ORDINARY = Noise()
RESTLESS = Noise(session=0.03, load=0.01, run=0.01)
LITTLE = Noise(session=0.002, load=0.001, run=0.002)
RAGGED = Noise(session=0.005, load=0.002, run=0.02)


Disturbances = Callable[[int], list[Disturbance]]


@dataclass(frozen=True)
class Scene:
    """A kind of virtual device.

    Attributes:
        disturbances: made anew for each profile, from its seed.
        kind, scale, example: of its true latencies, see `true_latency`.
        speeds: the levels, as factors, that an estimate may refer to.
    """

    noise: Noise = ORDINARY
    disturbances: Disturbances = lambda _: []
    kind: str = "additive"
    scale: float = 0.3
    example: int = 0
    tick_ns: float = 1.0
    jump: tuple[float, int, bool] | None = None
    speeds: tuple[float, ...] = (1.0,)

    def device(self, seed: int) -> VirtualDevice:
        """One of these devices."""
        jump = None
        if self.jump is not None:
            seconds, one_in, reference_only = self.jump
            jump = jumping(seconds, one_in, reference_only=reference_only)
        return VirtualDevice(
            true_latency(self.kind, self.scale, self.example),
            self.noise,
            self.disturbances(seed),
            tick_ns=self.tick_ns,
            jump=jump,
            seed=seed,
        )


def _issue_warm_up(_: int) -> list[Disturbance]:
    return [warming(0.3, 30), process_step(0.2, 500)]


def _only(make: Callable[[float, int], Disturbance], size: float, runs: int) -> Disturbances:
    """A new disturbance of one kind for each profile."""
    return lambda _: [make(size, runs)]


def _two_speeds(slower: float, seed: int) -> list[Disturbance]:
    return [two_speeds(slower, salt=seed)]


SCENES: dict[str, Scene] = {
    "quiet, 0.1 % between sessions": Scene(QUIET),
    "ordinary, 1 % between sessions": Scene(),
    "restless, 3 % between sessions": Scene(RESTLESS),
    "long-tailed runs, 1 % between sessions": Scene(Noise(tail=True)),
    "long-tailed runs, 1 in 100 tenfold": Scene(Noise(tail=True, rare=0.01)),
    "warm-up: runs 30 % slow, e-folding 30; process 20 % slow for 500": Scene(
        LITTLE, _issue_warm_up
    ),
    **{
        f"warm-up: 30 % slow, e-folding {n} runs": Scene(LITTLE, _only(warming, 0.3, n))
        for n in (5, 30, 100, 300)
    },
    **{
        f"warm-up: 30 % slow for {n} runs": Scene(LITTLE, _only(stepping, 0.3, n))
        for n in (20, 100, 500)
    },
    "warm-up: process 20 % slow for 500 runs": Scene(LITTLE, lambda _: [process_step(0.2, 500)]),
    "warm-up: process 20 % slow, e-folding 300 runs": Scene(
        LITTLE, lambda _: [process_warming(0.2, 300)]
    ),
    **{
        f"timer of {name}, cells of {span}": Scene(ORDINARY, scale=scale, tick_ns=tick)
        for name, tick in (("1 us", 1e3), ("100 us", 1e5), ("1 ms", 1e6), ("16 ms", 15.625e6))
        for span, scale in (("0.1 to 0.6 ms", 0.01), ("0.5 to 3 ms", 0.05), ("10 to 60 ms", 1.0))
    },
    **{
        f"timer of {name}, runs that scatter by 2 %, cells of 0.5 to 3 ms": Scene(
            RAGGED, scale=0.05, tick_ns=tick
        )
        for name, tick in (("100 us", 1e5), ("1 ms", 1e6), ("16 ms", 15.625e6))
    },
    "clock jumps by 1000 s in 1 of 300 runs": Scene(jump=(1000.0, 300, False)),
    "clock jumps by 2 h in 1 of 300 runs": Scene(jump=(7200.0, 300, False)),
    "clock jumps by 2 h in 1 of 300 runs of the reference": Scene(jump=(7200.0, 300, True)),
    "clock jumps back by 1 s in 1 of 300 runs": Scene(jump=(-1.0, 300, False)),
    **{
        f"two speeds by session, +{slower:.0%}".replace("%", " %"): Scene(
            ORDINARY, partial(_two_speeds, slower), speeds=(1.0, 1 + slower)
        )
        for slower in (0.05, 0.1)
    },
    "two speeds by load of a model, +10 %": Scene(
        ORDINARY, lambda _: [two_speeds_by_load(0.1)], speeds=(1.0, 1.1)
    ),
    "two speeds of runs, +10 %": Scene(
        ORDINARY, lambda _: [two_speeds_of_runs(0.1)], speeds=(1.0, 1.1)
    ),
    "throttled by 10 % from session 4 on": Scene(ORDINARY, lambda _: [throttling(0.1, 5)]),
    "throttled from session 4 on, the reference is not": Scene(
        ORDINARY, lambda _: [throttling(0.1, 5, reference=False)], speeds=(1.0, 1.1)
    ),
    "wander of 3 % within 3 s": Scene(LITTLE, lambda s: [Wander(0.03, 3.0, seed=s)]),
}


PLAIN = [scene for scene in SCENES.values() if scene.noise in (QUIET, RESTLESS)]
PLAIN.append(SCENES["ordinary, 1 % between sessions"])
"""Nothing but noise: these have more repetitions."""

TAILS = (
    "quiet, 0.1 % between sessions",
    "ordinary, 1 % between sessions",
    "long-tailed runs, 1 % between sessions",
    "long-tailed runs, 1 in 100 tenfold",
)
"""Devices on which the median, the mean and the 90th percentile of runs are counted."""

CONDITIONS: dict[str, Scene] = {
    **{
        f"{session:.1%} between sessions": Scene(
            Noise(session=session, load=session / 3, run=0.004)
        )
        for session in (0.001, 0.01, 0.03)
    },
    **{
        name: SCENES[name]
        for name in (
            "long-tailed runs, 1 in 100 tenfold",
            "warm-up: 30 % slow, e-folding 30 runs",
            "timer of 100 us, cells of 0.5 to 3 ms",
            "clock jumps by 2 h in 1 of 300 runs",
            "two speeds by session, +10 %",
            "two speeds of runs, +10 %",
            "throttled by 10 % from session 4 on",
            "wander of 3 % within 3 s",
        )
    },
}
"""Devices on which the other commands are tried."""
