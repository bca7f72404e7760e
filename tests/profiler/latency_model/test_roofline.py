"""The first guess of a latency, against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from compofa.profiler.latency_model.features import Floats, cell_features
from compofa.profiler.latency_model.roofline import COMPUTED, KINDS, Roofline
from compofa.supernet.spaces import SPACES

SPACE = SPACES["compofa"]
CELLS = [(SPACE.extreme(largest), r, 1) for largest in (False, True) for r in (160, 224)]
FEATURES = cell_features(SPACE, CELLS)


def roofline(sharpness: float, log_costs: Floats | None = None) -> Roofline:
    costs = np.linspace(-1.0, 1.0, KINDS) if log_costs is None else log_costs
    return Roofline(costs, FEATURES.totals.mean(axis=0), sharpness)


@pytest.mark.parametrize("sharpness", [1.0, 2.0, 5.0])
def test_waiting_and_computing_are_one_norm_of_both(sharpness: float) -> None:
    device = roofline(sharpness)
    costs = np.exp(device.log_costs)
    work = FEATURES.totals / device.typical * costs[:-1]
    computing = work[:, :COMPUTED].sum(axis=1)
    waiting = work[:, COMPUTED:].sum(axis=1) + costs[-1]
    expected = (waiting**sharpness + computing**sharpness) ** (1 / sharpness)
    assert np.exp(device.guess(FEATURES).log_ms) == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_slopes_are_how_the_guess_grows_with_each_cost(sharpness: float) -> None:
    device = roofline(sharpness)
    found = device.guess(FEATURES)
    for kind, step in enumerate(np.eye(KINDS) * 1e-6):
        dearer = roofline(sharpness, device.log_costs + step).guess(FEATURES)
        assert (dearer.log_ms - found.log_ms) / 1e-6 == pytest.approx(
            found.slopes[:, kind], rel=1e-3
        )
    assert found.slopes.sum(axis=1) == pytest.approx(1)
    # What is asked for with every inference belongs to no block.
    assert found.shares.sum(axis=1) == pytest.approx(1 - found.slopes[:, -1])
