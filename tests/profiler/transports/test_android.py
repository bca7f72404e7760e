"""What a phone tells of itself: read as far as it goes, whatever the vendor left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.profiler.measurement.device_monitor import concerns
from compofa.profiler.transports.adb.android import FACTS, STATE, answers, parse_facts, parse_state

PIXEL = {
    "properties": """\
[ro.board.platform]: [gs101]
[ro.build.fingerprint]: [google/oriole/oriole:14/AP1A.240505.004/11583682:user/release-keys]
[ro.build.version.release]: [14]
[ro.build.version.sdk]: [34]
[ro.product.cpu.abi]: [arm64-v8a]
[ro.product.manufacturer]: [Google]
[ro.product.model]: [Pixel 6]
[ro.serialno]: [1A2B3C]
[ro.soc.manufacturer]: [Google]
[ro.soc.model]: [Tensor]""",
    "machine": "aarch64",
    "cpus": "0-7",
    "memory": "MemTotal:        7683844 kB",
    "max_khz": "\n".join(
        f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq:{khz}"
        for cpu, khz in [(0, 1803000), (10, 2802000), (4, 2253000)]
    ),
    "governor": "sched_pixel",
}

BUSY = {
    "battery": "Current Battery Service state:\n  AC powered: true\n  USB powered: false\n"
    "  level: 42\n  scale: 100\n  temperature: 391\n  technology: Li-ion",
    "saver": "1",
    "thermal": """\
IsStatusOverride: false
Thermal Status: 2
Cached temperatures:
\tTemperature{mValue=30.0, mType=3, mName=skin, mStatus=0}
Current temperatures from HAL:
\tTemperature{mValue=44.5, mType=3, mName=skin, mStatus=2}
\tTemperature{mValue=4200.0, mType=6, mName=vbat, mStatus=0}""",
    "wakefulness": "  mWakefulness=Dozing",
    "load": "3.50 3.28 3.18 2/1312 8735",
    "ticks": "cpu  10 20 30 40 50 60 70 80 0 0",
    "khz": "/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:300000",
    "cap_khz": "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq:1803000",
}


def test_facts_of_a_phone() -> None:
    facts = parse_facts(PIXEL)
    assert facts["board"] == "Google Pixel 6"
    assert facts["cpu"] == "Google Tensor"
    assert facts["system"] == "Android"
    assert facts["os"].startswith("Android 14 (API 34) google/oriole")
    assert (facts["cpus"], facts["memory_kb"], facts["api"]) == (8, 7683844, 34)
    assert facts["max_mhz"] == [1803.0, 2253.0, 2802.0]
    assert len(facts["serial_sha256"]) == 16
    assert "1A2B3C" not in str(facts)


def test_state_of_a_phone() -> None:
    state = parse_state(BUSY)
    assert state["celsius"] == {"skin": 44.5, "battery": 39.1}
    assert (state["battery_percent"], state["plugged_in"], state["battery_saver"]) == (
        42,
        "AC",
        True,
    )
    assert (state["thermal_status"], state["screen"], state["load_1m"]) == (2, "Dozing", 3.5)
    assert (state["cpu_ticks"], state["steal_ticks"]) == (360, 80)
    assert (state["mhz"], state["cap_mhz"]) == ([300.0], [1803.0])


def test_what_is_not_told_is_left_out() -> None:
    assert parse_facts({}) == {}
    assert parse_state({}) == {}
    assert "cpus" not in parse_facts({"properties": PIXEL["properties"]})
    assert parse_state({"battery": "Can't find service: battery", "thermal": "denied"}) == {}


def test_answers_belong_to_the_question_before_them() -> None:
    assert answers("@@ a\n1\n2\n@@ b\n@@ c\n3\n") == {"a": "1\n2", "c": "3"}


NO_NUMBERS = ("9" * 5000, "9" * 23, "\u00b2", "1.2.3", "1..2", ".", "-", "nan", "1e999")


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_numbers_beyond_reason_are_left_out(number: str) -> None:
    """Such a number of CPUs would take all memory, one of thousands of digits cannot be read."""
    khz = f"/sys/devices/system/cpu/cpu0/cpufreq/a:{number}"
    facts = parse_facts(
        {
            "properties": f"[ro.build.version.sdk]: [{number}]",
            "cpus": f"0-{number}",
            "memory": f"MemTotal: {number} kB",
            "max_khz": khz,
        }
    )
    assert not facts.keys() & {"api", "cpus", "memory_kb", "max_mhz"}
    state = parse_state(
        {
            "battery": f"Battery:\n  level: {number}\n  temperature: {number}",
            "thermal": f"Temperature{{mValue={number}, mType=3, mName=a,\n"
            f"Temperature{{mValue=40, mType={number}, mName=b,",
            "load": f"{number} 1",
            "pressure": f"some avg10={number}",
            "ticks": f"cpu 1 2 {number} 4 5 6 7 8 9",
            "khz": khz,
        }
    )
    assert state == {}


@given(st.dictionaries(st.sampled_from([*FACTS, *STATE]), st.text()))
def test_no_answer_is_an_error(told: dict[str, str]) -> None:
    parse_facts(told)
    parse_state(told)


def test_a_phone_that_throttles_is_waited_for() -> None:
    (concern,) = concerns({"thermal_status": 2})
    assert concern.kind == "hot"
    assert concern.passing
    assert concerns({"thermal_status": 0}) == []


def test_battery_saver_is_named_but_waiting_does_not_help() -> None:
    (concern,) = concerns({"battery_saver": True})
    assert "battery saver" in concern.text
    assert not concern.passing


@pytest.mark.parametrize(("cap", "found"), [(2800.0, []), (1400.0, ["slow"])])
def test_a_phone_is_slow_if_its_frequencies_are_capped_not_if_it_idles(
    cap: float, found: list[str]
) -> None:
    state = {"mhz": [300.0], "cap_mhz": [cap, 1200.0]}
    assert [concern.kind for concern in concerns(state, best_mhz=2800.0)] == found
