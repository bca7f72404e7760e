"""Models: the same file every time, within a budget, and never made while runs are timed."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.models.prefetch import ModelPrefetcher, spare_cpus
from compofa.profiler.results.table import Cell
from compofa.profiler.transports.local import LocalDevice, LocalTransport
from compofa.profiler.transports.ssh.ssh_device import SshDevice
from compofa.supernet.space import Space

CELL = Cell("tiny", "d22222", 32, 1)


def test_a_model_is_named_by_its_hash_and_is_the_same_every_time(tiny_space: Space) -> None:
    with ModelStore([tiny_space]) as first, ModelStore([tiny_space]) as second:
        model = first.model(CELL)
        assert model.sha256 == sha256(model.path.read_bytes()) == second.model(CELL).sha256
        assert model is first.model(CELL)
        assert first.model(replace(CELL, batch_size=2)).sha256 != model.sha256
    assert not model.path.exists()


def test_files_beyond_the_capacity_are_dropped_and_made_again(tiny_space: Space) -> None:
    cells = [replace(CELL, subnet=f"d2222{d}") for d in (2, 3, 4)]
    with ModelStore([tiny_space]) as store:
        room = max(store.model(cell).path.stat().st_size for cell in cells)
    with ModelStore([tiny_space], capacity=2 * room) as store:
        first, second, third = (store.model(cell) for cell in cells)
        assert [model.path.exists() for model in (first, second, third)] == [False, True, True]
        assert store.model(cells[0]) is first
        assert sha256(first.path.read_bytes()) == first.sha256
        assert [model.path.exists() for model in (second, third)] == [False, True]


@pytest.mark.parametrize(
    ("output", "deviation"),
    [([1.0, -4.0], 0.0), ([1.0, -4.4], 0.1), ([1.0], float("inf")),
     ([1.0, float("nan")], float("inf"))],
)  # fmt: skip
def test_deviation_is_relative_to_the_largest_output(output: list[float], deviation: float) -> None:
    model = ModelFile(Path(), "", (1.0, -4.0), 2)
    assert model.deviation(output, len(output)) == pytest.approx(deviation)


class Slow(ModelStore):
    """Takes its time, and says when it is at work."""

    def __init__(self, space: Space) -> None:
        super().__init__([space])
        self.working = threading.Event()
        self.made: list[Cell] = []

    def model(self, cell: Cell) -> ModelFile:
        self.working.set()
        time.sleep(0.1)
        model = super().model(cell)
        self.made.append(cell)
        self.working.clear()
        return model


def test_the_next_model_is_made_in_the_background_and_waited_for(tiny_space: Space) -> None:
    device = LocalDevice(name="here")
    with (
        Slow(tiny_space) as store,
        LocalTransport(device) as transport,
        ModelPrefetcher(store, transport) as prefetcher,
    ):
        prefetcher.wait()
        prefetcher.start(CELL)
        assert store.working.wait(1)
        prefetcher.wait()
        assert not store.working.is_set()
        model = prefetcher.get(CELL)
        assert store.made == [CELL]
        assert model.path.exists()
        other = replace(CELL, subnet="d44444")
        assert prefetcher.get(other).sha256 != model.sha256


def test_a_model_that_cannot_be_made_is_told_when_it_is_asked_for(tiny_space: Space) -> None:
    device = LocalDevice(name="here")
    wrong = replace(CELL, subnet="d99999")
    with (
        ModelStore([tiny_space]) as store,
        LocalTransport(device) as transport,
        ModelPrefetcher(store, transport) as prefetcher,
    ):
        prefetcher.start(wrong)
        prefetcher.wait()
        with pytest.raises(UserError, match="depth 9"):
            prefetcher.get(wrong)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this computer has no CPU to spare")
def test_models_are_made_off_the_measured_cpus(tiny_space: Space) -> None:
    class Watched(ModelStore):
        made_on: frozenset[int] = frozenset()

        def model(self, cell: Cell) -> ModelFile:
            self.made_on = frozenset(os.sched_getaffinity(0))
            return super().model(cell)

    device, allowed = LocalDevice(name="here"), os.sched_getaffinity(0)
    measured = {max(allowed)}
    with (
        Watched([tiny_space]) as store,
        LocalTransport(device) as transport,
        ModelPrefetcher(store, transport, spare_cpus(device, measured)) as prefetcher,
    ):
        prefetcher.get(CELL)
    assert store.made_on == allowed - measured
    assert os.sched_getaffinity(0) == allowed


def test_only_this_computer_has_cpus_to_spare() -> None:
    here, there = LocalDevice(name="here"), SshDevice(name="there", host="there")
    allowed = os.sched_getaffinity(0)
    assert spare_cpus(there, {0}) is None
    assert spare_cpus(here, None) is None
    assert spare_cpus(here, allowed) is None
