"""The agent's runtimes: each computes what the host computes, or says by name why it cannot.

Runtimes that are installed here are the real ones. CUDA and Core ML cannot run here: what the agent
asks of them is checked on stand-ins with their interface.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import platform
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from compofa.profiler.agent import AGENT, compofa_agent
from compofa.profiler.agent.compofa_agent import Agent, Refused, installed_runtimes, shipped
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.supernet.export.dtype import Dtype
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

SMALL = Cell("tiny", "d22222", 32, 2)

Make = Callable[..., ModelFile]


@pytest.fixture(scope="module")
def make(tiny_space: Space) -> Iterator[Make]:
    """Makes models for a runtime; all stay until the end of the module."""
    spaces = (tiny_space, *SPACES.values())
    with contextlib.ExitStack() as stack:
        stores: dict[tuple[str, str], ModelStore] = {}

        def model(runtime: str, dtype: str = "float32", cell: Cell = SMALL) -> ModelFile:
            if (runtime, dtype) not in stores:
                stores[runtime, dtype] = stack.enter_context(
                    ModelStore(spaces, runtime, Dtype(dtype))
                )
            return stores[runtime, dtype].model(cell)

        yield model


@pytest.fixture(autouse=True)
def _torch_as_it_was() -> Iterator[None]:
    """An agent sets torch up for its whole process, which here is that of other tests as well."""
    import torch

    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    yield
    torch.set_num_threads(threads)
    torch.set_grad_enabled(gradients)


def load(model: ModelFile, runtime: str, **options: Any) -> tuple[Agent, dict[str, Any]]:
    """An agent in this process, with the model loaded."""
    agent = Agent(str(model.path.parent))
    request = {"model": model.sha256, "runtime": runtime, "options": options}
    return agent, agent.load(request)


def refusal(model: ModelFile, runtime: str, **options: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        load(model, runtime, **options)
    return refused.value


HERE: list[tuple[str, str, dict[str, str]]] = [
    ("onnxruntime", "float32", {}),
    ("onnxruntime", "int8", {}),
    ("tflite", "float32", {}),
    ("tflite", "int8", {}),
    ("torch", "float32", {"mode": "eager"}),
    ("torch", "float32", {"mode": "channels_last"}),
    ("torch", "float16", {"mode": "eager"}),
    ("torch", "bfloat16", {"mode": "channels_last"}),
    ("openvino", "float32", {}),
    ("openvino", "int8", {}),
]
PACKAGES = {"tflite": "ai_edge_litert"}


@pytest.mark.parametrize(("runtime", "dtype", "options"), HERE)
def test_it_computes_what_the_host_computes(
    make: Make, runtime: str, dtype: str, options: dict[str, str]
) -> None:
    pytest.importorskip(PACKAGES.get(runtime, runtime))
    model = make(runtime, dtype)
    agent, loaded = load(model, runtime, dtype=dtype, **options)
    assert loaded["input"] == [2, 3, 32, 32]
    assert loaded["output_size"] == 20
    assert model.mismatch(loaded["output"], loaded["output_size"]) is None
    assert loaded["version"].split("-")[0] in metadata.version(PACKAGES.get(runtime, runtime))
    assert loaded["settings"]
    times = agent.run({"model": loaded["model"], "runs": 5, "seed": 1})["ns"]
    assert len(times) == 5
    assert min(times) > 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "tflite", "torch", "openvino"])
def test_runs_take_the_input_that_was_prepared_last(make: Make, runtime: str) -> None:
    pytest.importorskip(PACKAGES.get(runtime, runtime))
    agent, loaded = load(make(runtime), runtime)
    model = agent.models[loaded["model"]]

    def output(seed: int) -> np.ndarray[Any, Any]:
        call = agent.call(loaded["model"], seed)
        for _ in range(3):
            call()
        return np.array(model.array(call()))

    first, second = output(0), output(1)
    assert np.abs(first - second).max() > 1e-3
    assert np.array_equal(output(0), first)


@pytest.mark.parametrize(
    ("space", "resolution"),
    [("ofa-mbv3", 72), ("ofa-proxyless-w1.3", 64), ("ofa-resnet50", 72), ("compofa-resnet50", 64)],
)
def test_torch_builds_every_kind_of_layer(make: Make, space: str, resolution: int) -> None:
    pytest.importorskip("torch")
    rng, found = np.random.default_rng(0), SPACES[space]
    model = make("torch", "float32", Cell(space, found.key(found.sample(rng)), resolution, 1))
    _, loaded = load(model, "torch")
    assert model.mismatch(loaded["output"], loaded["output_size"], 1e-5) is None


def test_torch_compiles_the_network_as_one_graph(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    # The compiler behind it takes a minute; what can go wrong here is the capture before it.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    model = make("torch")
    _, loaded = load(model, "torch", mode="compiled")
    assert model.mismatch(loaded["output"], loaded["output_size"]) is None


def test_torch_compiles_more_networks_than_it_would_by_itself(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    agents = []
    for depths in ("22222", "22223", "22232", "22322", "23222", "32222", "22233", "22332", "23322"):
        model = make("torch", cell=Cell("tiny", f"d{depths}", 32, 1))
        agent, loaded = load(model, "torch", mode="compiled")
        assert model.mismatch(loaded["output"], loaded["output_size"]) is None
        agents.append(agent)


# LiteRT's own clean-up stumbles over a delegate whose library is not there.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("runtime", "options", "kind", "said"),
    [
        (
            "onnxruntime",
            {"providers": [["CUDAExecutionProvider", {}]]},
            "runtime",
            "has no CUDAExecutionProvider; it has",
        ),
        ("tflite", {"accelerator": "libnone.so"}, "runtime", "cannot load the delegate libnone.so"),
        ("torch", {"accelerator": "cuda"}, "runtime", "finds no CUDA device here"),
        ("torch", {"accelerator": "tpu"}, "setting", "torch has no accelerator 'tpu'"),
        ("torch", {"dtype": "int4"}, "setting", "torch has no dtype 'int4'"),
        ("torch", {"mode": "fast"}, "setting", "torch has no mode 'fast'"),
        ("torch", {"mode": "cuda_graph"}, "setting", "CUDA graphs and TF32 need the accelerator"),
        ("torch", {"dtype": "tf32"}, "setting", "CUDA graphs and TF32 need the accelerator"),
        ("openvino", {"accelerator": "npu"}, "runtime", "OpenVINO finds no NPU here; it finds"),
    ],
)
def test_what_is_not_there_is_named(
    make: Make, runtime: str, options: dict[str, Any], kind: str, said: str
) -> None:
    pytest.importorskip(PACKAGES.get(runtime, runtime))
    if "cuda" in str(options).lower() and Path("/dev/nvidia0").exists():
        pytest.skip("this computer has a GPU")
    refused = refusal(make(runtime), runtime, **options)
    assert refused.kind == kind
    assert said in str(refused)
    # What LiteRT's clean-up raises is passed over here, and in no other test.
    del refused
    gc.collect()


def test_a_runtime_that_is_not_installed_is_named(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make("tflite")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    refused = refusal(model, "tflite")
    assert refused.kind == "runtime"
    assert "none of ai_edge_litert, tflite_runtime, tensorflow is installed" in str(refused)
    assert installed_runtimes() == {}


def test_a_file_of_another_runtime_is_no_model(make: Make) -> None:
    model = make("torch")
    for runtime in ("onnxruntime", "tflite", "openvino"):
        refused = refusal(model, runtime)
        assert (refused.kind, f"{runtime} cannot load the model" in str(refused)) == ("model", True)
    assert refusal(make("onnxruntime"), "torch").kind == "model"


# onnxruntime


IDLE = [["AzureExecutionProvider", {}]]


@pytest.fixture
def idle_provider() -> None:
    """A provider of onnxruntime's CPU builds that takes no node of any network of ours."""
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no provider that takes nothing")


@pytest.mark.usefixtures("idle_provider")
def test_a_provider_that_silently_left_everything_to_the_cpu_is_named(make: Make) -> None:
    refused = refusal(make("onnxruntime"), "onnxruntime", providers=IDLE)
    assert refused.kind == "model"
    assert "AzureExecutionProvider runs no part of the model: all of it fell" in str(refused)


@pytest.mark.usefixtures("idle_provider")
def test_an_onnxruntime_that_cannot_tell_may_not_fall_back_at_all(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asking = onnxruntime.InferenceSession, "get_provider_graph_assignment_info"
    owner = next((kind for kind in session.__mro__ if asking in vars(kind)), None)
    if owner is not None:
        monkeypatch.delattr(owner, asking)
    refused = refusal(make("onnxruntime"), "onnxruntime", providers=IDLE)
    assert "fallback to CPU EP has been explicitly disabled" in str(refused)


@pytest.mark.usefixtures("idle_provider")
def test_a_provider_that_onnxruntime_dropped_is_named(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime.InferenceSession, "get_providers", lambda _: kept)
    refused = refusal(make("onnxruntime"), "onnxruntime", providers=IDLE)
    assert refused.kind == "runtime"
    assert "fell back from AzureExecutionProvider without saying so" in str(refused)


def test_the_record_says_which_provider_has_how_many_nodes(make: Make) -> None:
    _, loaded = load(make("onnxruntime"), "onnxruntime")
    assert loaded["settings"]["providers"] == ["CPUExecutionProvider"]
    assert loaded["settings"]["nodes"]["CPUExecutionProvider"] > 50


# TFLite


def test_xnnpack_runs_the_whole_model(make: Make) -> None:
    _, loaded = load(make("tflite"), "tflite")
    assert loaded["settings"]["partitions"] == 1


def test_tflite_runtime_serves_where_litert_is_missing(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, find_spec = make("tflite"), importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: find_spec("json" if "runtime" in name else "no")
    )
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", litert)
    _, loaded = load(model, "tflite")
    assert loaded["settings"]["package"] == "tflite_runtime"


def compiled(folder: Path, name: str, source: str) -> Path:
    """A shared library made of C."""
    path = folder / name
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    try:
        subprocess.run(command, input=source.encode(), check=True)
    except FileNotFoundError:
        pytest.skip("there is no C compiler to make a stand-in with")
    return path


IDLE_DELEGATE = """
#include <stdint.h>
#include <stdlib.h>
struct delegate { void *data; int (*prepare)(void *, void *); void *copies[3]; int64_t flags;
                  void *builder; };
static int prepare(void *context, void *self) { return 0; }
void *tflite_plugin_create_delegate(char **keys, char **values, size_t n, void *report) {
    struct delegate *made = calloc(1, sizeof *made);
    made->prepare = prepare;
    return made;
}
void tflite_plugin_destroy_delegate(void *made) { free(made); }
"""


def test_a_delegate_that_silently_takes_nothing_is_named(make: Make, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    library = compiled(tmp_path, "libidle.so", IDLE_DELEGATE)
    refused = refusal(make("tflite"), "tflite", accelerator=str(library))
    assert refused.kind == "model"
    assert "libidle.so runs no part of the model: all of it fell back" in str(refused)


# CUDA, on a stand-in for torch.cuda


@dataclass
class FakeCuda:
    """Notes what is asked of it, in order; every run takes 1.5 ms."""

    asked: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=lambda: ["begun", "ended"])

    def note(self, what: str) -> None:
        self.asked.append(what)

    def synchronize(self) -> None:
        self.note("synchronize")

    def Event(self, enable_timing: bool) -> FakeEvent:
        assert enable_timing
        return FakeEvent(self, self.names.pop(0))

    def Stream(self) -> FakeStream:
        return FakeStream(self, "aside")

    def current_stream(self) -> FakeStream:
        return FakeStream(self, "current")

    @contextlib.contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self.note(f"on {stream.name}")
        yield
        self.note(f"off {stream.name}")

    def CUDAGraph(self) -> FakeGraph:
        return FakeGraph(self)

    @contextlib.contextmanager
    def graph(self, graph: FakeGraph) -> Iterator[None]:
        self.note("capture")
        yield
        self.note("captured")


@dataclass
class FakeEvent:
    cuda: FakeCuda
    name: str

    def record(self) -> None:
        self.cuda.note(self.name)

    def synchronize(self) -> None:
        self.cuda.note(f"await {self.name}")

    def elapsed_time(self, other: FakeEvent) -> float:
        assert (self.name, other.name) == ("begun", "ended")
        return 1.5


@dataclass
class FakeStream:
    cuda: FakeCuda
    name: str

    def wait_stream(self, other: FakeStream) -> None:
        self.cuda.note(f"{self.name} waits for {other.name}")


@dataclass
class FakeGraph:
    cuda: FakeCuda

    def replay(self) -> None:
        self.cuda.note("replay")


@pytest.fixture
def on_cuda() -> tuple[compofa_agent.Torch, FakeCuda]:
    """The torch runtime as it is with a model on a GPU."""
    cuda = FakeCuda()
    runtime = compofa_agent.Torch.__new__(compofa_agent.Torch)
    runtime.torch, runtime.device = types.SimpleNamespace(cuda=cuda), "cuda"

    def network(x: str) -> str:
        cuda.note(f"run {x}")
        return "output"

    runtime.network = network
    return runtime, cuda


def test_cuda_runs_are_timed_by_events_and_awaited_one_by_one(
    on_cuda: tuple[compofa_agent.Torch, FakeCuda],
) -> None:
    runtime, cuda = on_cuda
    assert runtime.time(lambda: cuda.note("run"), 2) == [1_500_000, 1_500_000]
    assert cuda.asked == ["synchronize", *["begun", "run", "ended", "await ended"] * 2]


def test_a_cuda_graph_is_captured_once_after_a_warm_up_aside(
    on_cuda: tuple[compofa_agent.Torch, FakeCuda],
) -> None:
    runtime, cuda = on_cuda
    call = runtime.captured(lambda: runtime.network("x"))
    assert cuda.asked == [
        "aside waits for current", "on aside", "run x", "run x", "run x", "off aside",
        "current waits for aside", "capture", "run x", "captured",
    ]  # fmt: skip
    del cuda.asked[:]
    assert call() == call() == "output"
    assert cuda.asked == ["replay", "replay"]


NVML = """
#include <stdio.h>
typedef void *device;
int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, device *d) { *d = (device)(long)(i + 1); return 0; }
int nvmlDeviceGetName(device d, char *name, unsigned n) {
    snprintf(name, n, "GPU %ld", (long)d - 1); return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned n) { snprintf(text, n, "555.42"); return 0; }
int nvmlDeviceGetClockInfo(device d, int type, unsigned *mhz) {
    *mhz = type == 1 ? 1980 : 2619; return 0; }
int nvmlDeviceGetTemperature(device d, int sensor, unsigned *c) { *c = 61; return sensor; }
int nvmlDeviceGetCurrentClocksThrottleReasons(device d, unsigned long long *r) {
    *r = 0x1 | 0x4 | 0x40; return 0; }
int nvmlDeviceGetPowerUsage(device d, unsigned *mw) { return 3; }
"""


@pytest.mark.skipif(sys.platform != "linux", reason="NVML's library has another name elsewhere")
def test_the_state_of_the_gpu_comes_from_its_driver(tmp_path: Path) -> None:
    compiled(tmp_path, "libnvidia-ml.so.1", NVML)
    program = (
        "import json, compofa_agent as a; g = a.Gpu(); print(json.dumps([g.facts(), g.state()]))"
    )
    environment = {"LD_LIBRARY_PATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "2,0"}
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=AGENT.parent, env={**os.environ, **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    facts, state = json.loads(said.stdout)
    assert facts == {"name": "GPU 2", "driver": "555.42"}
    assert state == {
        "mhz": 1980, "memory_mhz": 2619, "celsius": 61, "watts": None,
        "throttled": ["power cap", "hardware thermal"],
    }  # fmt: skip


# Core ML, on a stand-in for coremltools


@pytest.fixture
def core_ml(monkeypatch: pytest.MonkeyPatch, make: Make) -> list[str]:
    """coremltools as it is on a Mac: its own reading of packages, predictions by onnxruntime.

    Returns:
        What was asked of it, in order.
    """
    real = pytest.importorskip("coremltools")
    session = onnxruntime.InferenceSession(make("onnxruntime").path)
    asked: list[str] = []

    class MLModel:
        def __init__(self, model: str, compute_units: Any) -> None:
            assert isinstance(compute_units, real.ComputeUnit)
            assert Path(model, "Manifest.json").is_file()
            self.spec = real.models.MLModel(model, skip_model_load=True).get_spec()
            asked.append(f"load {Path(model).suffix} on {compute_units.name}")

        def get_spec(self) -> Any:
            return self.spec

        def predict(self, data: dict[str, Any]) -> dict[str, Any]:
            asked.append("predict")
            return {"logits": session.run(None, data)[0]}

    fake: Any = types.ModuleType("coremltools")
    fake.__version__, fake.ComputeUnit = "9.9", real.ComputeUnit
    fake.models = types.SimpleNamespace(MLModel=MLModel)
    monkeypatch.setitem(sys.modules, "coremltools", fake)
    return asked


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_core_ml_predicts_on_the_units_that_were_chosen(
    make: Make, core_ml: list[str], dtype: Dtype
) -> None:
    model = make_elsewhere(make, dtype)
    before = set(model.path.parent.iterdir())
    agent, loaded = load(model, "coreml", dtype=dtype, compute_units="cpu_and_ne")
    assert loaded["input"] == [2, 3, 32, 32]
    assert loaded["version"] == "9.9"
    assert loaded["settings"] == {"compute_units": "cpu_and_ne"}
    assert model.mismatch(loaded["output"], loaded["output_size"]) is None
    assert len(agent.run({"model": loaded["model"], "runs": 3, "seed": 1})["ns"]) == 3
    assert core_ml == ["load .mlpackage on CPU_AND_NE", *["predict"] * 4]
    agent.unload({"model": loaded["model"]})
    assert set(model.path.parent.iterdir()) == before


def make_elsewhere(make: Make, dtype: Dtype) -> ModelFile:
    """A Core ML model, written by the real coremltools while the stand-in is in place."""
    fake = sys.modules.pop("coremltools")
    try:
        return make("coreml", dtype)
    finally:
        sys.modules["coremltools"] = fake


def test_core_ml_counts_as_installed_on_a_mac_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("coremltools")
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert "coreml" not in installed_runtimes()
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert installed_runtimes()["coreml"]["version"] == metadata.version("coremltools")


# What is there


SIGNAL_AFTER_MODELS = """
import signal, sys
from compofa.profiler.agent.compofa_agent import OpenVino
first, second = (OpenVino(sys.argv[1], {"threads": 1}) for _ in range(2))
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_openvino_leaves_the_process_able_to_handle_signals(make: Make) -> None:
    pytest.importorskip("openvino")
    command = [sys.executable, "-c", SIGNAL_AFTER_MODELS, str(make("openvino").path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "handled\n"), ended.stderr


def test_openvino_refuses_a_precision_that_it_would_replace(make: Make) -> None:
    openvino = pytest.importorskip("openvino")
    if "FP16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU computes float16")
    refused = refusal(make("openvino"), "openvino", dtype="float16")
    assert refused.kind == "setting"
    assert "not in f16" in str(refused)


def test_runtimes_are_found_with_version_and_hash_and_none_is_imported() -> None:
    program = (
        "import json, sys, compofa_agent as a; found = a.installed_runtimes();"
        "names = {p for r in a.RUNTIMES.values() for p in r.packages};"
        "print(json.dumps([found, sorted(names & set(sys.modules))]))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=AGENT.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    found, imported = json.loads(said.stdout)
    assert imported == []
    for runtime in found:
        package = PACKAGES.get(runtime, runtime)
        assert found[runtime]["version"] == metadata.version(package)
        assert len(found[runtime]["sha256"]) == 64
    assert "onnxruntime" in found


def test_the_hash_of_a_runtime_is_that_of_the_build_not_of_the_installation() -> None:
    own = "rt/__init__.py,sha256=aa,10\nrt/lib.so,sha256=bb,20\n"
    here = own + "../../bin/rt,sha256=cc,30\nrt/__pycache__/a.pyc,,\nrt-1.dist-info/RECORD,,\n"
    there = "rt-1.dist-info/INSTALLER,sha256=dd,4\n" + "".join(own.splitlines(True)[::-1])
    assert shipped(here) == shipped(there) == own.strip()
    assert shipped(own.replace("bb", "ff")) != shipped(own)


# Options that the user hands to a runtime.


def test_options_reach_the_session_of_onnxruntime(make: Make) -> None:
    options = {
        "graph_optimization_level": "ORT_DISABLE_ALL",
        "enable_mem_pattern": False,
        "session.intra_op.allow_spinning": False,
    }
    agent, loaded = load(make("onnxruntime"), "onnxruntime", options=options)
    assert loaded["settings"]["options"] == options
    model: Any = agent.models[loaded["model"]]
    given = model.session.get_session_options()
    assert given.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    assert given.enable_mem_pattern is False
    assert given.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_an_option_of_the_interpreter_changes_who_runs_the_model(make: Make) -> None:
    plain = {"experimental_op_resolver_type": "BUILTIN_WITHOUT_DEFAULT_DELEGATES"}
    model = make("tflite")
    _, loaded = load(model, "tflite", options=plain)
    assert loaded["settings"]["partitions"] == 0
    assert loaded["settings"]["options"] == plain
    assert model.mismatch(loaded["output"], loaded["output_size"]) is None


def test_a_property_of_openvino_is_taken(make: Make) -> None:
    pytest.importorskip("openvino")
    agent, loaded = load(make("openvino"), "openvino", options={"ENABLE_HYPER_THREADING": False})
    assert loaded["settings"]["options"] == {"ENABLE_HYPER_THREADING": False}
    model: Any = agent.models[loaded["model"]]
    compiled = model.request.get_compiled_model()
    assert compiled.get_property("ENABLE_HYPER_THREADING") is False


def test_torch_compile_is_given_its_mode_and_its_options(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    told: list[dict[str, Any]] = []

    def compile_(network: Any, **arguments: Any) -> Any:
        told.append(arguments)
        return network

    monkeypatch.setattr(torch, "compile", compile_)
    load(make("torch"), "torch", mode="compiled", options={"mode": "max-autotune"})
    load(make("torch"), "torch", mode="compiled", options={"max_autotune": True})
    assert told == [
        {"fullgraph": True, "mode": "max-autotune"},
        {"fullgraph": True, "options": {"max_autotune": True}},
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"mode": "fastest"}, "fastest"), ({"spin": True}, "spin"),
     ({"mode": "default", "max_autotune": True}, "mode or options")],
)  # fmt: skip
def test_what_torch_compile_does_not_have_is_refused(
    make: Make, options: dict[str, Any], said: str
) -> None:
    pytest.importorskip("torch")
    refused = refusal(make("torch"), "torch", mode="compiled", options=options)
    assert (refused.kind, said in str(refused)) == ("setting", True), str(refused)


def test_options_reach_a_delegate_and_its_refusal_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    told: list[object] = []

    def load_delegate(library: str, options: dict[str, Any] | None = None) -> Any:
        told.append((library, options))
        raise ValueError("no such option")

    monkeypatch.setattr(interpreter, "load_delegate", load_delegate)
    options = {"precision": 1}
    refused = refusal(make("tflite"), "tflite", accelerator="libtpu.so", options=options)
    assert told == [("libtpu.so", options)]
    assert refused.kind == "setting"
    assert "cannot load the delegate libtpu.so with precision: no such option" in str(refused)
