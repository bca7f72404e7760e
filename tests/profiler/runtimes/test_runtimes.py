"""Which settings of a device go together, and what the agent is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compofa.common.errors import UserError
from compofa.profiler.inventory import changed, find_device
from compofa.profiler.transports.local import LocalDevice
from compofa.profiler.transports.ssh.ssh_device import SshDevice


def shown(device: SshDevice) -> str:
    return device.spec.accelerator_of(device)


def device(**settings: Any) -> SshDevice:
    return SshDevice.model_validate({"name": "there", "host": "there", **settings})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"accelerator": "cdua"}, "onnxruntime has no accelerator 'cdua' .it has cpu, cuda"),
        ({"dtype": "bfloat16"}, "onnxruntime has no dtype 'bfloat16' .it has float32, int8"),
        ({"runtime": "torch", "dtype": "int8"}, "torch has no dtype 'int8'"),
        ({"runtime": "torch", "mode": "cuda_graph"}, "mode cuda_graph needs accelerator cuda"),
        ({"runtime": "torch", "dtype": "tf32"}, "dtype tf32 needs accelerator cuda"),
        ({"runtime": "tflite", "mode": "eager"}, "mode is a setting of torch, not of tflite"),
        ({"compute_units": "all"}, "compute_units is a setting of coreml, not of onnxruntime"),
        ({"runtime": "coreml", "accelerator": "cuda"}, "coreml has no accelerator 'cuda'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        device(**settings).check_settings()


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, {"accelerator": "cpu", "dtype": "float32",
              "providers": [["CPUExecutionProvider", {}]]}),
        ({"accelerator": "tensorrt", "dtype": "int8"},
         {"accelerator": "tensorrt", "dtype": "int8",
          "providers": [["TensorrtExecutionProvider", {}], ["CUDAExecutionProvider", {}]]}),
        ({"accelerator": "xnnpack", "threads": 2},
         {"accelerator": "xnnpack", "dtype": "float32",
          "providers": [["XnnpackExecutionProvider", {"intra_op_num_threads": "2"}]]}),
        ({"runtime": "torch"}, {"accelerator": "cpu", "dtype": "float32", "mode": "eager"}),
        ({"runtime": "torch", "accelerator": "cuda", "dtype": "tf32", "mode": "cuda_graph"},
         {"accelerator": "cuda", "dtype": "tf32", "mode": "cuda_graph"}),
        ({"runtime": "coreml", "dtype": "float16"},
         {"accelerator": "cpu", "dtype": "float16", "compute_units": "all"}),
        ({"runtime": "tflite", "accelerator": "libedge.so.1"},
         {"accelerator": "libedge.so.1", "dtype": "float32"}),
    ],
)  # fmt: skip
def test_the_agent_is_told_the_whole_set_up(
    settings: dict[str, Any], options: dict[str, Any]
) -> None:
    found = device(**settings)
    found.check_settings()
    assert found.load_options() == options


def test_core_ml_needs_a_mac(monkeypatch: pytest.MonkeyPatch) -> None:
    here = LocalDevice(name="here", runtime="coreml")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    with pytest.raises(UserError, match="coreml runs on macOS only, and this is Linux"):
        here.check_settings()
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    here.check_settings()


def test_a_table_of_core_ml_names_its_compute_units() -> None:
    assert shown(device(runtime="coreml", compute_units="cpu_and_ne")) == "cpu_and_ne"
    assert shown(device(runtime="coreml")) == "all"
    assert shown(device(accelerator="cuda")) == "cuda"


def test_a_command_line_changes_a_device() -> None:
    torch = device(runtime="torch", mode="compiled")
    assert changed(torch, runtime=None, threads=None) == torch
    assert changed(torch, threads=3) == torch.model_copy(update={"threads": 3})
    # What belongs to the runtime goes with it.
    assert changed(torch, runtime="tflite") == device(runtime="tflite")
    with pytest.raises(UserError, match="unknown dtype 'flaot16' .did you mean 'float16'"):
        changed(torch, dtype="flaot16")


def test_modes_are_read_from_the_inventory(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("a: {transport: local, runtime: torch, mode: channels_last}\n")
    assert find_device(path, "a").load_options()["mode"] == "channels_last"
