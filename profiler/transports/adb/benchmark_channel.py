"""An agent that runs on this computer and calls TFLite's benchmark_model on the phone.

It answers the requests of the agent protocol as the agents on devices do. A *run* of this runtime
is one invocation of the program, see `benchmark_program`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

from compofa.common.errors import DeviceError
from compofa.common.files import sha256
from compofa.profiler.agent.compofa_agent import CHECKED_OUTPUTS, VERSION, Refused, random_input
from compofa.profiler.transports.adb.android import Android
from compofa.profiler.transports.adb.benchmark_output import Benchmark
from compofa.profiler.transports.adb.benchmark_program import (
    DESCRIPTION,
    ONCE,
    TIMING,
    BenchmarkProgram,
    ProgramSettings,
)
from compofa.profiler.transports.adb.phone_lock import AdbLock
from compofa.profiler.transports.base import Channel

RUNTIME = "benchmark_model"


@dataclass(frozen=True)
class Checked:
    """What is known of a model after its first call; no output where the program prints none."""

    load_ns: int
    shape: tuple[int, ...] = ()
    output: tuple[float, ...] = ()
    output_size: int = 0
    first_ns: int = 0


class BenchmarkModel:
    """The program on one phone, and what is known of the models it ran.

    Args:
        program: on the phone.
        android: the phone, asked about itself.
        files: the models that are on the phone, by name, as files of this computer.
    """

    def __init__(
        self, program: BenchmarkProgram, android: Android, files: Mapping[str, Path]
    ) -> None:
        self.program, self.android = program, android
        self._files = files
        self._checked: dict[tuple[str, ProgramSettings], Checked] = {}

    @property
    def tells_output(self) -> bool:
        """Whether this version can be told its input, and writes what it computed."""
        return {"input_layer_value_files", "output_filepath"} <= self.program.flags

    def check(
        self, model: str, set_up: ProgramSettings, deadline_s: float, *, ours: bool = True
    ) -> Checked:
        """Calls the model once; what that tells is remembered.

        Args:
            model: by its hash.
            set_up: how it is run.
            deadline_s: for the call.
            ours: whether the toolkit made it, so that its one input is known. Of others the program
                draws the inputs itself.

        Raises:
            Refused: it cannot be run as the set-up says.
        """
        key = model, set_up
        if key not in self._checked:
            if model not in self._files:
                raise Refused("missing", f"model {model[:12]} is not on the phone")
            self._checked[key] = self._check(model, set_up, deadline_s, ours)
        return self._checked[key]

    def _check(self, model: str, set_up: ProgramSettings, deadline_s: float, ours: bool) -> Checked:
        shape = float_input(self._files[model]) if ours and self.tells_output else None
        if shape is None:
            benchmark = self.program.benchmark(model, set_up, ONCE, deadline_s)
            return Checked(round(benchmark.init_us * 1e3), first_ns=_first_ns(benchmark))
        batch, channels, height, width = shape
        with self.program.output_file() as name:
            flags = [
                *ONCE,
                "--input_layer=input",
                f"--input_layer_shape={batch},{height},{width},{channels}",
                f"--input_layer_value_files=input:{self._put_input(shape)}",
                f"--output_filepath={name}",
            ]
            benchmark = self.program.benchmark(model, set_up, flags, deadline_s)
            content = self.program.read(name)
        if not content or len(content) % 4:
            raise Refused(
                "model",
                f"benchmark_model wrote an output of {len(content)} bytes, which holds no whole "
                "number of float32 values",
            )
        output = np.frombuffer(content, dtype="<f4")
        sample = output[:: -(-output.size // CHECKED_OUTPUTS)]
        return Checked(
            round(benchmark.init_us * 1e3),
            shape,
            tuple(map(float, sample)),
            output.size,
            _first_ns(benchmark),
        )

    def added_memory(self, model: str, set_up: ProgramSettings, deadline_s: float) -> int:
        """Bytes by which the program grew at the highest, by its own report.

        Raises:
            Refused: it tells nothing of it, or cannot run the model.
        """
        if model not in self._files:
            raise Refused("missing", f"model {model[:12]} is not on the phone")
        added = self.program.benchmark(model, set_up, ONCE, deadline_s).added_mb
        if added is None:
            raise Refused("counter", "this benchmark_model does not tell what memory it takes")
        return round(added * (1 << 20))

    def _put_input(self, shape: tuple[int, ...]) -> str:
        """Puts the input that models are checked with on the phone; its name there."""
        content = random_input(shape, 0).transpose(0, 2, 3, 1).tobytes()
        digest = sha256(content)
        with NamedTemporaryFile(prefix="compofa-") as file:
            file.write(content)
            file.flush()
            self.program.folder.put(Path(file.name), digest)
        return digest


class BenchmarkChannel(Channel):
    """A session with the program: nothing of it stays on the phone between two requests.

    Args:
        model: the program.
        lock: of the phone, claimed when the request says for whom.
    """

    def __init__(self, model: BenchmarkModel, lock: AdbLock) -> None:
        self._model, self._lock = model, lock
        self._request: dict[str, Any] = {}
        self._threads = 1
        self._mask: str | None = None
        self._loaded: dict[int, tuple[str, ProgramSettings]] = {}
        self._handles = 0

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        self._request = json.loads(data)

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """See `Channel.receive_line`; only now is the request carried out."""
        request = self._request
        request["deadline_s"] = min(request["deadline_s"], deadline_s)
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "load": self._load,
            "run": self._run,
            "memory": self._memory,
            "state": self._state,
            "unload": self._unload,
            "quit": self._quit,
        }
        reply: dict[str, Any]
        try:
            self._lock.beat()
            reply = {"ok": answers[request["do"]](request)}
        except Refused as error:
            reply = {"error": {"kind": error.kind, "message": str(error)}}
        line = json.dumps({"id": request["id"], **reply}).encode() + b"\n"
        if len(line) > longest:
            raise DeviceError(f"the phone told more than {longest:,} bytes")
        return line

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`; there is no process that could tell."""
        return ""

    def close(self) -> None:
        """See `Channel.close`."""
        self._lock.close()

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        if request.get("holder"):
            self._lock.claim(str(request["holder"]))
        program, android = self._model.program, self._model.android
        facts = android.facts()
        self._threads = int(request["threads"])
        affinity = choose_cpus(request.get("cpus"), self._threads, facts)
        self._mask = None if affinity is None else f"{sum(1 << cpu for cpu in affinity):x}"
        return {
            "version": VERSION,
            "pid": 0,
            "affinity": affinity,
            "runtimes": {RUNTIME: {"version": program.sha256[:12], "sha256": program.sha256}},
            "facts": {**facts, "run": DESCRIPTION, "output_checked": self._model.tells_output},
            "state": android.state(),
        }

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        set_up, ours = self._set_up(request), "inputs" not in request
        checked = self._model.check(request["model"], set_up, request["deadline_s"], ours=ours)
        self._handles += 1
        self._loaded[self._handles] = request["model"], set_up
        return {
            "model": self._handles,
            "version": self._model.program.sha256[:12],
            "load_ns": checked.load_ns,
            "first_ns": checked.first_ns,
            "input": checked.shape,
            "output_size": checked.output_size,
            "output": checked.output,
        }

    def _set_up(self, request: dict[str, Any]) -> ProgramSettings:
        """How the request wants a model to be run."""
        if request["runtime"] != RUNTIME:
            raise Refused("runtime", f"this is {RUNTIME}, not {request['runtime']}")
        options = request["options"]
        return ProgramSettings(
            self._threads,
            self._mask,
            str(options.get("accelerator", "cpu")),
            str(options.get("dtype", "float32")),
            tuple((name, _flag(value)) for name, value in options.get("options", {}).items()),
        )

    def _memory(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the program says that it grew by, as if it had begun with nothing."""
        added = self._model.added_memory(
            request["model"], self._set_up(request), request["deadline_s"]
        )
        return {"base_kb": 0, "peak_kb": added // 1024}

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        model, set_up = self._model_of(request)
        program = self._model.program
        benchmarks = [
            program.benchmark(model, set_up, TIMING, request["deadline_s"])
            for _ in range(request["runs"])
        ]
        told = [asdict(each.runs) for each in benchmarks]
        return {
            "ns": [round(each.runs.typical * 1e3) for each in benchmarks],
            "state": {**self._model.android.state(), "benchmark_us": told},
        }

    def _state(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"state": self._model.android.state()}

    def _unload(self, request: dict[str, Any]) -> dict[str, Any]:
        self._model_of(request)
        del self._loaded[request["model"]]
        return {}

    def _quit(self, _: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _model_of(self, request: dict[str, Any]) -> tuple[str, ProgramSettings]:
        if request["model"] not in self._loaded:
            raise Refused("request", f"no model {request['model']!r} is loaded")
        return self._loaded[request["model"]]


def _first_ns(benchmark: Benchmark) -> int:
    return 0 if benchmark.first_us is None else round(benchmark.first_us * 1e3)


def _flag(value: object) -> str:
    """As the program takes values: it knows true and false in small letters alone."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def choose_cpus(
    asked: list[int] | None, threads: int, facts: Mapping[str, Any]
) -> list[int] | None:
    """The CPUs to bind to: those asked for, or as many of the fastest as there are threads.

    Raises:
        Refused: the phone does not have them.
    """
    count = facts.get("cpus")
    if not isinstance(count, int):
        return asked
    if asked is not None:
        if missing := [cpu for cpu in asked if cpu >= count]:
            raise Refused("setting", f"CPUs {missing} do not exist here; there are {count}")
        return sorted(asked)
    speeds = facts.get("max_mhz") or []
    if len(speeds) != count:
        speeds = [0.0] * count
    return sorted(sorted(range(count), key=lambda cpu: (speeds[cpu], cpu))[-threads:])


def float_input(model: Path) -> tuple[int, ...] | None:
    """Shape [batch, channels, height, width] of a TFLite model's input.

    None where input or output is not float32, or nothing is installed here that can tell.
    """
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        return None
    graph = schema.Model.GetRootAsModel(model.read_bytes(), 0).Subgraphs(0)
    ends = [graph.Tensors(graph.Inputs(0)), graph.Tensors(graph.Outputs(0))]
    if any(tensor.Type() != schema.TensorType.FLOAT32 for tensor in ends):
        return None
    batch, height, width, channels = map(int, ends[0].ShapeAsNumpy())
    return batch, channels, height, width
