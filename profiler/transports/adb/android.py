"""What a phone tells about itself over adb: facts, and the state that changes while it works.

Any question may stay unanswered: vendors leave things out, and Android denies the shell user many
files. What is not answered is left out.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compofa.profiler.transports.adb.phone import Phone

MARK = "@@"
"""Starts the line before each answer."""

CPUFREQ = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq"

FACTS = {
    "properties": "getprop",
    "machine": "uname -m",
    "kernel": "uname -r",
    "cpus": "cat /sys/devices/system/cpu/possible",
    "memory": "grep MemTotal /proc/meminfo",
    "max_khz": f"grep -H . {CPUFREQ}/cpuinfo_max_freq",
    "governor": "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
}

STATE = {
    "battery": "dumpsys battery",
    "saver": "settings get global low_power",
    "thermal": "dumpsys thermalservice",
    "wakefulness": "dumpsys power | grep mWakefulness=",
    "load": "cat /proc/loadavg",
    "pressure": "cat /proc/pressure/cpu",
    "ticks": "head -n 1 /proc/stat",
    "governor": "cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    "khz": f"grep -H . {CPUFREQ}/scaling_cur_freq",
    "cap_khz": f"grep -H . {CPUFREQ}/scaling_max_freq",
}

ASKING_S = 15.0
"""How long all answers together may take; dumpsys waits up to 10 s for a hung service."""

FRESH_S = 5.0
"""A state of this age is still reported: asking again costs the phone some work."""

LAST_CPU = 4095
"""No phone counts more: what follows from the number of CPUs takes memory for each of them."""

TEMPERATURES = frozenset({0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13})
"""Of the sensor types of Android's thermal service; the others are voltages and percentages."""


@dataclass
class Android:
    """A phone that is asked about itself; facts are asked for once."""

    phone: Phone
    _facts: dict[str, Any] | None = field(default=None, init=False)
    _state: dict[str, Any] = field(default_factory=dict, init=False)
    _asked_at: float = field(default=-FRESH_S, init=False)

    def facts(self) -> dict[str, Any]:
        """What does not change while the phone is up; the names are those of the agents."""
        if self._facts is None:
            self._facts = parse_facts(self._ask(FACTS))
        return self._facts

    def state(self) -> dict[str, Any]:
        """What changes while it works, at most `FRESH_S` old."""
        if time.monotonic() - self._asked_at >= FRESH_S:
            self._state = parse_state(self._ask(STATE))
            self._asked_at = time.monotonic()
        return self._state

    def _ask(self, questions: Mapping[str, str]) -> dict[str, str]:
        script = "; ".join(f"echo '{MARK} {name}'; {q}" for name, q in questions.items())
        return answers(self.phone.run(f"{{ {script}; }} 2>/dev/null", ASKING_S).text)


def answers(text: str) -> dict[str, str]:
    """The answers in `text` by name, each without the blank lines around it."""
    by_name: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith(f"{MARK} "):
            name = line.removeprefix(MARK).strip()
        else:
            by_name.setdefault(name, []).append(line)
    return {name: "\n".join(lines).strip() for name, lines in by_name.items()}


def parse_facts(told: Mapping[str, str]) -> dict[str, Any]:
    """Facts under the names that the agents use, and `api`, Android's level."""
    properties = dict(re.findall(r"^\[([^\]]+)\]: \[(.*)\]$", told.get("properties", ""), re.M))
    if not properties:
        return {}
    get = properties.get
    chip = get("ro.soc.model") or get("ro.hardware.chipname") or get("ro.board.platform")
    serial = get("ro.serialno") or get("ro.boot.serialno")
    memory = re.search(r"\S+(?= kB)", told.get("memory", ""))
    possible = re.fullmatch(r"(?:[0-9]+[-,])*([0-9]+)", told.get("cpus", ""))
    last_cpu = _integer(possible[1], LAST_CPU) if possible else None
    release, api = get("ro.build.version.release", "?"), get("ro.build.version.sdk", "?")
    facts = {
        "system": "Android",
        "machine": told.get("machine") or get("ro.product.cpu.abi"),
        "kernel": told.get("kernel"),
        "os": f"Android {release} (API {api}) {get('ro.build.fingerprint', '')}".strip(),
        "api": _integer(api),
        "cpu": _words(get("ro.soc.manufacturer"), chip),
        "board": _words(get("ro.product.manufacturer"), get("ro.product.model")),
        "cpus": None if last_cpu is None else last_cpu + 1,
        "memory_kb": _integer(memory[0]) if memory else None,
        "governor": told.get("governor"),
        "max_mhz": list(mhz(told.get("max_khz", "")).values()) or None,
        "serial_sha256": hashlib.sha256(serial.encode()).hexdigest()[:16] if serial else None,
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


def parse_state(told: Mapping[str, str]) -> dict[str, Any]:
    """State under the names that the agents use, and what only phones have."""
    battery = dict(re.findall(r"^\s*([\w ]+): (\S+)$", told.get("battery", ""), re.M))
    celsius = _temperatures(told.get("thermal", ""))
    if (tenths := _integer(battery.get("temperature"))) is not None:
        celsius["battery"] = tenths / 10
    ticks = _ticks(told.get("ticks", ""))
    pressure = re.search(r"some avg10=(\S+)", told.get("pressure", ""))
    thermal = re.search(r"^Thermal Status: (\d)$", told.get("thermal", ""), re.M)
    wakefulness = re.search(r"mWakefulness=(\w+)", told.get("wakefulness", ""))
    powered = [name for name in ("AC", "USB", "Wireless", "Dock") if _powered(battery, name)]
    state = {
        "load_1m": _decimal(told.get("load", "").partition(" ")[0]),
        "cpu_pressure_10s": _decimal(pressure[1]) if pressure else None,
        "cpu_ticks": sum(ticks) if len(ticks) > 7 else None,
        "steal_ticks": ticks[7] if len(ticks) > 7 else None,
        "mhz": list(mhz(told.get("khz", "")).values()) or None,
        "cap_mhz": list(mhz(told.get("cap_khz", "")).values()) or None,
        "governor": told.get("governor"),
        "celsius": celsius,
        "thermal_status": int(thermal[1]) if thermal else None,
        "battery_percent": _integer(battery.get("level")),
        "plugged_in": ", ".join(powered) if battery else None,
        "battery_saver": {"0": False, "1": True}.get(told.get("saver", "")),
        "screen": wakefulness[1] if wakefulness else None,
    }
    return {name: value for name, value in state.items() if value not in (None, "", {})}


def mhz(text: str) -> dict[int, float]:
    """MHz by CPU, from `grep -H` over cpufreq files in kHz."""
    by_cpu = re.findall(r"/cpu([0-9]{1,4})/cpufreq/\w+:([0-9]{1,12})$", text, re.M)
    return {cpu: khz / 1000 for cpu, khz in sorted((int(cpu), int(khz)) for cpu, khz in by_cpu)}


def _ticks(line: str) -> list[int]:
    """The counts in a line of /proc/stat, in its order; none where one makes no sense."""
    counts = [_integer(word) for word in line.split()[1:]]
    known = [count for count in counts if count is not None]
    return known if len(known) == len(counts) else []


def _temperatures(text: str) -> dict[str, float]:
    """Degrees Celsius by sensor; of cached and current values the current ones, which come last."""
    sensor = r"Temperature\{mValue=([^,}]+), mType=([^,}]+), mName=([^,}]+),"
    read = {
        name: _decimal(value)
        for value, kind, name in re.findall(sensor, text)
        if _integer(kind) in TEMPERATURES
    }
    return {name: celsius for name, celsius in read.items() if celsius is not None}


def _powered(battery: Mapping[str, str], source: str) -> bool:
    return battery.get(f"{source} powered") == "true"


def _integer(text: str | None, most: int = 10**15) -> int | None:
    """None for what is no number, or too large to be what it should be."""
    if text is None or re.fullmatch(r"-?[0-9]{1,16}", text) is None:
        return None
    return int(text) if abs(int(text)) <= most else None


def _decimal(text: str) -> float | None:
    return float(text) if re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", text) else None


def _words(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)
