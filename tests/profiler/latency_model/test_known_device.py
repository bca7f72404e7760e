"""Learning from other devices: a few cells are enough, and a table that misleads is set aside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from compofa.common.errors import UserError
from compofa.profiler.latency_model import KnownDevice, LatencyModel, known_devices
from compofa.supernet.blocks import Conv
from compofa.supernet.graph import build_graph
from compofa.supernet.spaces import SPACES

Floats = npt.NDArray[np.float64]
SPACE = SPACES["compofa"]
CELLS = [(subnet, size, 1) for subnet in SPACE.enumerate()[::7] for size in (160, 224)]
LAYERS = [list(build_graph(SPACE, subnet, size).layers) for subnet, size, _ in CELLS]


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
    return np.array([device(rng) for _ in range(7)])


@pytest.fixture(scope="module")
def known(devices: Floats) -> list[KnownDevice]:
    return [
        KnownDevice.fit(SPACE, f"device {i}", CELLS, latency) for i, latency in enumerate(devices)
    ]


def fitted(
    new: Floats,
    others: Sequence[KnownDevice],
    measured: int,
    seed: int = 1,
    spoil: float = 1.0,
) -> tuple[LatencyModel, npt.NDArray[np.intp]]:
    """A model of some cells, timed with 1 % of noise, one of them spoilt, and the other cells."""
    rng = np.random.default_rng(seed)
    at = rng.choice(len(new), measured, replace=False)
    timed = new[at] * np.exp(0.01 * rng.standard_normal(measured))
    timed[-1] *= spoil
    noise = np.full(measured, 0.01)
    cells = [CELLS[i] for i in at]
    model = LatencyModel.fit(SPACE, cells, timed, relative_noise=noise, others=others)
    return model, np.setdiff1d(np.arange(len(new)), at)


def judged(model: LatencyModel, new: Floats, rest: npt.NDArray[np.intp]) -> tuple[float, ...]:
    """Mean error in percent, part of the cells in their intervals, their median width."""
    found = model.predict([CELLS[i] for i in rest])
    inside = (found.low_ms <= new[rest]) & (new[rest] <= found.high_ms)
    width = np.median((found.high_ms - found.low_ms) / found.latency_ms)
    error = 100 * np.abs(found.latency_ms / new[rest] - 1).mean()
    return float(error), float(inside.mean()), float(width)


@pytest.mark.parametrize(("measured", "most_percent"), [(5, 3.0), (10, 1.6)])
def test_intervals_hold_what_they_promise_and_errors_are_small(
    devices: Floats, known: list[KnownDevice], measured: int, most_percent: float
) -> None:
    found = []
    for i, new in enumerate(devices):
        model, rest = fitted(new, [known[(i + 1) % len(known)]], measured)
        found.append(judged(model, new, rest))
    error, inside, _ = np.mean(found, axis=0)
    assert error <= most_percent
    assert inside >= 0.87


def test_one_cell_is_enough_and_more_make_intervals_narrower(
    devices: Floats, known: list[KnownDevice]
) -> None:
    widths = [
        judged(*_with_truth(fitted(devices[0], known[1:2], n), devices[0]))[2] for n in (1, 10)
    ]
    assert widths[0] > 2 * widths[1]


def _with_truth(
    model: tuple[LatencyModel, npt.NDArray[np.intp]], truth: Floats
) -> tuple[LatencyModel, Floats, npt.NDArray[np.intp]]:
    return model[0], truth, model[1]


def test_a_copy_of_a_known_device_is_recognised_from_three_cells(
    devices: Floats, known: list[KnownDevice]
) -> None:
    model, rest = fitted(3.0 * devices[4], known[4:5], 3)
    error, inside, _ = judged(model, 3.0 * devices[4], rest)
    assert error < 2
    assert inside > 0.9


@pytest.mark.parametrize("spoilt", ["shuffled", "images per second"])
def test_a_table_that_misleads_is_set_aside_by_five_cells_and_does_no_harm(
    devices: Floats, known: list[KnownDevice], spoilt: str
) -> None:
    told = 1000 / devices[2]
    if spoilt == "shuffled":
        told = np.random.default_rng(0).permutation(devices[2])
    wrong = KnownDevice.fit(SPACE, "wrong", CELLS, told)
    model, rest = fitted(devices[2], [wrong], 5)
    assert model.set_aside == (wrong,)
    assert wrong.falling == (spoilt == "images per second")
    assert wrong.unrelated == (spoilt == "shuffled")
    alone, _ = fitted(devices[2], [], 5)
    assert judged(model, devices[2], rest)[0] == judged(alone, devices[2], rest)[0]
    kept, _ = fitted(devices[2], [wrong, known[3]], 5)
    assert kept.set_aside == (wrong,)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("spoilt", "measured"), [("images per second", 5), ("images per second", 8), ("shuffled", 8)]
)
def test_one_wrong_row_saves_no_table_that_misleads_and_costs_no_other(
    devices: Floats, known: list[KnownDevice], spoilt: str, measured: int, seed: int
) -> None:
    told = 1000 / devices[2]
    if spoilt == "shuffled":
        told = np.random.default_rng(0).permutation(devices[2])
    wrong = KnownDevice.fit(SPACE, "wrong", CELLS, told)
    model, _ = fitted(devices[2], [known[3], wrong], measured, seed, spoil=1000.0)
    assert model.set_aside == (wrong,)


def test_a_launch_bound_device_is_no_table_without_relation_to_work(devices: Floats) -> None:
    launches = np.array([float(len(layers)) for layers in LAYERS])
    noise = np.exp(0.08 * np.random.default_rng(4).standard_normal(len(launches)))
    bound = KnownDevice.fit(SPACE, "bound", CELLS, launches * noise)
    assert not bound.unrelated
    assert not bound.falling


def test_several_devices_are_learned_from_at_once(
    devices: Floats, known: list[KnownDevice]
) -> None:
    both = np.sqrt(devices[5] * devices[6])
    model, rest = fitted(both, known[5:7], 3)
    assert judged(model, both, rest)[0] < 2.5


def test_cells_that_the_other_device_has_not_are_predicted_too(
    devices: Floats, known: list[KnownDevice]
) -> None:
    model, _ = fitted(devices[1], known[1:2], 5)
    between = [(subnet, 192, 1) for subnet, size, _ in CELLS if size == 160]
    found = model.predict(between).latency_ms
    assert (found > model.predict([c for c in CELLS if c[1] == 160]).latency_ms).all()
    assert (found < model.predict([c for c in CELLS if c[1] == 224]).latency_ms).all()


def test_without_a_measured_cell_there_is_nothing_to_say(known: list[KnownDevice]) -> None:
    with pytest.raises(UserError, match="there are 0"):
        LatencyModel.fit(SPACE, [], [], others=known[:1])


def test_a_device_of_which_little_is_known_teaches_nothing(devices: Floats) -> None:
    with pytest.raises(UserError, match="few has 5 cells to learn from"):
        KnownDevice.fit(SPACE, "few", CELLS[:5], devices[0][:5])
    assert known_devices(SPACE, "few", CELLS[:5], devices[0][:5]) == []


def test_batch_sizes_are_devices_apart(devices: Floats) -> None:
    other = [(subnet, size, 8) for subnet, size, _ in CELLS]
    found = known_devices(SPACE, "both", [*CELLS, *other], np.tile(devices[0], 2))
    assert [each.batch_size for each in found] == [1, 8]


def test_one_other_device_is_learned_from_once(devices: Floats, known: list[KnownDevice]) -> None:
    """An average of several is one more; that of one would be the same again."""

    def learned_from(others: Sequence[KnownDevice]) -> tuple[KnownDevice, ...]:
        model, _ = fitted(devices[-1], others, 8)
        return model._models[1].others

    assert learned_from(known[:1]) == (known[0],)
    assert len(learned_from(known[:2])) == 3
