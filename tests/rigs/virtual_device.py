"""A device whose true latencies are known: real commands, real files, a clock that is made up.

The commands run in this process. Where they would start an agent they get one that answers the
agent's protocol from a model of the device: a run takes its truth times noise times whatever
disturbs, and time passes for the command by exactly as much. A profile takes a second.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt

from compofa.common.files import sha256
from compofa.profiler.agent import compofa_agent
from compofa.profiler.measurement.handshake import REFERENCE
from compofa.profiler.models.model_store import ModelFile, ModelStore
from compofa.profiler.results.table import Cell
from compofa.profiler.statistics.runs.location import QUIET
from compofa.profiler.transports.base import AgentLost, Channel
from compofa.profiler.transports.local import LocalTransport
from rigs.commands import Ended

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

OVERHEAD_NS = 150.0
"""Between the end of a timed run and the start of the next."""

START_S, LOAD_S, REQUEST_S = 0.12, 0.03, 0.0005


@dataclass(frozen=True)
class Noise:
    """Standard deviations on the log scale.

    Attributes:
        session: of what all cells of a session share.
        load: of what a session does to one model.
        run: of single runs.
        tail: one-sided, long-tailed runs instead, 5 % of them preempted (`heavy_runs`).
        rare: share of runs that take ten times as long.
    """

    session: float = 0.01
    load: float = 0.003
    run: float = 0.004
    tail: bool = False
    rare: float = 0.0

    def runs(self, rng: np.random.Generator, count: int) -> Floats:
        """Log factors of `count` runs."""
        if self.tail:
            logs = 0.01 * np.abs(rng.standard_t(3, count))
            logs = logs + (rng.random(count) < 0.05) * rng.uniform(0.1, 1.0, count)
        else:
            logs = self.run * rng.standard_normal(count)
        if self.rare:
            logs = logs + math.log(10) * (rng.random(count) < self.rare)
        return np.asarray(logs)


@cache
def shape_of_runs(noise: Noise) -> dict[str, float]:
    """Factors from a cell's base latency to each figure of endless runs: quiet, p50, p90, mean."""
    runs = np.sort(np.exp(noise.runs(np.random.default_rng(0), 1_000_000)))
    low, high = round(QUIET.low * runs.size), round(QUIET.high * runs.size)
    return {
        "quiet": float(runs[low:high].mean()),
        "p50": float(np.quantile(runs, 0.5)),
        "p90": float(np.quantile(runs, 0.9)),
        "mean": float(runs.mean()),
    }


@dataclass(frozen=True)
class Moment:
    """Runs that are about to happen.

    Attributes:
        process: number of the agent's process, from 1 on.
        reference: whether it is the reference model that runs.
        model_runs, process_runs: how many runs of this load of the model, and of this process, came
            before each run, shape (runs,).
        seconds: on the device's clock, when each run starts, if nothing disturbs, shape (runs,).
        rng: of this process.
    """

    process: int
    cell: Cell
    reference: bool
    model_runs: Counts
    process_runs: Counts
    seconds: Floats
    rng: np.random.Generator


Disturbance = Callable[[Moment], Floats | float]
"""Factors of the runs' latencies, each near 1."""

Jump = Callable[[Moment], Floats]
"""Seconds by which the clock jumps within each run."""


@dataclass
class VirtualDevice:
    """A device that exists on paper.

    Attributes:
        truth: milliseconds of a cell's runs where there is neither noise nor disturbance.
        tick_ns: of its clock.
        jump: of its clock, apart from what runs take.
        factors: what makes the model files of a version slower; version 0 is untouched.
        version: of the files that the host builds, by cell.
        now_s: the time, for the device and for the command alike.
    """

    truth: Callable[[Cell], float]
    noise: Noise = field(default_factory=Noise)
    disturbances: Sequence[Disturbance] = ()
    tick_ns: float = 1.0
    jump: Jump | None = None
    seed: int = 0
    factors: Sequence[float] = (1.0,)
    version: Callable[[Cell], int] = lambda cell: 0
    now_s: float = 1000.0
    processes: int = 0
    timed_s: float = 0.0

    def figure(self, cell: Cell, name: str = "quiet") -> float:
        """Milliseconds of `cell` in endless undisturbed runs: quiet, p50, p90 or mean."""
        return self.truth(cell) * shape_of_runs(self.noise)[name]

    @contextlib.contextmanager
    def plugged_in(self) -> Iterator[VirtualDevice]:
        """This computer is this device for as long as the context lasts."""

        def start(transport: LocalTransport) -> Channel:
            return _VirtualAgent(self, transport._scratch.path)

        def model(store: ModelStore, cell: Cell) -> ModelFile:
            version = self.version(cell)
            content = json.dumps(
                [cell.space, cell.subnet, cell.resolution, cell.batch_size, version]
            )
            path = store._keep(content.encode())
            return ModelFile(path, path.name, None, 0)

        def clock() -> float:
            return self.now_s

        def sleep(seconds: float) -> None:
            self.now_s += seconds

        with (
            mock.patch.object(LocalTransport, "start_agent", start),
            mock.patch.object(ModelStore, "model", model),
            mock.patch.object(time, "monotonic", clock),
            mock.patch.object(time, "sleep", sleep),
        ):
            yield self


class _VirtualAgent(Channel):
    """A process on the device: answers the agent's protocol."""

    def __init__(self, device: VirtualDevice, folder: Path) -> None:
        self._device, self._folder = device, folder
        device.processes += 1
        device.now_s += START_S
        self._number = device.processes
        self._rng = np.random.default_rng((device.seed, self._number))
        self._effect = device.noise.session * self._rng.standard_normal()
        self._models: dict[int, _LoadedModel] = {}
        self._handles = itertools.count(1)
        self._runs = 0
        self._reply = b""

    def send(self, data: bytes) -> None:
        """See `Channel.send`."""
        request = json.loads(data)
        self._device.now_s += REQUEST_S
        ok = getattr(self, "_" + request["do"])(request)
        self._reply = json.dumps({"id": request["id"], "ok": ok}).encode() + b"\n"

    def receive_line(self, deadline_s: float, longest: int) -> bytes:
        """See `Channel.receive_line`."""
        if not self._reply:
            raise AgentLost("the agent ended")
        return self._reply

    def diagnosis(self) -> str:
        """See `Channel.diagnosis`."""
        return ""

    def close(self) -> None:
        """See `Channel.close`."""

    def _hello(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "version": compofa_agent.VERSION,
            "pid": self._number,
            "affinity": None,
            "runtimes": {"onnxruntime": {"version": "virtual", "sha256": "ab" * 32}},
            "facts": {"system": "Paper", "cpu": "Paper", "cpus": 1, "python": "3"},
            "state": {},
        }

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        content = (self._folder / request["model"]).read_bytes()
        assert sha256(content) == request["model"]
        space, subnet, resolution, batch_size, version = json.loads(content)
        cell = Cell(space, subnet, resolution, batch_size)
        effect = self._device.noise.load * self._rng.standard_normal()
        base = self._device.truth(cell) * self._device.factors[version] * math.exp(effect)
        handle = next(self._handles)
        self._models[handle] = _LoadedModel(cell, 1e6 * base)
        self._device.now_s += LOAD_S
        return {
            "model": handle, "version": "virtual", "load_ns": int(1e9 * LOAD_S),
            "input": [batch_size, 3, resolution, resolution], "output_size": 0, "output": [],
            "settings": {},
        }  # fmt: skip

    def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        batch = request.get("batch", 1)
        ns = self._time(self._models[request["model"]], request["runs"], batch)
        reply = {"ns": ns, "state": {}}
        return reply | ({"batch": batch} if "batch" in request else {})

    def _turns(self, request: dict[str, Any]) -> dict[str, Any]:
        models = [self._models[handle] for handle in request["models"]]
        rng = np.random.default_rng(request["order"])
        ns: list[list[int]] = [[] for _ in models]
        for _ in range(request["turns"]):
            for i in rng.permutation(len(models)).tolist():
                ns[i] += self._time(models[i], 1, 1)
        return {"ns": ns, "state": {}}

    def _time(self, model: _LoadedModel, count: int, batch: int) -> list[int]:
        """What the device's clock shows of `count` times `batch` runs."""
        device, total = self._device, count * batch
        earlier = np.arange(total)
        moment = Moment(
            process=self._number,
            cell=model.cell,
            reference=model.cell == REFERENCE,
            model_runs=model.runs + earlier,
            process_runs=self._runs + earlier,
            seconds=device.now_s + earlier * np.float64(model.base_ns * 1e-9),
            rng=self._rng,
        )
        logs = self._effect + device.noise.runs(self._rng, total)
        lasting = model.base_ns * np.exp(logs)
        for disturbance in device.disturbances:
            lasting = lasting * disturbance(moment)
        model.runs += total
        self._runs += total
        elapsed = np.zeros(total) if device.jump is None else 1e9 * device.jump(moment)
        ends = np.cumsum(lasting + OVERHEAD_NS + elapsed)
        begins = ends - lasting - elapsed
        phase = self._rng.uniform(0, device.tick_ns)
        tick = device.tick_ns
        stamps = [
            tick * np.floor((phase + each) / tick)
            for each in (begins[::batch], ends[batch - 1 :: batch])
        ]
        device.now_s += float((lasting + OVERHEAD_NS).sum()) * 1e-9
        device.timed_s += float(lasting.sum()) * 1e-9
        return [int(ns) for ns in stamps[1] - stamps[0]]

    def _state(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"state": {}}

    def _unload(self, request: dict[str, Any]) -> dict[str, Any]:
        del self._models[request["model"]]
        return {}

    def _quit(self, request: dict[str, Any]) -> dict[str, Any]:
        return {}


@dataclass
class _LoadedModel:
    """A model in the memory of the device."""

    cell: Cell
    base_ns: float
    runs: int = 0


def run_command_on(device: VirtualDevice, main: Callable[[], None], *arguments: object) -> Ended:
    """Runs a command's `main` with arguments in this process, with `device` for this computer."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    argv = ["command", *map(str, arguments)]
    with (
        device.plugged_in(),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())
