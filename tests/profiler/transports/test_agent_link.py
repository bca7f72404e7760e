"""The host's end of the protocol: an agent that lies, dies or rambles is named, never believed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from compofa.common.errors import DeviceError
from compofa.profiler.transports.agent_client import AgentError, AgentLink
from compofa.profiler.transports.base import Channel
from compofa.profiler.transports.local import LocalChannel


class Scripted(Channel):
    """An agent whose replies are made by a function of the request."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer
        self.request: dict[str, Any] = {}

    def send(self, data: bytes) -> None:
        self.request = json.loads(data)

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        reply = self.answer(self.request)
        return reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\n"

    def diagnosis(self) -> str:
        return ""

    def close(self) -> None:
        pass


def ok(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda request: {"id": request["id"], "ok": fields}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: b"hello\n", "not JSON: 'hello"),
        (lambda _: b"\x1b[31mred\n", r"not JSON: '\\\\x1b"),
        (lambda _: b"[" * 100_000 + b"\n", "not JSON"),
        (lambda _: [], "answers another request"),
        (lambda _: {"id": 99, "ok": {}}, "answers another request"),
        (lambda r: {"id": r["id"]}, "neither ok nor error"),
        (ok(), "makes no sense"),
        (ok(ns=[1, 2], state={}), "2 times for 3 runs"),
        (ok(ns=[-5, -1, -1], state={}), "a run of -5 ns"),
        (ok(ns=[1, 2, float("nan")], state={}), "not JSON|not a finite number"),
        (ok(ns=[10**15] * 3, state={}), "a run of 1000000000000000 ns"),
        (ok(ns=[1, 2, True], state={}), "ns is True, not a whole number"),
        (ok(ns="abc", state={}), "ns is 'abc', not a list"),
        (ok(ns=[1, 2, 3], state=7), "makes no sense"),
    ],
)
def test_replies_that_make_no_sense_are_the_device_s_fault(
    answer: Callable[[dict[str, Any]], Any], said: str
) -> None:
    with pytest.raises(DeviceError, match=said) as caught:
        AgentLink(Scripted(answer)).run(1, 3, 0, 1.0)
    assert "\x1b" not in str(caught.value)


HELLO: dict[str, Any] = {
    "version": 1, "pid": 1, "affinity": [0], "runtimes": {}, "facts": {}, "state": {},
}  # fmt: skip
LOADED: dict[str, Any] = {
    "model": 1, "version": "1.0", "load_ns": 5, "input": [1, 3, 32, 32], "output_size": 10,
    "output": [0.5] * 10,
}  # fmt: skip
DEEP: Any = 0
for _ in range(20):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pid": "1e999"}, "pid is '1e999', not a whole number"),
        ({"pid": 1.5}, "pid is 1.5"),
        ({"pid": 10**400}, "it holds a number that is too large|pid"),
        ({"pid": -1}, "pid is -1"),
        ({"affinity": [True]}, "affinity is True"),
        ({"affinity": 3}, "affinity is 3, not a list"),
        ({"runtimes": {"onnxruntime": {"version": "1\x1b[31m", "sha256": None}}}, "do not print"),
        ({"runtimes": {"onnxruntime": {"version": 1, "sha256": None}}}, "onnxruntime is 1"),
        ({"runtimes": {"onnxruntime": {"version": "1" * 301, "sha256": None}}}, "a short text"),
        ({"runtimes": {"onnxruntime": {}}}, "the version of onnxruntime is None"),
        ({"runtimes": {"onnx\nruntime": {"version": "1", "sha256": None}}}, "do not print"),
        ({"facts": {"memory_kb": float("nan")}}, "memory_kb holds nan"),
        ({"facts": {"gpu": {"watts": float("inf")}}}, "facts.gpu.watts holds inf"),
        ({"facts": {"cpu": "x" * 5000}}, "a text of 5000 characters"),
        ({"facts": {"cpu": "a\x00b"}}, "facts.cpu holds characters that do not print"),
        ({"facts": {"cpus": "many"}}, "facts.cpus is 'many'"),
        ({"facts": {"x": DEEP}}, "facts.x is too deep"),
        ({"facts": dict.fromkeys(map(str, range(2000)), 1)}, "facts is too deep or too large"),
        ({"state": {"load_1m": 10**30}}, "state.load_1m holds a number that is too large"),
        ({"state": 3}, "state is 3, not an object"),
    ],
)
def test_a_hello_is_checked_to_the_last_value(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceError, match=f"hello makes no sense: .*({said})") as caught:
        AgentLink(Scripted(ok(**{**HELLO, **change}))).hello(1, None)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_an_ordinary_hello_passes_with_all_it_says() -> None:
    facts = {"cpu": "Cortex-A72", "cpus": 4, "max_mhz": [1500.0], "gpu": None, "board": "Pi 4 ®"}
    runtimes = {"onnxruntime": {"version": "1.2", "sha256": None}}
    hello = AgentLink(Scripted(ok(**{**HELLO, "facts": facts, "runtimes": runtimes}))).hello(
        1, None
    )
    assert hello.facts == facts
    assert hello.affinity == (0,)
    assert hello.runtimes == {"onnxruntime": "1.2"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "1"}, "model is '1'"),
        ({"load_ns": -1}, "load_ns is -1"),
        ({"load_ns": 10**400}, "too large"),
        ({"input": [0]}, "input is 0"),
        ({"output_size": 1e3}, "output_size is 1000.0"),
        ({"output": ["x"]}, "output holds 'x', which is not a number"),
        ({"output": [10**400]}, "output holds a number that is too large"),
        ({"output": [0.0] * 1000}, "output has 1000 numbers, more than 256"),
        ({"settings": []}, "settings is \\[\\]"),
        ({"settings": {"a": "\x07"}}, "do not print"),
    ],
)
def test_a_loaded_model_is_checked_to_the_last_value(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DeviceError, match=f"load makes no sense: .*({said})"):
        AgentLink(Scripted(ok(**{**LOADED, **change}))).load("0" * 64, "onnxruntime", {})


def test_what_a_network_computes_may_be_no_number() -> None:
    output = [float("nan"), float("inf")]
    loaded = AgentLink(Scripted(ok(**{**LOADED, "output": output}))).load("0" * 64, "x", {})
    assert math.isnan(loaded.output[0])


@pytest.mark.parametrize("state", [{"mhz": [1.0, float("nan")]}, {"gpu": {"a": "\x1b"}}])
def test_a_state_is_checked_wherever_it_comes(state: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match="state makes no sense"):
        AgentLink(Scripted(ok(state=state))).state()
    with pytest.raises(DeviceError, match="run makes no sense"):
        AgentLink(Scripted(ok(ns=[5], state=state))).run(1, 1, 0, 1.0)


def test_times_beyond_the_wall_time_of_their_call_are_doubted_and_kept() -> None:
    caveats: list[str] = []
    link = AgentLink(Scripted(ok(ns=[3000 * 10**9] * 2, state={})), caveats.append)
    assert link.run(1, 2, 0, 1.0)[0] == (3000 * 10**9,) * 2
    (said,) = caveats
    assert "the device's clock cannot be trusted: by it 2 runs took 6e+03 s" in said


def test_times_within_the_wall_time_of_their_call_are_not_doubted() -> None:
    caveats: list[str] = []
    AgentLink(Scripted(ok(ns=[10**6, 2 * 10**6], state={})), caveats.append).run(1, 2, 0, 1.0)
    assert not caveats


def test_runs_in_which_the_clock_was_set_are_left_out() -> None:
    link = AgentLink(Scripted(ok(ns=[7, -5, 0, 10**15, 8], state={})))
    assert link.run(1, 5, 0, 1.0) == ((7, 0, 8), {})


def test_errors_of_the_agent_keep_their_kind() -> None:
    error = {"kind": "model", "message": "bad\x1b[2J" + "x" * 10_000}
    link = AgentLink(Scripted(lambda request: {"id": request["id"], "error": error}))
    with pytest.raises(AgentError) as caught:
        link.load("0" * 64, "onnxruntime", {})
    assert caught.value.kind == "model"
    assert len(str(caught.value)) < 600
    assert "\x1b" not in str(caught.value)


def test_another_version_of_the_protocol_is_refused() -> None:
    with pytest.raises(DeviceError, match="version 2 of the protocol"):
        AgentLink(Scripted(ok(version=2))).hello(1, None)


@pytest.mark.parametrize("facts", [None, 3, []])
def test_a_hello_without_facts_is_refused(facts: object) -> None:
    hello = ok(version=1, pid=1, affinity=None, runtimes={}, facts=facts, state={})
    with pytest.raises(DeviceError, match="hello makes no sense: facts is"):
        AgentLink(Scripted(hello)).hello(1, None)


def program(code: str) -> LocalChannel:
    channel = LocalChannel([sys.executable, "-c", code])
    channel.closing_s = 0.2
    return channel


def test_a_peer_that_writes_one_byte_at_a_time_is_understood() -> None:
    slow = (
        "import sys, os, time\n"
        "sys.stdin.readline()\n"
        'for c in b\'{"id": 1, "ok": {"ns": [5], "state": {}}}\\n\':\n'
        "    os.write(1, bytes([c])); time.sleep(0.002)\n"
    )
    with program(slow) as channel:
        assert AgentLink(channel).run(1, 1, 0, 10.0) == ((5,), {})


def test_a_peer_that_dies_is_named_with_its_last_words() -> None:
    with (
        program("import sys; sys.stdin.readline(); sys.exit('no memory left')") as channel,
        pytest.raises(DeviceError, match="the agent ended: exit code 1, no memory left"),
    ):
        AgentLink(channel).unload(1)


def test_complaints_without_end_are_neither_kept_nor_in_the_way() -> None:
    loud = (
        "import sys, tempfile, os\n"
        "for _ in range(200): sys.stderr.write('x' * 100_000)\n"
        "sys.stderr.write('\\nthe last of it\\n'); sys.exit(3)\n"
    )
    with program(loud) as channel:
        with pytest.raises(DeviceError, match="the agent ended: exit code 3, the last of it$"):
            AgentLink(channel).unload(1)
        # In memory, and no more of it than is shown.
        assert len(channel._last_words._kept) <= 2000


def test_a_process_that_the_agent_left_behind_holds_nothing_up() -> None:
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)'])\n"
        "sys.exit('gone')\n"
    )
    begun = time.monotonic()
    with program(code) as channel, pytest.raises(DeviceError, match="exit code 1"):
        AgentLink(channel).unload(1)
    assert time.monotonic() - begun < 10


def test_onnx_runtimes_telemetry_is_off_in_every_process_of_ours() -> None:
    look = "import compofa.common, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    clean = {name: each for name, each in os.environ.items() if "TELEMETRY" not in name}
    told = subprocess.run(
        [sys.executable, "-c", look], env=clean, capture_output=True, text=True, check=True
    )
    assert told.stdout == "1\n"


def test_a_silent_peer_is_left_after_the_deadline() -> None:
    with program("import time; time.sleep(60)") as channel:
        begun = time.monotonic()
        with pytest.raises(DeviceError, match=r"said nothing for 0\.3 s"):
            channel.receive_line(0.3, 1000)
        assert time.monotonic() - begun < 2


def test_a_peer_without_end_of_line_is_cut_off() -> None:
    with (
        program("import os\nwhile True: os.write(1, b'x' * 65536)") as channel,
        pytest.raises(DeviceError, match="a line of more than 1,000,000 bytes"),
    ):
        channel.receive_line(10.0, 1_000_000)


def test_closing_ends_a_peer_that_does_not_want_to() -> None:
    channel = program("import time; time.sleep(600)")
    channel.close()
    channel.close()
    with pytest.raises(ProcessLookupError):
        os.kill(channel.pid, 0)
