"""Transfer: a few cells of a new device and others' latencies predict the rest, with intervals."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from compofa.common.errors import UserError
from compofa.profiler.latency_model.features import cell_features
from compofa.profiler.latency_model.transfer import Transfer
from compofa.supernet.blocks import Conv
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

Floats = npt.NDArray[np.float64]
SPACE = SPACES["compofa"]
CELLS = [(subnet, size, 1) for subnet in SPACE.enumerate()[::3] for size in (160, 224)]
LAYERS = [list(build_graph(SPACE, subnet, size).layers) for subnet, size, _ in CELLS]
WORK = np.log(cell_features(SPACE, CELLS).totals)


def device(rng: np.random.Generator) -> Floats:
    """Milliseconds of `CELLS` on a device that computes, moves and launches at rates of its own."""
    peak = 10 ** rng.uniform(6, 8)
    bandwidth, weights = peak * 10 ** rng.uniform(-1, 0.3), peak * 10 ** rng.uniform(-1.2, 0)
    launch, depthwise = 10 ** rng.uniform(-3, -1.3), rng.uniform(1, 8)
    found = []
    for layers in LAYERS:
        ms = 0.0
        for layer in layers:
            slow = depthwise if isinstance(layer, Conv) and layer.depthwise else 1
            moved = layer.input.elements + layer.output.elements
            ms += launch + max(layer.macs * slow / peak, moved / bandwidth, layer.params / weights)
        found.append(ms)
    return np.array(found)


@pytest.fixture(scope="module")
def devices() -> Floats:
    rng = np.random.default_rng(0)
    return np.array([device(rng) for _ in range(20)])


def transfer(
    new: Floats, others: Floats, measured: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Predictions of the cells that were not measured, their intervals, and the truth."""
    known = np.column_stack([np.log(others).T, WORK])
    prior = np.concatenate([np.full(len(others), 1 / len(others)), np.zeros(WORK.shape[1])])
    at = rng.choice(len(new), measured, replace=False)
    rest = np.setdiff1d(np.arange(len(new)), at)
    timed = new[at] * np.exp(0.01 * rng.standard_normal(measured))
    model = Transfer.fit(known[at], prior, timed, np.full(measured, 0.01))
    return *model.predict(known[rest], 0.9), new[rest]


@pytest.mark.parametrize(
    ("others", "measured", "most_percent", "least_correlation"),
    [(1, 5, 3.0, 0.99), (1, 10, 1.6, 0.997), (3, 5, 2.5, 0.99), (3, 10, 1.5, 0.997)],
)
def test_intervals_hold_what_they_promise_and_errors_are_small(
    devices: Floats, others: int, measured: int, most_percent: float, least_correlation: float
) -> None:
    rng = np.random.default_rng(1)
    inside, errors, correlations = [], [], []
    for _ in range(30):
        chosen = rng.choice(len(devices), others + 1, replace=False)
        ms, low, high, truth = transfer(devices[chosen[0]], devices[chosen[1:]], measured, rng)
        inside.append(float(((low <= truth) & (truth <= high)).mean()))
        errors.append(100 * float(np.abs(ms / truth - 1).mean()))
        ours, theirs = (np.argsort(np.argsort(each)) for each in (ms, truth))
        correlations.append(float(np.corrcoef(ours, theirs)[0, 1]))
    assert np.mean(inside) >= 0.9
    assert np.mean(errors) <= most_percent
    assert np.mean(correlations) >= least_correlation


def test_intervals_shrink_with_every_cell_that_is_measured(devices: Floats) -> None:
    widths = []
    for measured in (1, 3, 10):
        rng = np.random.default_rng(2)
        ms, low, high, _ = transfer(devices[0], devices[1:3], measured, rng)
        widths.append(float(np.median((high - low) / ms)))
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 10 * widths[-1]


def test_a_copy_of_a_known_device_is_recognised_from_two_cells(devices: Floats) -> None:
    rng = np.random.default_rng(3)
    ms, low, high, truth = transfer(3.0 * devices[4], devices[4:5], 2, rng)
    assert np.abs(ms / truth - 1).max() < 0.03
    assert ((low <= truth) & (truth <= high)).all()


def test_without_a_measured_cell_there_is_nothing_to_say(devices: Floats) -> None:
    nothing = np.empty((0, 2))
    with pytest.raises(UserError, match="nothing was measured on the new device"):
        Transfer.fit(nothing, np.zeros(2), np.empty(0), np.empty(0))
