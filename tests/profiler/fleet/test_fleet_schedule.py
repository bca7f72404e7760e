"""Which devices of a fleet are measured when: decisions alone, nothing is measured."""

from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from compofa.profiler.fleet.schedule import FleetSchedule


def test_devices_at_different_places_are_measured_side_by_side() -> None:
    assert FleetSchedule({"pi": "ssh pi", "pixel": "adb 1A"}).start() == ["pi", "pixel"]


def test_devices_at_one_place_take_turns_in_the_order_asked_for() -> None:
    schedule = FleetSchedule({"pi-onnx": "ssh pi", "pi-tflite": "ssh pi", "pi-torch": "ssh pi"})
    assert schedule.start() == ["pi-onnx"]
    assert schedule.start() == []
    schedule.end("pi-onnx")
    assert schedule.start() == ["pi-tflite"]


def test_who_has_to_be_alone_waits_until_all_others_have_ended() -> None:
    schedule = FleetSchedule({"here": "here", "pi": "ssh pi", "nano": "ssh nano"}, alone=["here"])
    assert schedule.start() == ["pi", "nano"]
    schedule.end("pi")
    assert schedule.start() == []
    schedule.lose("nano")
    assert schedule.start(reachable=["here"]) == []
    schedule.end("nano")
    assert schedule.start() == ["here"]


def test_who_has_to_be_alone_does_not_keep_others_at_its_place_from_going_first() -> None:
    schedule = FleetSchedule({"alone": "here", "other": "here"}, alone=["alone"])
    assert schedule.start() == ["other"]
    schedule.end("other")
    assert schedule.start() == ["alone"]


def test_who_has_no_host_waits_and_lets_the_next_at_its_place_go_first() -> None:
    schedule = FleetSchedule({"pi-onnx": "ssh pi", "pi-tflite": "ssh pi"})
    assert schedule.start(reachable=[]) == []
    assert schedule.start(reachable=["pi-tflite"]) == ["pi-tflite"]
    assert schedule.waiting == {"pi-onnx"}


def test_who_was_lost_goes_first_again() -> None:
    schedule = FleetSchedule({"pi-onnx": "ssh pi", "pi-tflite": "ssh pi"})
    schedule.start()
    schedule.lose("pi-onnx")
    assert schedule.start() == ["pi-onnx"]


def test_who_waits_can_be_given_up() -> None:
    schedule = FleetSchedule({"a": "x", "b": "x"})
    schedule.start()
    schedule.end("b")
    schedule.end("a")
    assert schedule.start() == []
    assert schedule.waiting == schedule.measured == frozenset()


@given(
    places=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    alone=st.sets(st.integers(0, 11), max_size=3),
    seed=st.integers(0, 1000),
)
def test_whatever_happens_all_are_measured_and_nobody_shares_a_place(
    places: list[int], alone: set[int], seed: int
) -> None:
    rng = random.Random(seed)
    where = {str(i): str(place) for i, place in enumerate(places)}
    apart = {str(i) for i in alone if i < len(places)}
    schedule = FleetSchedule(where, apart)
    measured: set[str] = set()
    for _ in range(200):
        reachable = [name for name in where if rng.random() < 0.8]
        begun = schedule.start(reachable)
        assert set(begun) <= set(reachable)
        now = schedule.measured
        assert len({where[name] for name in now}) == len(now)
        assert not now & apart or len(now) == 1
        if now:
            name = rng.choice(sorted(now))
            if rng.random() < 0.3:
                schedule.lose(name)
            else:
                schedule.end(name)
                measured.add(name)
    assert measured == set(where)


def test_a_thousand_devices_cost_less_than_a_millisecond_a_session() -> None:
    """As if each session were scheduled, which is finer than what is done."""
    names = [f"device{i}" for i in range(1000)]
    sessions = dict.fromkeys(names, 5)
    schedule = FleetSchedule({name: name for name in names})
    rng = random.Random(0)
    begun = time.process_time()
    while sessions:
        schedule.start(names)
        name = rng.choice(names)
        if name not in schedule.measured:
            continue
        sessions[name] -= 1
        if sessions[name]:
            schedule.lose(name)
        else:
            schedule.end(name)
            del sessions[name]
    assert (time.process_time() - begun) / 5000 < 1e-3
