#!/usr/bin/env python3
"""The agent: runs on the device, loads models and times them, told what to do over stdin.

One file, standard library only (plus whichever runtime is asked for), Python 3.8 or newer.

Requests and replies are JSON objects, one a line. Every request has an `id` and says what to `do`;
the reply has the same `id` and either `ok` (an object) or `error` (`kind` and `message`):

    hello   threads, cpus, idle_s     -> version, pid, runtimes, facts, affinity, state
    load    model, runtime, options   -> model (a handle), version, load_ns, input, output
    run     model, runs, seed         -> ns (one number a run), state
    state                             -> state
    unload  model                     -> {}
    quit                              -> {}

It opens no port and writes nothing. Models are files named by the SHA-256 of their content, in the
folder given as its argument. It ends when stdin closes, when nothing is asked for `idle_s`
seconds, or when a request takes longer than its `deadline_s`.
"""

from __future__ import annotations

import contextlib
import gc
import glob
import hashlib
import importlib
import importlib.util
import json
import os
import platform
import re
import signal
import sys
import time
from typing import Any, BinaryIO, Callable, Dict, List, NoReturn, Optional, Sequence, Tuple, Type

VERSION = 1
LONGEST_LINE = 1 << 20
IDLE_S = 300.0
DEADLINE_S = 600.0
CHECKED_OUTPUTS = 256

Reply = Dict[str, Any]


class Refused(Exception):
    """A request that cannot be met; `kind` tells the host whose fault it is."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def random_input(shape: Sequence[int], seed: int) -> Any:
    """Float32 numbers in [-1, 1): the i-th is a hash (murmur3 finaliser) of i and the seed."""
    import numpy as np

    count = 1
    for size in shape:
        count *= size
    x = np.arange(count, dtype=np.uint32)
    x += np.uint32((seed + 1) * 0x9E3779B9 & 0xFFFFFFFF)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - 1).reshape(shape)


class OnnxRuntime:
    """onnxruntime; options: threads, provider."""

    packages = ("onnxruntime",)

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options["threads"]
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        provider = options.get("provider") or "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            known = ", ".join(onnxruntime.get_available_providers())
            raise Refused("runtime", f"onnxruntime here has no {provider}; it has {known}")
        self.session = onnxruntime.InferenceSession(path, settings, providers=[provider])
        if provider not in self.session.get_providers():
            raise Refused("runtime", f"onnxruntime fell back from {provider} without saying so")
        self.version = onnxruntime.__version__
        (entry,) = self.session.get_inputs()
        if not all(isinstance(size, int) for size in entry.shape):
            raise Refused("model", f"input shape {entry.shape} is not fixed")
        self.shape: Tuple[int, ...] = tuple(entry.shape)
        self.name = entry.name

    def prepare(self, data: Any) -> Callable[[], Any]:
        """A call that runs the model once on `data` and returns its output."""
        session, feed = self.session, {self.name: data}
        return lambda: session.run(None, feed)[0]


RUNTIMES: Dict[str, Type[OnnxRuntime]] = {"onnxruntime": OnnxRuntime}


def installed_runtimes() -> Dict[str, Dict[str, Optional[str]]]:
    """Version and hash of each runtime that is installed; none is imported.

    The hash is of the installer's list of the package's files and their hashes: builds of one
    version differ in it.
    """
    from importlib import metadata

    found: Dict[str, Dict[str, Optional[str]]] = {}
    for name, runtime in RUNTIMES.items():
        for package in runtime.packages:
            if importlib.util.find_spec(package) is None:
                continue
            version, record = None, None
            try:
                distribution = metadata.distribution(package)
                version, record = distribution.version, distribution.read_text("RECORD")
            except metadata.PackageNotFoundError:
                pass  # put there by hand
            digest = hashlib.sha256(record.encode()).hexdigest() if record else None
            found[name] = {"version": version or "unknown", "sha256": digest}
            break
    return found


def read_text(path: str) -> Optional[str]:
    """The content of a small file of the kernel's, or None where there is none to be had."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536).strip("\0\n ")
    except OSError:
        return None


def facts() -> Dict[str, Any]:
    """What does not change while the device is up."""
    cpuinfo = read_text("/proc/cpuinfo") or ""
    model = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    release = read_text("/etc/os-release") or ""
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)', release, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", read_text("/proc/meminfo") or "", re.MULTILINE)
    serial = read_text("/etc/machine-id") or read_text("/proc/device-tree/serial-number")
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "os": pretty.group(1) if pretty else platform.platform(),
        "cpu": model.group(1) if model else platform.processor(),
        "board": read_text("/proc/device-tree/model")
        or read_text("/sys/class/dmi/id/product_name"),
        "cpus": os.cpu_count(),
        "memory_kb": int(memory.group(1)) if memory else None,
        "python": platform.python_version(),
        "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "max_mhz": frequencies("cpuinfo_max_freq"),
        # Tells two devices of one model apart without naming either.
        "serial_sha256": hashlib.sha256(serial.encode()).hexdigest()[:16] if serial else None,
    }


def frequencies(name: str) -> List[float]:
    """One cpufreq value per CPU, in MHz; empty where the kernel does not tell."""
    paths = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/" + name)
    found = [read_text(path) for path in sorted(paths, key=lambda p: [int(n) for n in digits(p)])]
    return [int(text) / 1000 for text in found if text and text.isdigit()]


def digits(text: str) -> List[str]:
    """The numbers in `text`."""
    return re.findall(r"\d+", text)


def state() -> Dict[str, Any]:
    """What changes while the device works; a field is left out where the system does not tell."""
    found: Dict[str, Any] = {"monotonic_s": time.monotonic()}
    if hasattr(os, "getloadavg"):
        found["load_1m"] = os.getloadavg()[0]
    pressure = re.search(r"some avg10=([\d.]+)", read_text("/proc/pressure/cpu") or "")
    if pressure:
        found["cpu_pressure_10s"] = float(pressure.group(1))
    ticks = (read_text("/proc/stat") or "").split("\n", 1)[0].split()
    if len(ticks) > 8:
        found["cpu_ticks"] = sum(int(tick) for tick in ticks[1:])
        found["steal_ticks"] = int(ticks[8])
    mhz = frequencies("scaling_cur_freq")
    if mhz:
        found["mhz"] = mhz
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        found["governor"] = governor
    temperatures = {}
    for zone in glob.glob("/sys/class/thermal/thermal_zone[0-9]*"):
        value = read_text(zone + "/temp")
        if value and re.fullmatch(r"-?\d+", value):
            temperatures[read_text(zone + "/type") or zone] = int(value) / 1000
    if temperatures:
        found["celsius"] = temperatures
    return found


def set_affinity(cpus: Optional[Sequence[int]], threads: int) -> Optional[List[int]]:
    """Binds this process to `cpus`, or to the `threads` fastest; returns where it ended up.

    Of CPUs equally fast the last are taken: the first usually serve the interrupts.
    """
    if not hasattr(os, "sched_setaffinity"):
        if cpus is not None:
            raise Refused("setting", f"{platform.system()} cannot bind a process to CPUs")
        return None
    allowed = sorted(os.sched_getaffinity(0))
    if cpus is None:
        speed = dict.fromkeys(allowed, 0)
        for cpu in allowed:
            text = read_text(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq")
            speed[cpu] = int(text) if text and text.isdigit() else 0
        cpus = sorted(allowed, key=lambda cpu: (speed[cpu], cpu))[-threads:]
    missing = sorted(set(cpus) - set(allowed))
    if missing:
        raise Refused(
            "setting", f"CPUs {missing} do not exist here or are not allowed; {allowed} are"
        )
    os.sched_setaffinity(0, cpus)
    return sorted(os.sched_getaffinity(0))


class Agent:
    """Answers requests; holds the models that are loaded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.idle_s = IDLE_S
        self.threads = 1
        self.models: Dict[int, OnnxRuntime] = {}
        self.calls: Dict[Tuple[int, int], Callable[[], Any]] = {}
        self.handles = 0

    def hello(self, request: Dict[str, Any]) -> Reply:
        """Sets threads and affinity; says what this device is and has."""
        self.idle_s = float(request.get("idle_s", IDLE_S))
        self.threads = int(request.get("threads", 1))
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "affinity": set_affinity(request.get("cpus"), self.threads),
            "runtimes": installed_runtimes(),
            "facts": facts(),
            "state": state(),
        }

    def load(self, request: Dict[str, Any]) -> Reply:
        """Loads a model and runs it once, so that the host can check what it computes."""
        name = request["runtime"]
        if name not in RUNTIMES:
            raise Refused("runtime", f"this agent does not know the runtime {name!r}")
        path = self.model_path(request["model"])
        options = dict(request.get("options", {}), threads=self.threads)
        begun = time.perf_counter_ns()
        try:
            model = RUNTIMES[name](path, options)
        except ImportError as error:
            raise Refused("runtime", f"cannot import {name}: {error}") from None
        except Refused:
            raise
        except Exception as error:  # whatever a runtime throws is about this model
            raise Refused("model", f"{name} cannot load the model: {error}") from None
        taken = time.perf_counter_ns() - begun
        self.handles += 1
        self.models[self.handles] = model
        call = self.call(self.handles, 0)
        try:
            output = call().reshape(-1)
        except Exception as error:
            raise Refused("model", f"{name} cannot run the model: {error}") from None
        step = -(-output.size // CHECKED_OUTPUTS)
        return {
            "model": self.handles,
            "version": model.version,
            "load_ns": taken,
            "input": list(model.shape),
            "output_size": int(output.size),
            "output": [float(value) for value in output[::step]],
        }

    def run(self, request: Dict[str, Any]) -> Reply:
        """Runs a model a number of times, each timed by itself."""
        runs = int(request["runs"])
        if not 1 <= runs <= 100_000:
            raise Refused("request", f"{runs} runs are not between 1 and 100000")
        call = self.call(request["model"], int(request.get("seed", 0)))
        clock = time.perf_counter_ns
        ns = [0] * runs
        for i in range(runs):
            begun = clock()
            call()
            ns[i] = clock() - begun
        return {"ns": ns, "state": state()}

    def state(self, _: Dict[str, Any]) -> Reply:
        """The device's state now."""
        return {"state": state()}

    def unload(self, request: Dict[str, Any]) -> Reply:
        """Lets go of a model."""
        handle = request["model"]
        if self.models.pop(handle, None) is None:
            raise Refused("request", f"no model {handle!r} is loaded")
        self.calls = {key: call for key, call in self.calls.items() if key[0] != handle}
        gc.collect()
        return {}

    def quit(self, _: Dict[str, Any]) -> Reply:
        """The last request."""
        return {}

    def call(self, handle: Any, seed: int) -> Callable[[], Any]:
        """One run of a loaded model on the input that `seed` makes."""
        model = self.models.get(handle)
        if model is None:
            raise Refused("request", f"no model {handle!r} is loaded")
        if (handle, seed) not in self.calls:
            self.calls[handle, seed] = model.prepare(random_input(model.shape, seed))
        return self.calls[handle, seed]

    def model_path(self, digest: Any) -> str:
        """The file of that name, if its content is what its name says."""
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise Refused("request", "a model is named by the SHA-256 of its content")
        path = os.path.join(self.folder, digest)
        seen = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                for part in iter(lambda: file.read(1 << 20), b""):
                    seen.update(part)
        except OSError as error:
            raise Refused("missing", f"model {digest[:12]} is not here: {error}") from None
        if seen.hexdigest() != digest:
            raise Refused(
                "missing", f"model {digest[:12]} is damaged: its content has another hash"
            )
        return path

    def answer(self, line: bytes) -> Tuple[Reply, bool]:
        """The reply to one line, and whether to go on."""
        request: Any = None
        try:
            try:
                request = json.loads(line)
            except ValueError:
                raise Refused("request", "not a line of JSON") from None
            if not isinstance(request, dict) or "id" not in request:
                raise Refused("request", "a request is an object with an id")
            what = request.get("do")
            if what not in ("hello", "load", "run", "state", "unload", "quit"):
                raise Refused("request", f"unknown request {what!r}")
            alarm(float(request.get("deadline_s", DEADLINE_S)))
            ok = getattr(self, what)(request)
            return {"id": request["id"], "ok": ok}, what != "quit"
        except Refused as error:
            kind, message = error.kind, str(error)
        except (KeyError, TypeError, ValueError) as error:
            kind, message = "request", f"malformed request: {error!r}"
        except MemoryError:
            kind, message = "memory", "out of memory"
        known = request.get("id") if isinstance(request, dict) else None
        return {"id": known, "error": {"kind": kind, "message": message}}, True


def alarm(seconds: float) -> None:
    """Lets the system end this process in `seconds`, even if a runtime hangs by then.

    A timer of the kernel's costs nothing while runs are timed; a watching thread would.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def serve(agent: Agent, source: BinaryIO, sink: BinaryIO) -> None:
    """Answers lines from `source` on `sink` until there are no more."""
    going = True
    while going:
        alarm(agent.idle_s)
        line = source.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            if len(line) >= LONGEST_LINE:
                error = {"kind": "request", "message": f"a line over {LONGEST_LINE} bytes"}
                sink.write(json.dumps({"id": None, "error": error}).encode() + b"\n")
                sink.flush()
            return
        reply, going = agent.answer(line)
        sink.write(json.dumps(reply).encode() + b"\n")
        sink.flush()


def main() -> NoReturn:
    """Runs the agent on stdin and stdout; the argument is the folder of the models."""
    if len(sys.argv) != 2:
        sys.exit("usage: compofa_agent.py FOLDER")
    sink = os.fdopen(os.dup(1), "wb")
    # Runtimes print what they like to stdout; it must not end up between replies.
    os.dup2(2, 1)
    gc.disable()
    with contextlib.suppress(BrokenPipeError):
        serve(Agent(sys.argv[1]), sys.stdin.buffer, sink)
    # A runtime's own threads must not keep a finished agent alive.
    os._exit(0)


if __name__ == "__main__":
    main()
