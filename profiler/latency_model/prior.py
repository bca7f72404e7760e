"""What is assumed about a device before any of its cells is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compofa.profiler.latency_model.features import Features, Floats
from compofa.profiler.latency_model.roofline import COMPUTED, KINDS, Guess, Roofline

SHARPNESSES = (1.0, 3.0, 10.0)
"""Of the guess: launches and computing add up, overlap in part, or hide one behind the other."""

EXPECTED_COSTS = np.array([0.0, -0.3, -0.5, -2.0, -0.7, -1.5])
"""Logs of the times that a typical amount of each kind takes, over that of dense MACs: weights are
read once for many activations, and being called costs as much as a few kernels."""

COST_SD = np.array([0.7, 0.7, 1.0, 1.3, 2.0, 1.3])
"""Standard deviations about these: launches may cost next to nothing, or nearly everything."""

LAUNCHES = (-2.5, 0.0, 2.5)
"""What may be added to the expected log cost of a launch, for priors that say how much it costs."""

CALL_FOLLOWS = 0.6
"""Of that, the part that is added to the log cost of a call too: one host does both."""

LAUNCH_SD = 1.2
"""Standard deviation of the log cost of a launch about each of these."""

FEW_CELLS = 40
"""Up to so many measured cells do not tell what launches cost, so that priors must."""

LEVEL_SD = 5.0
"""Standard deviation of the log of a device's overall speed: next to nothing is known of it."""


@dataclass(frozen=True)
class Other:
    """Another device that this one is like.

    Attributes:
        columns: of `Features.others`.
        weights: [columns, 2], how much each is expected to count here, and how sure that is (sd).
    """

    columns: tuple[int, ...]
    weights: Floats


@dataclass(frozen=True)
class Prior:
    """The roofline that a device is expected to have, and how far it may depart from it.

    Its *terms* are what is learned linearly: log costs, then weights of the columns of `other`.

    Attributes:
        roofline: with the expected costs.
        cost_sd: [KINDS], standard deviation of each log cost about the expected one, but for a
            factor that all have in common.
    """

    roofline: Roofline
    cost_sd: Floats
    other: Other | None = None

    @property
    def mean(self) -> Floats:
        """[terms]."""
        costs = self.roofline.log_costs
        return costs.copy() if self.other is None else np.append(costs, self.other.weights[:, 0])

    @property
    def covariance(self) -> Floats:
        """[terms, terms]."""
        sds = self.cost_sd
        if self.other is not None:
            sds = np.append(sds, self.other.weights[:, 1])
        covariance = np.diag(sds**2)
        covariance[:KINDS, :KINDS] += LEVEL_SD**2
        return covariance

    def at(self, terms: Floats, features: Features) -> tuple[Guess, Floats, Floats]:
        """The guess for cells with these terms, log latencies, and their slopes by the terms."""
        roofline = Roofline(terms[:KINDS], self.roofline.typical, self.roofline.sharpness)
        guess = roofline.guess(features)
        if self.other is None:
            return guess, guess.log_ms, guess.slopes
        columns = features.others[:, self.other.columns]
        logs: Floats = guess.log_ms + columns @ terms[KINDS:]
        return guess, logs, np.column_stack([guess.slopes, columns])


def independent(features: Features) -> list[Prior]:
    """Devices of which nothing is known; `features` are of its measured cells.

    There is one for each sharpness. Few cells fit a device that waits for launches and one that
    computes nearly as well, and a guess is linear about one of the two only. So up to `FEW_CELLS`
    each comes in three versions, whose launches cost little, something or a lot.
    """
    mean = features.totals.mean(axis=0)
    typical = np.where(mean > 0, mean, 1.0)
    if len(features) > FEW_CELLS:
        return [Prior(Roofline(EXPECTED_COSTS, typical, p), COST_SD) for p in SHARPNESSES]
    direction = np.zeros(KINDS)
    direction[COMPUTED:] = 1.0, CALL_FOLLOWS
    sd = COST_SD.copy()
    sd[COMPUTED] = LAUNCH_SD
    return [
        Prior(Roofline(EXPECTED_COSTS + shift * direction, typical, p), sd)
        for p in SHARPNESSES
        for shift in LAUNCHES
    ]
