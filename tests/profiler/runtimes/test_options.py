"""Options of a device go to its runtime as they stand, and what it does not have is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compofa.common.errors import UserError
from compofa.profiler.commands import check_command, main
from compofa.profiler.inventory import changed, find_device
from compofa.profiler.measurement.handshake import fingerprint
from compofa.profiler.transports.agent_client import Hello
from compofa.profiler.transports.device import Device
from rigs.commands import Run


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Device]:
    """The device of an inventory that says no more of it than its settings."""

    def read(settings: str) -> Device:
        path = tmp_path / "devices.yaml"
        path.write_text(f"here: {{transport: local, {settings}}}\n")
        return find_device(path, "here")

    return read


Read = Callable[[str], Device]


def test_the_agent_is_told_them_and_they_are_part_of_the_fingerprint(read: Read) -> None:
    plain, tuned = read("threads: 1"), read("options: {session.intra_op.allow_spinning: 0}")
    assert "options" not in plain.load_options()
    assert tuned.load_options()["options"] == {"session.intra_op.allow_spinning": 0}

    def seen(device: Device) -> dict[str, object]:
        hello = Hello(1, None, {"onnxruntime": "1.31"}, {"onnxruntime": None}, {}, {})
        return fingerprint(device, hello)

    assert "options" not in seen(plain)
    assert seen(tuned)["options"] == {"session.intra_op.allow_spinning": 0}


def test_another_runtime_does_not_take_them_over(read: Read) -> None:
    tuned = read("options: {graph_optimization_level: ORT_ENABLE_BASIC}")
    assert changed(tuned, threads=2).options == tuned.options
    assert changed(tuned, runtime="tflite").options == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("options: [a]", "options: .*dictionary"),
        (
            "options: {a: [1]}",
            "options.a: an option's value must be a finite number, a text, or true",
        ),
        ("options: {'-x': 1}", "options.*pattern"),
        ("options: {'a b': 1}", "options.*pattern"),
    ],
)
def test_what_is_no_option_is_named_with_its_line(read: Read, settings: str, said: str) -> None:
    with pytest.raises(UserError, match=f"devices.yaml:1: here: {said}"):
        read(settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "options: {intra_op_num_threads: 4}",
            "intra_op_num_threads .* cannot be given .set .threads",
        ),
        ("options: {optimized_model_filepath: x}", "it would write files on the device"),
        ("runtime: openvino, options: {INFERENCE_PRECISION_HINT: f16}", "set `dtype` instead"),
        ("runtime: torch, options: {mode: max-autotune}", "they need mode compiled"),
        ("runtime: coreml, options: {a: 1}", "coreml takes no options"),
    ],
)
def test_an_option_that_another_setting_says_is_refused(
    read: Read, settings: str, said: str
) -> None:
    device = read(settings)
    with pytest.raises(UserError, match=said):
        device.check_settings()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("options: {session.intra_op.alow_spinning: 0}",
         "this onnxruntime knows no session option 'session.intra_op.alow_spinning'"),
        ("options: {arena_extend: 1}", "CPUExecutionProvider has no option 'arena_extend'"),
        ("options: {graph_optimization_level: fast}",
         "graph_optimization_level cannot be 'fast'; it can be ORT_"),
        ("runtime: tflite, options: {spin: 1}", "tflite's interpreter has no option 'spin'"),
        ("runtime: openvino, options: {SPIN: 1}", "OpenVINO has no property 'SPIN' to set for CPU"),
        ("runtime: openvino, options: {NUM_STREAMS: 2}", "changed NUM_STREAMS from 2 to 1"),
        ("runtime: openvino, options: {DEVICE_TYPE: x}", "has no property 'DEVICE_TYPE'"),
        ("runtime: openvino, options: {SCHEDULING_CORE_TYPE: X}",
         "OpenVINO refuses SCHEDULING_CORE_TYPE"),
    ],
)  # fmt: skip
def test_what_the_runtime_does_not_have_ends_with_exit_code_2(
    run: Run, tmp_path: Path, settings: str, said: str
) -> None:
    ended = check(run, tmp_path, settings)
    assert (ended.code, said in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(
    ("runtime", "options"),
    [
        ("onnxruntime", {"session.intra_op.allow_spinning": 0, "enable_mem_pattern": False,
                         "graph_optimization_level": "ORT_ENABLE_BASIC"}),
        ("tflite", {"experimental_op_resolver_type": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}),
        ("openvino", {"ENABLE_HYPER_THREADING": False, "NUM_STREAMS": 1}),
    ],
)  # fmt: skip
def test_check_says_which_were_taken(
    run: Run, tmp_path: Path, runtime: str, options: dict[str, Any]
) -> None:
    pytest.importorskip({"tflite": "ai_edge_litert"}.get(runtime, runtime))
    settings = f"runtime: {runtime}, options: {json.dumps(options)}"
    ended = check(run, tmp_path, settings)
    assert ended.code == 0, ended.err
    told = ", ".join(f"{name} {value}" for name, value in options.items())
    assert f"options of {runtime}: {told}" in ended.out
    assert json.loads(check(run, tmp_path, settings, "--json").out)["options"] == options


def check(run: Run, folder: Path, settings: str, *words: str) -> Any:
    inventory = folder / "devices.yaml"
    inventory.write_text(f"here: {{transport: local, {settings}}}\n")
    return run(main, "check", "--device", "here", "--inventory", inventory, *words)


def test_check_says_each_complaint_on_a_line_of_its_own(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_command, "complain", lambda *_: ["it is hot", "it is busy"])
    assert "\nit is hot\nit is busy" in check(run, tmp_path, "threads: 1").out
