"""What a change of latencies means for the Pareto front: the accuracy that a limit still allows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from compofa.search.accuracy import FloatArray
from compofa.search.candidates import Candidates
from compofa.search.exact import front, ranking


@dataclass(frozen=True)
class Fall:
    """A limit within which less accuracy can be reached than before.

    Attributes:
        limit_ms: the latency of a member of the base's front.
        before, after: the best accuracy within it; after is 0 where nothing is left.
    """

    limit_ms: float
    before: float
    after: float


@dataclass(frozen=True)
class FrontChange:
    """The front before and after.

    Attributes:
        limits: at how many limits it was looked at: the latencies of the base's front.
        falls: those at which it surely fell.
    """

    limits: int
    falls: tuple[Fall, ...]

    def sentences(self) -> list[str]:
        """For a report."""
        if not self.falls:
            return [f"Pareto front: no accuracy is surely lost at any of {self.limits} limits."]
        worst = max(self.falls, key=lambda each: each.before - each.after)
        return [
            f"Pareto front: at {len(self.falls)} of {self.limits} limits less accuracy can be "
            f"reached; at {worst.limit_ms:.2f} ms {worst.after:.2%} instead of {worst.before:.2%}."
        ]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"limits": self.limits, "falls": [asdict(each) for each in self.falls]}


def front_change(
    base: Candidates, new: Candidates, device: float = 1.0, min_effect: float = 0.0
) -> FrontChange:
    """Whether the accuracy within each limit of the base's front fell.

    It fell where even the lower ends of the new intervals leave nothing as accurate within the
    limit and its tolerance: what noise could explain does not count.

    Args:
        base, new: one table each, of one space.
        device: how much slower the device itself is now; taken off the new latencies.
        min_effect: tolerance of the limits, as a fraction.
    """
    members = front(ranking(base.top1, base.latency_ms), base.latency_ms)
    low = np.where(np.isnan(new.low_ms), new.latency_ms, new.low_ms)[:, 0] / device
    falls = []
    for member in members[::-1]:
        limit, before = float(base.latency_ms[member, 0]), float(base.top1[member])
        after = _reach(new.top1, low, limit * (1 + min_effect))
        if after < before - 1e-9:
            falls.append(Fall(limit, before, after))
    return FrontChange(len(members), tuple(falls))


def _reach(top1: FloatArray, latency_ms: FloatArray, limit: float) -> float:
    """The best accuracy within `limit`; 0 where nothing meets it."""
    return float(top1[latency_ms <= limit].max(initial=0.0))
