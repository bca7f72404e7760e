"""What a comparison says about the Pareto front: the accuracy that each latency limit allows.

The figures come from `compofa.search`, which knows accuracies; reports are written here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """The accuracy that can be reached within a latency limit.

    Attributes:
        limit_ms: the latency of a member of the base's front.
        before, after: the best accuracy within it, as fractions; `after` is 0 where nothing is
            left.
        fell: whether it is surely lower than before, beyond what noise can explain.
    """

    limit_ms: float
    before: float
    after: float
    fell: bool


@dataclass(frozen=True)
class FrontChange:
    """The front before and after.

    Attributes:
        limits: in rising order.
        base, new: the fronts as (latency in ms, accuracy), in rising order; of the new one,
            with the change of the device itself taken off.
        predicted: whether any accuracy is a prediction, not a measurement of trained weights.
    """

    limits: tuple[Limit, ...]
    base: tuple[tuple[float, float], ...]
    new: tuple[tuple[float, float], ...]
    predicted: bool = False

    @property
    def accuracy_name(self) -> str:
        """What to call the accuracies."""
        return "predicted accuracy" if self.predicted else "accuracy"

    @property
    def falls(self) -> tuple[Limit, ...]:
        """The limits at which it surely fell."""
        return tuple(each for each in self.limits if each.fell)

    def sentences(self) -> list[str]:
        """For a report."""
        if not self.falls:
            return [
                f"Pareto front: no {self.accuracy_name} is surely lost at any of "
                f"{len(self.limits)} limits."
            ]
        worst = max(self.falls, key=lambda each: each.before - each.after)
        now = f"{worst.after:.2%}" if worst.after else "nothing"
        return [
            f"Pareto front: at {len(self.falls)} of {len(self.limits)} limits less "
            f"{self.accuracy_name} can be reached; at {worst.limit_ms:.2f} ms {now} instead of "
            f"{worst.before:.2%}."
        ]
