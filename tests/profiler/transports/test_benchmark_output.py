"""What benchmark_model prints: every version's output is read, and nothing else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.profiler.transports.adb.benchmark_output import UnreadableOutput, parse_benchmark

LITERT = """\
INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [model]
INFO: Signature to run: []
INFO: Use gpu: [1]
INFO: Loaded model model
INFO: Created TensorFlow Lite delegate for GPU.
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the \
delegate.
INFO: The input model file size (MB): 4.2
INFO: Initialized session in 1361.24ms.
INFO: Running benchmark for at least 3 iterations and at least 0.5 seconds but terminate if \
exceeding 45 seconds.
INFO: count=5 first=125113 curr=112537 min=111758 max=125113 avg=115344 std=4959 p5=111758 \
median=112912 p95=125113

INFO: count=50 first=119614 curr=115889 min=111842 max=119614 avg=115246 std=1329 p5=112107 \
median=115350 p95=116620

INFO: Inference timings in us: Init: 1361236, First inference: 125113, Warmup (avg): 115344, \
Inference (avg): 115246
INFO: Memory footprint delta from the start of the tool (MB): init=132.816 overall=132.816
"""

TENSORFLOW = """\
STARTING!
Explicitly applied NNAPI delegate, and the model graph will be partially executed by the delegate \
w/ 2 delegate kernels.
Initialized session in 13.386ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding \
150 seconds.
count=1 curr=11403859

count=260 first=3918 curr=3711 min=3700 max=4026 avg=3756.87 std=35

Inference timings in us: Init: 13386, First inference: 11403859, Warmup (avg): 1.14039e+07, \
Inference (avg): 3756.87
"""


def test_litert_s_output_is_read() -> None:
    found = parse_benchmark(LITERT)
    assert (found.runs.count, found.runs.median, found.runs.typical) == (50, 115350, 115350)
    assert found.warmup.count == 5
    assert found.init_us == 1361236
    assert found.delegates == {"GPU": True}
    assert not found.unknown_flags


def test_tensorflow_s_output_has_no_median_and_its_mean_is_taken() -> None:
    found = parse_benchmark(TENSORFLOW)
    assert (found.runs.median, found.runs.typical) == (None, 3756.87)
    assert found.warmup.typical == 11403859
    assert found.delegates == {"NNAPI": False}


def test_a_delegate_that_takes_nothing_is_told() -> None:
    said = "Though GPU delegate is explicitly applied, the model graph will not be executed by the"
    assert parse_benchmark(f"{said} delegate.\n{TENSORFLOW}").delegates["GPU"] is False


def test_equal_times_are_read() -> None:
    lines = TENSORFLOW.replace(
        "count=260 first=3918 curr=3711 min=3700 max=4026 avg=3756.87 std=35",
        "count=260 curr=3756(all same)",
    )
    assert parse_benchmark(lines.replace("(avg): 3756.87", "(avg): 3756")).runs.typical == 3756


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count=50", "count=0", "statistics of nothing"),
        ("count=50", "count=fifty", "makes no sense"),
        ("median=115350", "median=115350 mean=1", "makes no sense"),
        ("median=115350", "median=1", "contradict each other"),
        ("min=111842", "min=0", "statistics of nothing"),
        ("min=111842", "min=-5", "makes no sense"),
        ("max=119614", "max=1e90", "statistics of nothing"),
        ("max=119614", "max=nan", "makes no sense"),
        ("avg=115246", "avg=115300", "a mean of"),
        ("Inference timings", "Timings", "no summary"),
        ("Inference (avg): 115246", "Inference (avg): 115246 \nINFO: count=1 curr=5", "3 lines"),
    ],
)
def test_numbers_that_cannot_be_are_refused(old: str, new: str, said: str) -> None:
    assert old in LITERT
    with pytest.raises(UnreadableOutput, match=said):
        parse_benchmark(LITERT.replace(old, new))


@given(st.integers(0, len(LITERT) - len("\nINFO: Memory footprint delta from the start") - 60))
def test_output_that_was_cut_short_is_refused(end: int) -> None:
    with pytest.raises(UnreadableOutput):
        parse_benchmark(LITERT[:end])


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UnreadableOutput):
        parse_benchmark(text)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=50), st.booleans())
def test_what_is_printed_is_what_is_read(times: list[int], percentiles: bool) -> None:
    line = printed(times, percentiles)
    mean = sum(times) / len(times)
    found = parse_benchmark(
        f"{line}\n\n{line}\n\nInference timings in us: Init: 5, First inference: {times[0]}, "
        f"Warmup (avg): {mean:g}, Inference (avg): {mean:g}\n"
    ).runs
    assert (found.count, found.smallest, found.largest) == (len(times), min(times), max(times))
    assert found.mean == pytest.approx(mean, rel=1e-5)
    if percentiles:
        assert found.median == sorted(times)[len(times) // 2]


def printed(times: list[int], percentiles: bool) -> str:
    """As tensorflow's stats_calculator.h prints them."""
    ordered, count = sorted(times), len(times)
    line = f"count={count} curr={times[-1]}"
    if ordered[0] != ordered[-1]:
        line = (
            f"count={count} first={times[0]} curr={times[-1]} min={ordered[0]} "
            f"max={ordered[-1]} avg={sum(times) / count:g} std=1"
        )
    elif count > 1:
        line += "(all same)"
    if percentiles:
        ranks = [ordered[count * share // 100] for share in (5, 50, 95)]
        line += " p5={} median={} p95={}".format(*ranks)
    return line


OLDEST = """\
STARTING!
Loaded model m.tflite
Initialized session in 13.386ms.
count=56 first=11147 curr=8146 min=7055 max=12036 avg=8779.68 std=1115

count=110 first=8325 curr=10016 min=7863 max=10688 avg=8680.33 std=591

Average inference timings in us: Warmup: 8779.68, Init: 13386, {last}: 8680.33
"""


@pytest.mark.parametrize("last", ["no stats", "Inference"])
def test_the_summaries_of_the_oldest_versions_are_read(last: str) -> None:
    benchmark = parse_benchmark(OLDEST.format(last=last))
    assert (benchmark.init_us, benchmark.runs.typical) == (13386, 8680.33)
    assert benchmark.delegates == {}


@pytest.mark.parametrize(
    ("said", "whole"),
    [
        ("Applied GPU delegate, and the model graph will be completely executed w/ the delegate.",
         True),
        ("Applied GPU delegate, and the model graph will be partially executed w/ the delegate w/ "
         "3 delegate kernels.", False),
        ("Though GPU delegate is applied, the model graph will not be executed w/ the delegate.",
         False),
        ("Applied GPU delegate.", None),
    ],
)  # fmt: skip
def test_what_older_versions_say_of_a_delegate_is_read(said: str, whole: bool | None) -> None:
    assert parse_benchmark(f"{said}\n{OLDEST.format(last='Inference')}").delegates == {"GPU": whole}


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 400, "1e999", "\u00b2"])
@pytest.mark.parametrize("place", ["count=50", "Init: 1361236", "avg=115246", "max=119614"])
def test_numbers_beyond_reason_are_unreadable(place: str, number: str) -> None:
    name, separator = re.split(r"([=:] ?)", place)[:2]
    assert place in LITERT
    with pytest.raises(UnreadableOutput):
        parse_benchmark(LITERT.replace(place, f"{name}{separator}{number}"))
