#!/usr/bin/env python3
"""The agent: runs on the device, loads models and times them, told what to do over stdin.

One file, standard library only (plus whichever runtime is asked for), Python 3.8 or newer.

Requests and replies are JSON objects, one a line. Every request has an `id` and says what to `do`;
the reply has the same `id` and either `ok` (an object) or `error` (`kind` and `message`):

    hello   threads, cpus, idle_s, holder, classes
                                          -> version, pid, runtimes, facts, affinity, state
    load    model, runtime, options,      -> model (a handle), version, load_ns, first_ns, input,
            padding                          output, settings
    run     model, runs, seed             -> ns (one number a run), state
    turns   models, turns, seed, order    -> ns (a list for each model, one number a turn), state
    memory  model, runtime, options, runs -> base_kb, peak_kb
    trace   model, runtime, options, runs -> ns, operators (pairs of a name and a kind, and ns)
    state                                 -> state
    unload  model                         -> {}
    quit                                  -> {}

It opens no port and writes only under the folder given as its argument, which holds the models:
files named by the SHA-256 of their content. It ends when stdin closes, when nothing is asked for
`idle_s` seconds, or when a request takes longer than its `deadline_s`.

With a `holder` in hello it locks the file `lock` of its folder for as long as it lives, so that no
two profilers measure on one device at once: the second is told who holds it (kind `busy`). The
lock is the kernel's, so that of a dead agent is gone.

`memory` tells what the kernel counts of this process: resident before the model was loaded, and at
the highest while it was loaded and run. For that the process has to be a fresh one.

In a turn every one of several models runs once; in which order is drawn anew for each turn, `order`
being the seed. What disturbs the device then disturbs all of them alike. `padding` is how many
bytes are taken before a model is loaded, and kept, so that it does not lie at the same place in
every process.

A model that the toolkit made takes one input, float32 [batch, channels, height, width], whatever
the runtime, and gives one output; `options` of load are `accelerator`, `dtype`, and what the
runtime's class names.

Of any other model, load (and memory) also say which files it consists of and what it is run on:

    files   name -> hash, the one that the runtime opens first; `model` is that one's hash
    inputs  data (a file's hash), tensors (name, dtype and shape of each)

The data are the tensors one after another, little-endian, each begun at a multiple of 64 bytes. The
reply then has `outputs`, in the model's order: of each its `size`, a sample of its `values`, how
many of all are `broken` (no finite number), and whether they are `exact` (whole numbers).

`classes` brings runtimes that this file does not have: their names, each with the source of a
Python module that defines `RUNTIME`, a subclass of this file's `Runtime`. Such a module imports
what it needs of this file from `compofa_agent`. Whoever writes to an agent's stdin has started it,
and could as well have started anything else: running what comes from there gives nothing away.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import glob
import hashlib
import importlib
import importlib.util
import inspect
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import time
import types
import zipfile
from abc import ABC, abstractmethod
from typing import (
    Any,
    BinaryIO,
    Callable,
    Dict,
    Iterator,
    List,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Type,
)

VERSION = 1
LONGEST_LINE = 1 << 20
IDLE_S = 300.0
DEADLINE_S = 600.0
LONGEST_S = 1e9
CHECKED_OUTPUTS = 256
INPUT_PART = 1 << 14
LARGEST_TRACE = 256 << 20
MOST_OPERATORS = 5000
ALIGNMENT = 64
MOST_TENSORS = 256
FEWEST_CHECKED = 16
MOST_FILES = 1000
LONGEST_HOLDER = 300
MOST_RUNS = 100_000
MOST_MODELS = 64
MOST_PADDING = 1 << 20
LAID_OUT = ".laid"

Reply = Dict[str, Any]


class Refused(Exception):
    """A request that cannot be met; `kind` tells the host whose fault it is."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def random_input(shape: Sequence[int], seed: int) -> Any:
    """Float32 numbers in [-1, 1): the i-th is a hash (murmur3 finaliser) of i and the seed.

    Every agent computes the same ones, in whatever language, so that outputs can be compared.
    """
    import numpy as np

    count = 1
    for size in shape:
        count *= size
    numbers = np.empty(count, dtype=np.float32)
    # Part by part: what is held besides would count as memory that the model takes.
    for start in range(0, count, INPUT_PART):
        x = np.arange(start, min(start + INPUT_PART, count), dtype=np.uint32)
        x += np.uint32((seed + 1) * 0x9E3779B9 & 0xFFFFFFFF)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
        part = (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 23) - 1
        numbers[start : start + INPUT_PART] = part
    return numbers.reshape(shape)


class Tensor:
    """One input of a model as a request describes it, and its numbers.

    Attributes:
        dtype: as NumPy calls it, and bfloat16, whose numbers are held as uint16.
    """

    def __init__(self, told: Dict[str, Any]) -> None:
        self.name, self.dtype = str(told["name"]), str(told["dtype"])
        self.shape = tuple(int(size) for size in told["shape"])
        self.array: Any = None

    def take(self, content: Any, at: int) -> int:
        """Takes its numbers from `content`, where they begin at `at`; returns where they end."""
        import numpy as np

        known = re.fullmatch(r"u?int(8|16|32|64)|float(16|32|64)|bfloat16|bool", self.dtype)
        if known is None or any(size < 1 for size in self.shape):
            raise Refused("request", f"the input {self.name} is no tensor of numbers")
        kind = np.dtype("uint16" if self.dtype == "bfloat16" else self.dtype)
        count = 1
        for size in self.shape:
            count *= size
        end = at + count * kind.itemsize
        if end > len(content):
            raise Refused("request", f"the data of the input {self.name} is too short")
        # A copy of its own, so that each lies in memory as runtimes like it.
        self.array = content[at:end].view(kind).reshape(self.shape).copy()
        return end


def read_tensors(path: str, told: Any) -> List[Tensor]:
    """The inputs of a model, of which the file at `path` holds the numbers."""
    import numpy as np

    if not isinstance(told, list) or len(told) > MOST_TENSORS:
        raise Refused("request", f"tensors are no list of at most {MOST_TENSORS}")
    content = np.fromfile(path, dtype=np.uint8)
    tensors, at = [Tensor(each) for each in told], 0
    for tensor in tensors:
        at = -(-tensor.take(content, at) // ALIGNMENT) * ALIGNMENT
    return tensors


def summary(output: Any, most: int) -> Dict[str, Any]:
    """What the host is told of one output: how large it is, and some of its numbers."""
    import numpy as np

    array = np.asarray(output)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise Refused("model", f"an output is of type {array.dtype}, which holds no numbers")
    values = array.reshape(-1)
    sample = values[:: max(1, -(-values.size // most))].astype(np.float64)
    exact = array.dtype.kind in "iub"
    broken = 0 if exact else int(values.size - np.isfinite(values.astype(np.float32)).sum())
    told = [float(value) if np.isfinite(value) else None for value in sample]
    return {"size": int(values.size), "values": told, "broken": broken, "exact": exact}


Operator = Tuple[str, str, float]
"""The name of an operator, as the runtime has it, its kind, and the nanoseconds that it took."""

Trace = Tuple[List[int], List[Operator]]


class Runtime(ABC):
    """One loaded model of some runtime; made from a file and the options of the request.

    What is not the toolkit's own model has `tensors` in its options, a list of `Tensor`: the inputs
    that it will be given. Their shapes say how large the dimensions are that the model leaves open.

    Attributes:
        packages: Python packages any of which brings the runtime; the first one found is used.
        distributions: the names that an installer may know the package by; the package's own name
            if left out.
        system: the only operating system that it runs on; None if it runs on several.
        version: of the runtime.
        shape: of the model's input: batch, channels, height, width.
        settings: what was chosen or detected while loading, for the record.
        loaded_at: when the model was loaded, by `time.perf_counter_ns`, where more is found out
            afterwards; None where making this object is loading it.
    """

    packages: Tuple[str, ...] = ()
    distributions: Tuple[str, ...] = ()
    system: Optional[str] = None
    version: str
    shape: Tuple[int, ...]
    settings: Dict[str, Any]
    loaded_at: Optional[int] = None

    @classmethod
    def begin(cls) -> None:
        """Imports what every model of this runtime needs, so that none of them is charged for it.

        Raises:
            ImportError: it is not installed.
        """
        importlib.import_module("numpy")
        package = next((name for name in cls.packages if importlib.util.find_spec(name)), None)
        if package is None:
            raise ImportError(f"none of {', '.join(cls.packages)} is installed")
        importlib.import_module(package)

    @abstractmethod
    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        """Loads the file at `path`; raises Refused where an option cannot be met."""

    def trace(
        self,
        call: Callable[[], Any],  # noqa: ARG002  (both are for the runtimes that can)
        runs: int,  # noqa: ARG002
    ) -> Trace:
        """Nanoseconds of each of `runs` calls, and what operators took in them.

        By the runtime's own tracing; the model was loaded with the option
        `trace`, the folder where the runtime may write. Operators come
        in the order in which they ran, each with its median over the runs.
        """
        raise Refused("counter", f"{type(self).__name__} does not tell what its operators take")

    @abstractmethod
    def prepare(self, data: Any) -> Callable[[], Any]:
        """Makes `data` the input of what follows; returns a call that runs the model once."""

    def array(self, output: Any) -> Any:
        """What such a call returned, as a float32 array."""
        return output

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """As `prepare`, of any inputs: those that the model was loaded for."""
        message = f"{type(self).__name__} runs none but the toolkit's own models"
        raise Refused("runtime", f"{message}, not one of {len(tensors)} inputs of any kind")

    def outputs(self, output: Any) -> List[Any]:
        """What a call of `feed` returned: all outputs as arrays, in the model's order."""
        return [self.array(output)]

    def time(self, call: Callable[[], Any], runs: int) -> List[int]:
        """Nanoseconds of each of `runs` calls."""
        clock = time.perf_counter_ns
        ns = [0] * runs
        for i in range(runs):
            begun = clock()
            call()
            ns[i] = clock() - begun
        return ns


CPU_PROVIDER = "CPUExecutionProvider"
ONNX_BFLOAT16 = 16


class OnnxRuntime(Runtime):
    """onnxruntime; options: threads, providers, options.

    Providers are pairs of an execution provider's name and its options, in order of preference; the
    first of them must take part of the model. Without any, the CPU runs it. Options are the user's:
    attributes of SessionOptions, configuration entries of a session (their names have dots), and
    all others the first provider's.
    """

    packages = ("onnxruntime",)
    distributions = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-qnn")

    @classmethod
    def begin(cls) -> None:
        """See `Runtime.begin`."""
        # From 1.29 on it reports what it runs to its maker, from its own threads and files.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        super().begin()

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        self.begin()
        import onnxruntime

        accelerator = options.get("accelerator", "cpu")
        if accelerator != "cpu" and not options.get("providers"):
            raise Refused("setting", f"no execution provider is named for {accelerator!r}")
        providers = dict(options.get("providers") or [(CPU_PROVIDER, {})])
        provider = next(iter(providers))
        if provider not in onnxruntime.get_available_providers():
            known = ", ".join(onnxruntime.get_available_providers())
            raise Refused("runtime", f"onnxruntime here has no {provider}; it has {known}")
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options["threads"]
        settings.inter_op_num_threads = 1
        # Errors only: warnings about single nodes would drown what the agent has to say.
        settings.log_severity_level = 3
        if options.get("trace"):
            settings.enable_profiling = True
            name = "trace-%d" % os.getpid()
            settings.profile_file_prefix = os.path.join(options["trace"], name)
        given = dict(options.get("options", {}))
        others = self.take_options(settings, given)
        providers[provider] = dict(providers[provider], **others)
        can_tell = hasattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info")
        if can_tell:
            settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        elif provider != CPU_PROVIDER:
            # An onnxruntime that cannot tell which provider ran what must not fall back silently.
            settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        self.session = onnxruntime.InferenceSession(path, settings, list(providers.items()))
        self.loaded_at = time.perf_counter_ns()
        if provider not in self.session.get_providers():
            raise Refused("runtime", f"onnxruntime fell back from {provider} without saying so")
        self.settings = {"providers": list(providers)}
        if given:
            self.settings["options"] = given
            self.check_provider_options(provider, others)
        if can_tell:
            self.settings["nodes"] = self.placement(provider)
        # TensorRT works on CUDA's memory.
        self.device = "cuda" if "CUDAExecutionProvider" in providers else "cpu"
        self.runtime = onnxruntime
        self.version = onnxruntime.__version__
        if "tensors" in options:
            return
        (entry,) = self.session.get_inputs()
        if not all(isinstance(size, int) for size in entry.shape):
            raise Refused("model", f"input shape {entry.shape} is not fixed")
        self.shape = tuple(entry.shape)
        self.name = entry.name

    @staticmethod
    def take_options(settings: Any, given: Dict[str, Any]) -> Dict[str, str]:
        """Gives a session the options that are its own; returns those that are a provider's."""
        import onnxruntime

        enums = {
            "graph_optimization_level": onnxruntime.GraphOptimizationLevel,
            "execution_mode": onnxruntime.ExecutionMode,
            "execution_order": getattr(onnxruntime, "ExecutionOrder", None),
        }
        others = {}
        for name, value in given.items():
            text = str(int(value)) if isinstance(value, bool) else str(value)
            if isinstance(getattr(type(settings), name, None), property):
                kind = enums.get(name)
                member = getattr(kind, str(value), None) if isinstance(value, str) else None
                try:
                    setattr(settings, name, value if member is None else member)
                except (AttributeError, TypeError, ValueError):
                    known = [each for each in dir(kind) if each.startswith("ORT_")]
                    hint = "; it can be " + ", ".join(known) if kind and known else ""
                    message = f"onnxruntime's {name} cannot be {value!r}{hint}"
                    raise Refused("setting", message) from None
            elif "." in name:
                # onnxruntime passes over entries that it does not know, and says nothing. The names
                # of those that it looks up are in its library.
                if not in_library("onnxruntime", name):
                    raise Refused("setting", f"this onnxruntime knows no session option {name!r}")
                settings.add_session_config_entry(name, text)
            else:
                others[name] = text
        return others

    def check_provider_options(self, provider: str, given: Dict[str, str]) -> None:
        """Refuses options that the provider does not have, as far as it tells those it has."""
        told = self.session.get_provider_options().get(provider, {})
        unknown = sorted(set(given) - set(told))
        if unknown and (told or provider == CPU_PROVIDER):
            known = ", ".join(sorted(told)) or "none of its own"
            message = f"{provider} has no option {unknown[0]!r}; it has {known}"
            raise Refused("setting", message)

    def placement(self, provider: str) -> Dict[str, int]:
        """Nodes on each execution provider; refuses a model of which `provider` runs nothing."""
        nodes: Dict[str, int] = {}
        for part in self.session.get_provider_graph_assignment_info():
            nodes[part.ep_name] = nodes.get(part.ep_name, 0) + len(part.get_nodes())
        if provider not in nodes:
            message = f"{provider} runs no part of the model: all of it fell back to others"
            raise Refused("model", message)
        return nodes

    def prepare(self, data: Any) -> Callable[[], Any]:
        """See `Runtime.prepare`; input and output stay where the model runs."""
        session, binding = self.session, self.session.io_binding()
        entry = self.runtime.OrtValue.ortvalue_from_numpy(data, self.device, 0)
        binding.bind_ortvalue_input(self.name, entry)
        binding.bind_output(session.get_outputs()[0].name, self.device)

        def call() -> Any:
            session.run_with_iobinding(binding)
            return binding

        return call

    def trace(self, call: Callable[[], Any], runs: int) -> Trace:
        """See `Runtime.trace`."""
        ns = self.time(call, runs)
        path = self.session.end_profiling()
        try:
            with open(path, "rb") as file:
                text = file.read(LARGEST_TRACE + 1)
        finally:
            os.remove(path)
        return ns, onnxruntime_operators(text, runs)

    def array(self, output: Any) -> Any:
        """See `Runtime.array`."""
        return output.copy_outputs_to_cpu()[0]

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """See `Runtime.feed`; inputs and outputs stay where the model runs."""
        session, binding = self.session, self.session.io_binding()
        make = self.runtime.OrtValue
        # The binding itself does not keep what is bound to it.
        self.bound = []
        for tensor in tensors:
            if tensor.dtype == "bfloat16":
                if not hasattr(make, "ortvalue_from_numpy_with_onnx_type"):
                    raise Refused("runtime", "this onnxruntime cannot be given bfloat16")
                value = make.ortvalue_from_numpy_with_onnx_type(tensor.array, ONNX_BFLOAT16)
            else:
                value = make.ortvalue_from_numpy(tensor.array, self.device, 0)
            self.bound.append(value)
            binding.bind_ortvalue_input(tensor.name, value)
        for output in session.get_outputs():
            binding.bind_output(output.name, self.device)

        def call() -> Any:
            session.run_with_iobinding(binding)
            return binding

        return call

    def outputs(self, output: Any) -> List[Any]:
        """See `Runtime.outputs`."""
        arrays: List[Any] = output.copy_outputs_to_cpu()
        return arrays


def onnxruntime_operators(text: bytes, runs: int) -> List[Operator]:
    """The operators of the last `runs` runs in a profile that onnxruntime wrote.

    A profile is a list of events. Those of the category Node whose names end in _kernel_time are
    the operators, with microseconds in `dur`; each run has every one of them once.
    """
    try:
        events = json.loads(text)
        nodes = [e for e in events if e.get("cat") == "Node" and "_kernel_time" in e["name"]]
        nodes.sort(key=lambda each: each["ts"])
        kinds: Dict[str, str] = {}
        taken: Dict[str, List[float]] = {}
        for each in nodes:
            # Two operators may share a name, but none its place among the nodes.
            key = "%s#%s" % (each["name"], each["args"].get("node_index"))
            kinds[key] = str(each["args"]["op_name"])
            taken.setdefault(key, []).append(1e3 * float(each["dur"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused("trace", "onnxruntime's profile is incomplete or damaged") from None
    if not taken or len(text) > LARGEST_TRACE:
        raise Refused("trace", "onnxruntime's profile tells of no operators, or is too large")
    short = [key for key, each in taken.items() if len(each) < runs]
    if short:
        name = short[0].split("_kernel_time")[0]
        raise Refused("trace", f"onnxruntime's profile lacks runs of the operator {name}")
    return [
        (key.split("_kernel_time")[0], kinds[key], statistics.median(each[-runs:]))
        for key, each in taken.items()
    ]


class TfLite(Runtime):
    """TensorFlow Lite, also known as LiteRT; options: threads, accelerator, options.

    On a CPU, its default delegate XNNPACK runs what it can. Other accelerators are delegates.
    Options are the user's: arguments of the interpreter (their names begin with experimental), and
    all others the delegate's.
    """

    packages = ("ai_edge_litert", "tflite_runtime", "tensorflow")
    distributions = ("ai-edge-litert", "tflite-runtime", "tensorflow")

    @classmethod
    def begin(cls) -> None:
        """See `Runtime.begin`."""
        importlib.import_module("numpy")
        cls.installed_module()

    @classmethod
    def installed_module(cls) -> Tuple[str, Any]:
        """Whichever package is installed, and its module with the interpreter."""
        package = next((name for name in cls.packages if importlib.util.find_spec(name)), None)
        if package is None:
            raise ImportError(f"none of {', '.join(cls.packages)} is installed")
        inside = ".lite.python.interpreter" if package == "tensorflow" else ".interpreter"
        return package, importlib.import_module(package + inside)

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        package, module = self.installed_module()
        accelerator = options.get("accelerator", "cpu")
        given = dict(options.get("options", {}))
        arguments = self.interpreter_arguments(module, given)
        others = {name: value for name, value in given.items() if name not in arguments}
        if accelerator == "cpu" and others:
            raise Refused("setting", f"tflite's interpreter has no option {min(others)!r}")
        extra = {} if accelerator == "cpu" else self.delegated(module, accelerator, others)
        extra.update(arguments)
        interpreter = module.Interpreter(path, num_threads=options["threads"], **extra)
        if "tensors" in options:
            self.resize(interpreter, options["tensors"])
        interpreter.allocate_tensors()
        self.loaded_at = time.perf_counter_ns()
        ops = [each["op_name"] for each in interpreter._get_ops_details()]
        partitions = ops.count("DELEGATE")
        if accelerator != "cpu" and not partitions:
            message = f"{accelerator} runs no part of the model: all of it fell back to the CPU"
            raise Refused("model", message)
        self.settings = {"package": package, "operators": len(ops), "partitions": partitions}
        if given:
            self.settings["options"] = given
        self.version = installed([package])["version"] or "unknown"
        self.interpreter = interpreter
        if "tensors" in options:
            return
        (self.input,) = interpreter.get_input_details()
        (self.output,) = interpreter.get_output_details()
        batch, height, width, channels = map(int, self.input["shape"])
        self.shape = (batch, channels, height, width)

    @staticmethod
    def resize(interpreter: Any, tensors: List[Tensor]) -> None:
        """Gives inputs the sizes that the model leaves open."""
        for place, entry in enumerate(interpreter.get_input_details()):
            if tuple(map(int, entry["shape"])) != tensors[place].shape:
                interpreter.resize_tensor_input(entry["index"], tensors[place].shape)

    @staticmethod
    def interpreter_arguments(module: Any, given: Dict[str, Any]) -> Dict[str, Any]:
        """Those of the user's options that are arguments of the interpreter."""
        known = inspect.signature(module.Interpreter.__init__).parameters
        arguments = {}
        for name, value in given.items():
            if not name.startswith("experimental_") or name not in known:
                continue
            arguments[name] = value
            if name == "experimental_op_resolver_type":
                try:
                    arguments[name] = module.OpResolverType[value]
                except KeyError:
                    kinds = ", ".join(each.name for each in module.OpResolverType)
                    message = f"tflite's {name} cannot be {value!r}; it can be {kinds}"
                    raise Refused("setting", message) from None
            elif not isinstance(value, bool):
                raise Refused("setting", f"tflite's {name} must be true or false, not {value!r}")
        return arguments

    @staticmethod
    def delegated(module: Any, accelerator: str, options: Dict[str, Any]) -> Dict[str, Any]:
        """Arguments that hand the model to a delegate, and what it leaves to plain kernels.

        Without XNNPACK, every partition that there is then belongs to the delegate.
        """
        library = "libtensorflowlite_gpu_delegate.so" if accelerator == "gpu" else accelerator
        try:
            delegate = module.load_delegate(library, options or None)
        except (OSError, ValueError) as error:
            with_ = f" with {', '.join(sorted(options))}" if options else ""
            message = f"cannot load the delegate {library}{with_}: {error}"
            raise Refused("setting" if options else "runtime", message) from None
        plain = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return {"experimental_delegates": [delegate], "experimental_op_resolver_type": plain}

    def prepare(self, data: Any) -> Callable[[], Any]:
        """See `Runtime.prepare`; the model takes [batch, height, width, channels]."""
        interpreter, index = self.interpreter, self.output["index"]
        interpreter.set_tensor(self.input["index"], data.transpose(0, 2, 3, 1))

        def call() -> Any:
            interpreter.invoke()
            return interpreter.get_tensor(index)

        return call

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """See `Runtime.feed`; names in a file need not be unique, so the order counts."""
        interpreter = self.interpreter
        for place, entry in enumerate(interpreter.get_input_details()):
            interpreter.set_tensor(entry["index"], tensors[place].array)

        def call() -> Any:
            interpreter.invoke()
            return interpreter

        return call

    def outputs(self, output: Any) -> List[Any]:
        """See `Runtime.outputs`."""
        return [output.get_tensor(each["index"]) for each in output.get_output_details()]


class Torch(Runtime):
    """torch, on a layers file or a program of torch.export.

    Options: threads, accelerator (cpu, cuda), dtype, mode, options.

    Modes: eager, channels_last, compiled (torch.compile), cuda_graph. Options are torch.compile's:
    its mode, and all others its options. Of dtypes, float32 means just
    that; tf32 lets the GPU round what it multiplies to TF32.
    """

    packages = ("torch",)
    torch: Any

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        # Compiled code goes under the agent's folder, and no pool of compilers outlives the agent.
        os.environ.setdefault(
            "TORCHINDUCTOR_CACHE_DIR", os.path.join(os.path.dirname(path), "inductor")
        )
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        import numpy as np
        import torch

        self.torch = torch
        self.version = torch.__version__
        self.device = options.get("accelerator", "cpu")
        dtype, self.mode = options.get("dtype", "float32"), options.get("mode") or "eager"
        self.check(self.device, dtype, self.mode)
        torch.set_num_threads(options["threads"])
        torch.set_grad_enabled(False)
        tf32 = dtype == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        self.dtype = torch.float32 if tf32 else getattr(torch, dtype)
        if "tensors" in options:
            network = self.exported(path, dtype)
        else:
            with np.load(path, allow_pickle=False) as archive:
                weights = {name: archive[name] for name in archive.files}
            description = json.loads(weights.pop("graph").tobytes())
            self.shape = tuple(description["input_shape"])
            network = torch_network(description["layers"], weights).eval()
            network = network.to(self.device, self.dtype)
            if self.mode == "channels_last":
                network = network.to(memory_format=torch.channels_last)
        if self.mode == "compiled":
            import torch._dynamo.config as dynamo

            # All networks are compiled from the same code, and the ninth would be one too many.
            for limit in ("recompile_limit", "cache_size_limit"):
                for name in (limit, "accumulated_" + limit):
                    if hasattr(dynamo, name):
                        setattr(dynamo, name, 1 << 30)
            network = self.compiled(network, dict(options.get("options", {})))
        self.network = network
        self.settings = {"mode": self.mode, "tf32": tf32}
        if options.get("options"):
            self.settings["options"] = options["options"]
        if self.device == "cuda":
            self.settings["gpu"] = torch.cuda.get_device_name()
            self.settings["cudnn"] = self.torch.backends.cudnn.version()

    def exported(self, path: str, dtype: str) -> Any:
        """A program of torch.export, which computes in the types that it was exported with."""
        torch = self.torch
        if dtype not in ("float32", "tf32"):
            raise Refused("setting", f"an exported program cannot be computed in {dtype}")
        if self.mode == "channels_last":
            raise Refused("setting", "an exported program has no mode channels_last")
        importlib.import_module("torch.export")
        # A pickle in the file could run anything; torch reads without that if it is told to.
        unrestricted = torch.load
        torch.load = functools.partial(_restricted, unrestricted)
        try:
            self.program = torch.export.load(path)
        finally:
            torch.load = unrestricted
        if self.device == "cuda":
            from torch.export.passes import move_to_device_pass

            self.program = move_to_device_pass(self.program, "cuda")
        return self.program.module()

    def compiled(self, network: Any, given: Dict[str, Any]) -> Any:
        """The network behind torch.compile, with the user's options."""
        arguments: Dict[str, Any] = {}
        if "mode" in given:
            arguments["mode"] = given.pop("mode")
        if given:
            arguments["options"] = given
        try:
            return self.torch.compile(network, fullgraph=True, **arguments)
        except Exception as error:  # whatever it has against an option
            if not arguments:
                raise
            raise Refused("setting", f"torch.compile refuses its options: {error}") from None

    def check(self, device: str, dtype: str, mode: str) -> None:
        """Refuses what torch does not have here."""
        if device not in ("cpu", "cuda"):
            raise Refused("setting", f"torch has no accelerator {device!r}")
        kind = self.torch.float32 if dtype == "tf32" else getattr(self.torch, dtype, None)
        if not isinstance(kind, self.torch.dtype) or not kind.is_floating_point:
            raise Refused("setting", f"torch has no dtype {dtype!r}")
        if mode not in ("eager", "channels_last", "compiled", "cuda_graph"):
            raise Refused("setting", f"torch has no mode {mode!r}")
        if device == "cuda" and not self.torch.cuda.is_available():
            raise Refused("runtime", f"torch {self.version} finds no CUDA device here")
        if device == "cpu" and (mode == "cuda_graph" or dtype == "tf32"):
            raise Refused("setting", "CUDA graphs and TF32 need the accelerator cuda")

    def prepare(self, data: Any) -> Callable[[], Any]:
        """See `Runtime.prepare`; input and output stay where the model runs."""
        torch, network = self.torch, self.network
        x = torch.from_numpy(data).to(self.device, self.dtype)
        if self.mode == "channels_last":
            x = x.to(memory_format=torch.channels_last)
        if self.mode == "cuda_graph":
            return self.captured(lambda: network(x))
        return lambda: network(x)

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """See `Runtime.feed`."""
        torch, network = self.torch, self.network
        import torch.utils._pytree as pytree

        given = []
        for tensor in tensors:
            x = torch.from_numpy(tensor.array)
            x = x.view(torch.bfloat16) if tensor.dtype == "bfloat16" else x
            given.append(x.to(self.device))
        # What is no name is a constant that the program was exported with, such as None.
        names = self.program.graph_signature.user_inputs
        rest = iter(given)
        flat = [next(rest) if isinstance(name, str) else name for name in names]
        arguments, keywords = pytree.tree_unflatten(flat, self.program.call_spec.in_spec)

        def call() -> Any:
            return network(*arguments, **keywords)

        return self.captured(call) if self.mode == "cuda_graph" else call

    def outputs(self, output: Any) -> List[Any]:
        """See `Runtime.outputs`."""
        torch = self.torch
        import torch.utils._pytree as pytree

        tensors = [each for each in pytree.tree_leaves(output) if isinstance(each, torch.Tensor)]
        return [
            (each.float() if each.is_floating_point() else each).cpu().numpy() for each in tensors
        ]

    def captured(self, network: Callable[[], Any]) -> Callable[[], Any]:
        """Replays what `network` does as a CUDA graph, captured after a warm-up aside."""
        cuda = self.torch.cuda
        aside = cuda.Stream()
        aside.wait_stream(cuda.current_stream())
        with cuda.stream(aside):
            for _ in range(3):
                network()
        cuda.current_stream().wait_stream(aside)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            output = network()

        def call() -> Any:
            graph.replay()
            return output

        return call

    def array(self, output: Any) -> Any:
        """See `Runtime.array`."""
        return output.float().cpu().numpy()

    def trace(self, _: Callable[[], Any], runs: int) -> Trace:
        """See `Runtime.trace`; torch's profiler is told where each layer begins and ends."""
        from torch import profiler

        network = self.network
        if not hasattr(network, "marked") or self.mode not in ("eager", "channels_last"):
            raise Refused(
                "counter", f"torch does not tell what layers take in the mode {self.mode}"
            )
        activity = profiler.ProfilerActivity
        gpu = self.device == "cuda"
        mark = profiler.record_function
        self.network = functools.partial(network.marked, mark=mark)
        try:
            marked = self.prepare(random_input(self.shape, 0))
            with profiler.profile(activities=[activity.CPU, *([activity.CUDA] * gpu)]) as told:
                ns = self.time(marked, runs)
        finally:
            self.network = network
        steps = network.steps
        field = "device_time_total" if gpu else "cpu_time_total"
        taken: Dict[str, List[float]] = {name: [] for name, *_ in steps}
        for each in told.events():
            if each.name in taken:
                taken[each.name].append(1e3 * getattr(each, field, 0))
        missing = [name for name in taken if len(taken[name]) < runs]
        if missing:
            raise Refused("trace", f"torch's profile lacks runs of the layer {missing[0]}")
        return ns, [(name, kind, statistics.median(taken[name])) for name, kind, *_ in steps]

    def time(self, call: Callable[[], Any], runs: int) -> List[int]:
        """See `Runtime.time`; on a GPU by its own events, each run awaited before the next."""
        if self.device == "cpu":
            return super().time(call, runs)
        cuda = self.torch.cuda
        begun, ended = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        ns = [0] * runs
        # Work that is still queued would be counted as part of the first run.
        cuda.synchronize()
        for i in range(runs):
            begun.record()
            call()
            ended.record()
            ended.synchronize()
            ns[i] = round(begun.elapsed_time(ended) * 1e6)
        return ns


def _restricted(load: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """torch.load of tensors and plain values alone."""
    return load(*arguments, **dict(keywords, weights_only=True))


def torch_network(layers: List[Dict[str, Any]], weights: Dict[str, Any]) -> Any:
    """A torch module that computes `layers`; each value is dropped after its last use."""
    import torch

    last_use = {source: at for at, layer in enumerate(layers) for source in layer["inputs"]}
    drops: List[List[str]] = [[] for _ in layers]
    for source, at in last_use.items():
        drops[at].append(source)

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = torch.nn.ModuleList(torch_part(layer, weights) for layer in layers)
            self.steps = [
                (layer["name"], layer["type"], tuple(layer["inputs"]), drops[at])
                for at, layer in enumerate(layers)
            ]

        def forward(self, x: Any) -> Any:
            values = {"input": x}
            for at, (name, kind, sources, drop) in enumerate(self.steps):
                x = step(self.parts[at], kind, values, sources)
                for source in drop:
                    del values[source]
                values[name] = x
            return x

        def marked(self, x: Any, mark: Callable[[str], Any]) -> Any:
            """What `forward` does, each layer within a context that `mark` makes of its name."""
            values = {"input": x}
            for at, (name, kind, sources, drop) in enumerate(self.steps):
                with mark(name):
                    x = step(self.parts[at], kind, values, sources)
                for source in drop:
                    del values[source]
                values[name] = x
            return x

    def step(part: Any, kind: str, values: Dict[str, Any], sources: Tuple[str, ...]) -> Any:
        x = values[sources[0]]
        if kind == "add":
            return part(x + values[sources[1]])
        return x * part(x) if kind == "squeeze_excite" else part(x)

    return Network()


def torch_part(layer: Dict[str, Any], weights: Dict[str, Any]) -> Any:
    """The module of one layer: of an addition what follows the sum, of attention the factors."""
    from torch import nn

    activations = {"relu": nn.ReLU, "relu6": nn.ReLU6, "h_swish": nn.Hardswish}
    name, kind = layer["name"], layer["type"]
    after = [activations[a](inplace=True) for a in [layer.get("activation")] if a in activations]
    if kind == "conv":
        settings = (layer["stride"], layer["kernel"] // 2, 1, layer["groups"])
        return nn.Sequential(torch_layer(nn.Conv2d, name, weights, *settings), *after)
    if kind == "add":
        return nn.Sequential(*after)
    if kind == "squeeze_excite":
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            torch_layer(nn.Conv2d, name + ".reduce", weights),
            nn.ReLU(inplace=True),
            torch_layer(nn.Conv2d, name + ".expand", weights),
            nn.Hardsigmoid(inplace=True),
        )
    if kind == "linear":
        return nn.Sequential(nn.Flatten(), torch_layer(nn.Linear, name, weights))
    kernel, stride = layer["kernel"], layer["stride"]
    if layer["kind"] == "max":
        return nn.MaxPool2d(kernel, stride, kernel // 2)
    if layer["kind"] == "average":
        return nn.AvgPool2d(kernel, stride, ceil_mode=True)
    return nn.AdaptiveAvgPool2d(1)


def torch_layer(make: Any, name: str, weights: Dict[str, Any], *settings: int) -> Any:
    """A convolution or a linear layer with its weights, and nothing drawn at random before."""
    import torch

    weight, bias = weights[name + ".weight"], weights.get(name + ".bias")
    groups = settings[3] if len(settings) > 3 else 1
    sizes = (weight.shape[1] * groups, weight.shape[0], *weight.shape[2:3])
    layer = make(*sizes, *settings, bias=bias is not None, device="meta")
    given = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
    tensors = {key: torch.from_numpy(value) for key, value in given.items()}
    layer.load_state_dict(tensors, assign=True)
    return layer


class CoreMl(Runtime):
    """Core ML through coremltools, on a .mlpackage or one that is zipped; options: compute_units.

    A run includes the hand-over between Python and Core ML.
    """

    packages = ("coremltools",)
    system = "Darwin"

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        import coremltools

        units = (options.get("compute_units") or "all").upper()
        chosen = getattr(coremltools.ComputeUnit, units)
        self.settings = {"compute_units": units.lower()}
        self.version = coremltools.__version__
        if "tensors" in options:
            self.model = coremltools.models.MLModel(path, compute_units=chosen)
            self.names = [each.name for each in self.model.get_spec().description.output]
            return
        folder = os.path.dirname(path)
        # Core ML compiles the package as it loads it, and does not come back to it.
        with tempfile.TemporaryDirectory(suffix=".mlpackage", dir=folder) as package:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(package)
            self.model = coremltools.models.MLModel(package, compute_units=chosen)
        description = self.model.get_spec().description
        (entry,), (self.output,) = description.input, [each.name for each in description.output]
        self.name, self.shape = entry.name, tuple(entry.type.multiArrayType.shape)

    def prepare(self, data: Any) -> Callable[[], Any]:
        """See `Runtime.prepare`."""
        predict, feed, name = self.model.predict, {self.name: data}, self.output
        return lambda: predict(feed)[name]

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """See `Runtime.feed`."""
        predict, given = self.model.predict, {each.name: each.array for each in tensors}
        return lambda: predict(given)

    def outputs(self, output: Any) -> List[Any]:
        """See `Runtime.outputs`."""
        return [output[name] for name in self.names]


class OpenVino(Runtime):
    """OpenVINO, on an ONNX file; options: threads, accelerator (cpu, gpu, npu), dtype, options.

    Options are the user's: properties of the device.
    """

    packages = ("openvino",)
    _core: Any = None

    @classmethod
    def begin(cls) -> None:
        """See `Runtime.begin`."""
        super().begin()
        import openvino

        # One for all models, which stays: a CPU plugin that goes leaves the process a stack for
        # signals that is no longer there (2026.4.1), and the next signal handled there is its last.
        if OpenVino._core is None:
            OpenVino._core = openvino.Core()

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        self.begin()
        import openvino

        core = OpenVino._core
        device = options.get("accelerator", "cpu").upper()
        if device not in core.available_devices:
            known = ", ".join(core.available_devices)
            raise Refused("runtime", f"OpenVINO finds no {device} here; it finds {known}")
        dtype = options.get("dtype", "float32")
        # int8 is in the model; what is left there in float is computed in float32.
        precision = {"bfloat16": "bf16", "float16": "f16"}.get(dtype, "f32")
        settings: Dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        }
        if device == "CPU":
            # The agent is bound to its CPUs already.
            settings.update(INFERENCE_NUM_THREADS=options["threads"], ENABLE_CPU_PINNING=False)
        if options.get("trace"):
            settings["PERF_COUNT"] = True
        properties = dict(options.get("options", {}))
        known = core.get_property(device, "SUPPORTED_PROPERTIES")
        for name in properties:
            if known.get(name, "RO") == "RO":
                able = ", ".join(sorted(each for each in known if known[each] != "RO"))
                raise Refused(
                    "setting",
                    f"OpenVINO has no property {name!r} to set for {device}; it has {able}",
                )
        settings.update(properties)
        model = core.read_model(path)
        if "tensors" in options:
            self.resize(model, options["tensors"])
        try:
            compiled = core.compile_model(model, device, settings)
        except Exception as error:  # whatever it has against a property
            if not properties:
                raise
            message = f"OpenVINO refuses {', '.join(properties)}: {str(error).strip()[-300:]}"
            raise Refused("setting", message) from None
        self.check_properties(compiled, properties)
        given = compiled.get_property("INFERENCE_PRECISION_HINT")
        if given != getattr(openvino.Type, precision):
            given = given.get_type_name()
            message = f"OpenVINO computes in {given} on this {device}, not in {precision}"
            raise Refused("setting", message)
        self.request = compiled.create_infer_request()
        self.tensor = openvino.Tensor
        self.version = openvino.__version__
        self.openvino, self.compiled = openvino, compiled
        if "tensors" not in options:
            self.shape = tuple(model.input(0).shape)
        self.settings = {"precision": precision, "streams": compiled.get_property("NUM_STREAMS")}
        if properties:
            self.settings["options"] = properties

    @staticmethod
    def resize(model: Any, tensors: List[Tensor]) -> None:
        """Gives inputs the sizes that the model leaves open."""
        shapes = {place: tensor.shape for place, tensor in enumerate(tensors)}
        if any(each.get_partial_shape().is_dynamic for each in model.inputs):
            model.reshape({place: list(shape) for place, shape in shapes.items()})

    @staticmethod
    def check_properties(compiled: Any, properties: Dict[str, Any]) -> None:
        """Refuses numbers that OpenVINO changed, such as more streams than there are threads."""
        for name, asked in properties.items():
            taken = None
            # Not every property is a number, or told of a compiled model.
            with contextlib.suppress(Exception):
                taken = int(str(compiled.get_property(name)))
            if isinstance(asked, int) and taken is not None and taken != int(asked):
                raise Refused("setting", f"OpenVINO changed {name} from {asked} to {taken}")

    def prepare(self, data: Any) -> Callable[[], Any]:
        """See `Runtime.prepare`."""
        request = self.request
        request.set_input_tensor(self.tensor(data))

        def call() -> Any:
            request.infer()
            return request

        return call

    def trace(self, call: Callable[[], Any], runs: int) -> Trace:
        """See `Runtime.trace`."""
        kinds: Dict[str, str] = {}
        taken: Dict[str, List[float]] = {}
        times: List[int] = []
        for _ in range(runs):
            times += self.time(call, 1)
            for each in self.request.profiling_info:
                if str(each.status).endswith("EXECUTED"):
                    kinds[each.node_name] = each.node_type
                    ns = each.real_time.total_seconds() * 1e9
                    taken.setdefault(each.node_name, []).append(ns)
        return times, [(name, kinds[name], statistics.median(ns)) for name, ns in taken.items()]

    def array(self, output: Any) -> Any:
        """See `Runtime.array`."""
        return output.get_output_tensor(0).data

    def feed(self, tensors: List[Tensor]) -> Callable[[], Any]:
        """See `Runtime.feed`; some inputs of a file have no name, so the order counts."""
        request = self.request
        for place, tensor in enumerate(tensors):
            if tensor.dtype == "bfloat16":
                kind = self.openvino.Type.bf16
                given = self.tensor(tensor.array, list(tensor.shape), kind)
            else:
                given = self.tensor(tensor.array)
            request.set_input_tensor(place, given)

        def call() -> Any:
            request.infer()
            return request

        return call

    def outputs(self, output: Any) -> List[Any]:
        """See `Runtime.outputs`."""
        count = len(self.compiled.outputs)
        found = [output.get_output_tensor(place) for place in range(count)]
        # NumPy has no bfloat16: OpenVINO then shows two bytes as a number of its own.
        return [
            as_float32(each.data) if each.element_type == self.openvino.Type.bf16 else each.data
            for each in found
        ]


def as_float32(halves: Any) -> Any:
    """Numbers of bfloat16, of which any type of two bytes holds the bits."""
    import numpy as np

    return (halves.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


RUNTIMES: Dict[str, Type[Runtime]] = {
    "onnxruntime": OnnxRuntime,
    "tflite": TfLite,
    "torch": Torch,
    "coreml": CoreMl,
    "openvino": OpenVino,
}


@functools.lru_cache(maxsize=None)
def in_library(package: str, text: str) -> bool:
    """Whether a shared library of an installed package holds `text` as a string of its own."""
    module = importlib.import_module(package)
    for folder, _, names in os.walk(os.path.dirname(str(module.__file__))):
        for name in names:
            if name.endswith((".so", ".pyd", ".dll", ".dylib")) or ".so." in name:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    if os.path.getsize(path) and text.encode() + b"\0" in file.read():
                        return True
    return False


def add_runtime(name: str, source: str) -> None:
    """Makes the class that a module defines as `RUNTIME` the runtime `name`."""
    # Run as a program, this file is the module __main__; loaded by the host, it has another name.
    sys.modules["compofa_agent"] = sys.modules[__name__]
    module = types.ModuleType("compofa_agent_" + name)
    try:
        # The host decides what runs here, as with the agent itself, which it has put here too.
        exec(compile(source, f"<runtime {name}>", "exec"), vars(module))  # noqa: S102
        added = vars(module)["RUNTIME"]
        if not issubclass(added, Runtime):
            raise TypeError("RUNTIME is no subclass of compofa_agent.Runtime")
    except Exception as error:  # whatever a module stumbles over
        raise Refused("runtime", f"the class of the runtime {name} is broken: {error!r}") from None
    RUNTIMES[name] = added


SLOWED = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal",
    0x40: "hardware thermal",
    0x80: "power brake",
}
"""Reasons for which a GPU runs slower than it could: bits of NVML's nvmlClocksThrottleReasons."""


class Gpu:
    """The NVIDIA GPU that CUDA takes first, as the driver's own library (NVML) sees it.

    Raises:
        OSError: there is no such library, or no GPU.
    """

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libnvidia-ml.so.1")
        self.handle = ctypes.c_void_p()
        wanted = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        self.ask("nvmlInit_v2")
        if wanted.isdigit():
            find, key = "nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(int(wanted))
            self.ask(find, key, ctypes.byref(self.handle))
        else:
            self.ask("nvmlDeviceGetHandleByUUID", wanted.encode(), ctypes.byref(self.handle))

    def ask(self, function: str, *arguments: Any) -> None:
        """Calls the library."""
        code = getattr(self.library, function)(*arguments)
        if code:
            raise OSError(f"{function} failed with NVML's error {code}")

    def text(self, function: str, *first: Any) -> Optional[str]:
        """A text that the library tells, or None."""
        buffer = ctypes.create_string_buffer(96)
        try:
            self.ask(function, *first, buffer, ctypes.c_uint(96))
        except (OSError, AttributeError):
            return None
        return buffer.value.decode(errors="replace")

    def number(self, function: str, *first: Any) -> Optional[int]:
        """A number that the library tells about the GPU, or None."""
        value = ctypes.c_ulonglong()
        try:
            self.ask(function, self.handle, *first, ctypes.byref(value))
        except (OSError, AttributeError):
            return None
        return value.value

    def facts(self) -> Dict[str, Any]:
        """What does not change."""
        return {
            "name": self.text("nvmlDeviceGetName", self.handle),
            "driver": self.text("nvmlSystemGetDriverVersion"),
        }

    def state(self) -> Dict[str, Any]:
        """What changes while it works; None where the driver does not tell."""
        reasons = self.number("nvmlDeviceGetCurrentClocksThrottleReasons") or 0
        milliwatts = self.number("nvmlDeviceGetPowerUsage")
        return {
            "mhz": self.number("nvmlDeviceGetClockInfo", ctypes.c_int(1)),
            "memory_mhz": self.number("nvmlDeviceGetClockInfo", ctypes.c_int(2)),
            "celsius": self.number("nvmlDeviceGetTemperature", ctypes.c_int(0)),
            "watts": None if milliwatts is None else milliwatts / 1000,
            "throttled": [name for bit, name in SLOWED.items() if reasons & bit],
        }


def installed_runtimes() -> Dict[str, Dict[str, Optional[str]]]:
    """Version and hash of each runtime that is installed and can run here; none is imported.

    The hash is of the installers' lists of the package's files and their hashes: builds of one
    version differ in it.
    """
    known: Dict[str, Dict[str, Optional[str]]] = {}
    for name, runtime in RUNTIMES.items():
        if runtime.system not in (None, platform.system()):
            continue
        for package in runtime.packages:
            if importlib.util.find_spec(package) is not None:
                known[name] = installed(runtime.distributions or (package,))
                break
    return known


def installed(distributions: Sequence[str]) -> Dict[str, Optional[str]]:
    """Version and hash of what is there of some distributions that bring the same package."""
    from importlib import metadata

    version, records = "unknown", ""  # a package put there by hand has neither
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            distribution = metadata.distribution(name)
            version = distribution.version
            records += shipped(distribution.read_text("RECORD") or "")
    digest = hashlib.sha256(records.encode()).hexdigest() if records else None
    return {"version": version, "sha256": digest}


def shipped(record: str) -> str:
    """The lines of an installer's list that are about the package's own files, in order.

    What installing adds has no hash (compiled files) or lies elsewhere (scripts, which name their
    interpreter), or says how it came here: two installs of one build differ in it.
    """
    lines = sorted(record.splitlines())
    own = [line for line in lines if ",sha256=" in line and not line.startswith("..")]
    return "\n".join(line for line in own if ".dist-info/" not in line)


def read_text(path: str) -> Optional[str]:
    """The content of a small file of the kernel's, or None where there is none to be had."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536).strip("\0\n ")
    except OSError:
        return None


def resident_kb() -> Tuple[int, int]:
    """What is resident of this process in memory now, and was at its highest, by the kernel."""
    status = read_text("/proc/self/status") or ""
    told = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status, re.MULTILINE))
    if len(told) != 2:
        raise Refused("counter", f"{platform.system()} does not tell what a process had resident")
    return int(told["VmRSS"]), int(told["VmHWM"])


def reset_peak() -> None:
    """Has the kernel forget how much was resident at the highest, where it can (Linux 4.0)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


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
        "cpu_quota": cpu_quota(),
        "memory_kb": int(memory.group(1)) if memory else None,
        "python": platform.python_version(),
        "governor": read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "max_mhz": frequencies("cpuinfo_max_freq"),
        # Tells two devices of one model apart without naming either.
        "serial_sha256": hashlib.sha256(serial.encode()).hexdigest()[:16] if serial else None,
    }


def control_groups() -> List[str]:
    """The folders that limit this process's CPU time, of either version of cgroups.

    Its own and those above it; inside a container the paths that the kernel tells may not be
    there, and then the folder at the top is its own.
    """
    folders = []
    for line in (read_text("/proc/self/cgroup") or "").split("\n"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            tops = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        elif "cpu" in controllers.split(","):
            tops = ["/sys/fs/cgroup/" + controllers, "/sys/fs/cgroup/cpu"]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for top in tops:
            folders += ["/".join([top, *parts[:end]]) for end in range(len(parts), -1, -1)]
    return list(dict.fromkeys(folders))


def cpu_quota() -> Optional[float]:
    """How many CPUs' time this process gets at most; None where nothing limits it."""
    quotas = []
    for folder in control_groups():
        limit = (read_text(folder + "/cpu.max") or "").split()
        if len(limit) != 2:
            limit = [
                read_text(folder + "/cpu.cfs_" + name + "_us") or "" for name in ("quota", "period")
            ]
        if all(text.isdigit() and int(text) > 0 for text in limit):
            quotas.append(int(limit[0]) / int(limit[1]))
    return min(quotas) if quotas else None


def stopped_periods() -> Optional[int]:
    """In how many periods CPU quotas have stopped this process; None where nothing counts them."""
    stats = [read_text(folder + "/cpu.stat") or "" for folder in control_groups()]
    counts = [re.search(r"^nr_throttled (\d+)$", text, re.MULTILINE) for text in stats]
    known = [int(counted.group(1)) for counted in counts if counted]
    return sum(known) if known else None


def frequencies(name: str) -> List[float]:
    """One cpufreq value per CPU, in MHz; empty where the kernel does not tell."""
    paths = glob.glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/" + name)
    texts = [read_text(path) for path in sorted(paths, key=lambda p: [int(n) for n in digits(p)])]
    return [int(text) / 1000 for text in texts if text and text.isdigit()]


def digits(text: str) -> List[str]:
    """The numbers in `text`."""
    return re.findall(r"\d+", text)


def state() -> Dict[str, Any]:
    """What changes while the device works; a field is left out where the system does not tell."""
    readings: Dict[str, Any] = {"monotonic_s": time.monotonic()}
    if hasattr(os, "getloadavg"):
        readings["load_1m"] = os.getloadavg()[0]
    pressure = re.search(r"some avg10=([\d.]+)", read_text("/proc/pressure/cpu") or "")
    if pressure:
        readings["cpu_pressure_10s"] = float(pressure.group(1))
    ticks = (read_text("/proc/stat") or "").split("\n", 1)[0].split()
    if len(ticks) > 8:
        readings["cpu_ticks"] = sum(int(tick) for tick in ticks[1:])
        readings["steal_ticks"] = int(ticks[8])
    mhz = frequencies("scaling_cur_freq")
    if mhz:
        readings["mhz"] = mhz
    governor = read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        readings["governor"] = governor
    stopped = stopped_periods()
    if stopped is not None:
        readings["nr_throttled"] = stopped
    temperatures = {}
    for zone in glob.glob("/sys/class/thermal/thermal_zone[0-9]*"):
        value = read_text(zone + "/temp")
        if value and re.fullmatch(r"-?\d+", value):
            temperatures[read_text(zone + "/type") or zone] = int(value) / 1000
    if temperatures:
        readings["celsius"] = temperatures
    return readings


def set_affinity(cpus: Optional[Sequence[int]], threads: int) -> Optional[List[int]]:
    """Binds this process to `cpus`, or to the `threads` fastest; returns where it ended up.

    Of equally fast CPUs the last are taken: the first ones usually serve the interrupts.
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
    if missing or not cpus:
        raise Refused(
            "setting", f"CPUs {missing} do not exist here or are not allowed; allowed: {allowed}"
        )
    os.sched_setaffinity(0, cpus)
    return sorted(os.sched_getaffinity(0))


class Agent:
    """Answers requests; holds the models that are loaded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.idle_s = IDLE_S
        self.threads = 1
        self.models: Dict[int, Runtime] = {}
        self.calls: Dict[int, Tuple[Optional[int], Callable[[], Any]]] = {}
        self.handles = 0
        self.gpu: Optional[Gpu] = None
        self.lock: Optional[int] = None
        self.padding: List[bytearray] = []

    def hello(self, request: Dict[str, Any]) -> Reply:
        """Claims the device, sets threads and affinity; says what this device is and has."""
        if request.get("holder") is not None:
            self.claim(request["holder"])
        for name, source in request.get("classes", {}).items():
            add_runtime(name, source)
        self.idle_s = seconds(request, "idle_s", IDLE_S)
        self.threads = int(request.get("threads", 1))
        if not 1 <= self.threads <= 1024:
            raise Refused("request", f"{self.threads} threads are not between 1 and 1024")
        if self.gpu is None:
            # Where there is no NVIDIA driver, or one too old, there is nothing to tell.
            with contextlib.suppress(OSError, AttributeError):
                self.gpu = Gpu()
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "affinity": set_affinity(request.get("cpus"), self.threads),
            "runtimes": installed_runtimes(),
            "facts": dict(facts(), gpu=self.gpu.facts() if self.gpu else None),
            "state": self.look(),
        }

    def claim(self, holder: Any) -> None:
        """Locks the device for as long as this process lives."""
        if not isinstance(holder, str) or not 1 <= len(holder.encode()) <= LONGEST_HOLDER:
            raise Refused("request", f"the holder must be a text of 1 to {LONGEST_HOLDER} bytes")
        try:
            import fcntl
        except ImportError:
            return  # a system without such locks
        if self.lock is None:
            try:
                path = os.path.join(self.folder, "lock")
                self.lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise Refused("setting", f"cannot lock this device: {error}") from None
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            said = os.pread(self.lock, 500, 0).decode(errors="replace")
            raise Refused("busy", f"in use by {said or 'another profiler'}") from None
        # What an agent that was killed has left: nobody else has this device now.
        for folder in glob.glob(os.path.join(self.folder, "*" + LAID_OUT)):
            shutil.rmtree(folder, ignore_errors=True)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, f"{holder} since {now}".encode(), 0)

    def look(self) -> Dict[str, Any]:
        """The state of the device, its GPU's included."""
        return dict(state(), gpu=self.gpu.state()) if self.gpu else state()

    def load(self, request: Dict[str, Any]) -> Reply:
        """Loads a model and runs it once, so that the host can check what it computes."""
        name = request["runtime"]
        if name not in RUNTIMES:
            raise Refused("runtime", f"this agent does not know the runtime {name!r}")
        self.padding.append(bytearray(whole(request, "padding", 0, MOST_PADDING, 0)))
        options = dict(request.get("options", {}), threads=self.threads)
        inputs = request.get("inputs")
        if inputs is not None:
            options["tensors"] = read_tensors(self.model_path(inputs["data"]), inputs["tensors"])
        with self.laid_out(request) as path:
            begun = time.perf_counter_ns()
            try:
                model = RUNTIMES[name](path, options)
            except ImportError as error:
                raise Refused("runtime", f"cannot import {name}: {error}") from None
            except (Refused, MemoryError):
                raise
            except Exception as error:  # whatever a runtime throws is about this model
                raise Refused("model", f"{name} cannot load the model: {error}") from None
            taken = (model.loaded_at or time.perf_counter_ns()) - begun
        self.handles += 1
        self.models[self.handles] = model
        if inputs is not None:
            return self.first_run(name, taken, options["tensors"])
        try:
            call = self.call(self.handles, 0)
            begun = time.perf_counter_ns()
            output = model.array(call()).reshape(-1)
            first = time.perf_counter_ns() - begun
        except Exception as error:
            self.unload({"model": self.handles})
            raise Refused("model", f"{name} cannot run the model: {error}") from None
        # A sample will do, and a large output would not fit into the line of a reply.
        step = -(-output.size // CHECKED_OUTPUTS)
        return {
            "model": self.handles,
            "version": model.version,
            "load_ns": taken,
            "first_ns": first,
            "input": list(model.shape),
            "output_size": int(output.size),
            "output": [float(value) for value in output[::step]],
            "settings": model.settings,
        }

    def first_run(self, name: str, load_ns: int, tensors: List[Tensor]) -> Reply:
        """Runs the model that was loaded last on inputs of the host's; its reply to load."""
        handle, model = self.handles, self.models[self.handles]
        try:
            call = model.feed(tensors)
            begun = time.perf_counter_ns()
            outputs = model.outputs(call())
            first = time.perf_counter_ns() - begun
            most = max(FEWEST_CHECKED, CHECKED_OUTPUTS // max(1, len(outputs)))
            told = [summary(each, most) for each in outputs[:MOST_TENSORS]]
        except (Refused, MemoryError):
            self.unload({"model": handle})
            raise
        except Exception as error:  # whatever a runtime throws is about this model
            self.unload({"model": handle})
            raise Refused("model", f"{name} cannot run the model: {error}") from None
        # What it is run on stays the same, whatever seed a request names.
        self.calls[handle] = None, call
        return {
            "model": handle,
            "version": model.version,
            "load_ns": load_ns,
            "first_ns": first,
            "outputs": told,
            "settings": model.settings,
        }

    @contextlib.contextmanager
    def laid_out(self, request: Dict[str, Any]) -> Iterator[str]:
        """The path of a model, beside it the other files that it consists of, by their names.

        They are links, which are not needed any more once the model is loaded.
        """
        files = request.get("files")
        if files is None:
            yield self.model_path(request["model"])
            return
        if not isinstance(files, dict) or not 1 <= len(files) <= MOST_FILES:
            raise Refused("request", f"files are no object of 1 to {MOST_FILES} names")
        with tempfile.TemporaryDirectory(suffix=LAID_OUT, dir=self.folder) as folder:
            for name, digest in files.items():
                parts = name.split("/")
                if "\\" in name or any(part in ("", ".", "..") for part in parts):
                    raise Refused("request", f"{name!r} is no name of a file beside a model")
                source = self.model_path(digest)
                target = os.path.join(folder, *parts)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                # To the very file: runtimes look beside where a link leads, and not further.
                os.symlink(os.path.realpath(source), target)
            yield os.path.join(folder, next(iter(files)).split("/")[0])

    def run(self, request: Dict[str, Any]) -> Reply:
        """Runs a model a number of times, each timed by itself."""
        runs = whole(request, "runs", 1, MOST_RUNS)
        call = self.call(request["model"], int(request.get("seed", 0)))
        try:
            ns = self.models[request["model"]].time(call, runs)
        except Exception as error:  # whatever a runtime throws is about this model
            raise Refused("model", f"cannot run the model: {error}") from None
        return {"ns": ns, "state": self.look()}

    def memory(self, request: Dict[str, Any]) -> Reply:
        """Loads a model and runs it; what was resident before, and at the highest meanwhile."""
        name = request["runtime"]
        if name not in RUNTIMES:
            raise Refused("runtime", f"this agent does not know the runtime {name!r}")
        # Its hash is computed here already: the first one takes memory that is not the model's.
        self.model_path(request["model"])
        self.begin_aside(name)
        base, before = resident_kb()
        reset_peak()
        handle = self.load(request)["model"]
        try:
            # On the input of the first run: making another one would count as the model's.
            self.run({"model": handle, "runs": request["runs"], "seed": 0})
            peak = resident_kb()[1]
        finally:
            self.unload({"model": handle})
        if peak == before > base:
            raise Refused("counter", "this kernel cannot forget an earlier peak (clear_refs)")
        return {"base_kb": base, "peak_kb": peak}

    def turns(self, request: Dict[str, Any]) -> Reply:
        """Runs several models in turns, in a new random order each turn, and times each run."""
        handles = list(request["models"])
        turns = whole(request, "turns", 1, MOST_RUNS)
        if not 2 <= len(handles) <= MOST_MODELS or len(handles) * turns > MOST_RUNS:
            raise Refused("request", f"{turns} turns of {len(handles)} models cannot be timed")
        seed = int(request.get("seed", 0))
        calls = [self.call(handle, seed) for handle in handles]
        timers = [self.models[handle].time for handle in handles]
        order = list(range(len(handles)))
        shuffle = random.Random(int(request.get("order", 0))).shuffle
        ns: List[List[int]] = [[] for _ in handles]
        try:
            for _ in range(turns):
                shuffle(order)
                for i in order:
                    ns[i] += timers[i](calls[i], 1)
        except Exception as error:  # whatever a runtime throws is about this model
            raise Refused("model", f"cannot run the models in turns: {error}") from None
        return {"ns": ns, "state": self.look()}

    def trace(self, request: Dict[str, Any]) -> Reply:
        """Loads a model so that it tells what its operators take, and runs it."""
        runs = whole(request, "runs", 1, MOST_RUNS)
        options = dict(request.get("options", {}), trace=self.folder)
        handle = self.load(dict(request, options=options))["model"]
        model = self.models[handle]
        try:
            call = self.call(handle, 0)
            model.time(call, runs)
            ns, operators = model.trace(call, runs)
        except (Refused, MemoryError):
            raise
        except Exception as error:  # whatever a runtime throws is about this model
            raise Refused("model", f"cannot trace the model: {error}") from None
        finally:
            self.unload({"model": handle})
        if len(operators) > MOST_OPERATORS:
            raise Refused("trace", f"{len(operators)} operators are more than {MOST_OPERATORS}")
        named = [[name, kind, round(taken)] for name, kind, taken in operators]
        return {"ns": ns, "operators": named}

    @staticmethod
    def begin_aside(name: str) -> None:
        """Does what is not the model's: imports the runtime, and makes an input as large as usual.

        With the collector on, as in any other program: garbage that importing leaves would be kept
        else, and the model's objects would have to go elsewhere than in its place.
        """
        gc.enable()
        try:
            RUNTIMES[name].begin()
        except ImportError as error:
            raise Refused("runtime", f"cannot import {name}: {error}") from None
        finally:
            gc.disable()
        random_input((1, 3, 32, 32), 0)
        # What imports have freed would be used again, and not counted; glibc can give it back.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)

    def state(self, _: Dict[str, Any]) -> Reply:
        """The device's state now."""
        return {"state": self.look()}

    def unload(self, request: Dict[str, Any]) -> Reply:
        """Lets go of a model."""
        handle = request["model"]
        if self.models.pop(handle, None) is None:
            raise Refused("request", f"no model {handle!r} is loaded")
        self.calls.pop(handle, None)
        # The collector is off, so that it does not run while runs are timed.
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
        made_for, call = self.calls.get(handle, (seed, None))
        if call is None or made_for not in (None, seed):
            call = model.prepare(random_input(model.shape, seed))
            self.calls[handle] = seed, call
        return call

    def model_path(self, digest: Any) -> str:
        """The file of that name, if its content is what its name says."""
        if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise Refused("request", "a model is named by the SHA-256 of its content")
        path = os.path.join(self.folder, digest)
        seen = hashlib.sha256()
        try:
            with open(path, "rb") as file:
                # Larger parts would leave megabytes free that a model then uses, uncounted.
                for part in iter(lambda: file.read(1 << 16), b""):
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
            except (ValueError, RecursionError):
                raise Refused("request", "not a line of JSON") from None
            if not isinstance(request, dict) or "id" not in request:
                raise Refused("request", "a request is an object with an id")
            what = request.get("do")
            if what not in (
                "hello",
                "load",
                "run",
                "turns",
                "memory",
                "trace",
                "state",
                "unload",
                "quit",
            ):
                raise Refused("request", f"unknown request {what!r}")
            alarm(seconds(request, "deadline_s", DEADLINE_S))
            ok = getattr(self, what)(request)
            return {"id": request["id"], "ok": ok}, what != "quit"
        except Refused as error:
            kind, message = error.kind, str(error)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            kind, message = "request", f"malformed request: {error!r}"
        except MemoryError:
            kind, message = "memory", "out of memory"
        known = request.get("id") if isinstance(request, dict) else None
        return {"id": known, "error": {"kind": kind, "message": message}}, True


def seconds(request: Dict[str, Any], name: str, otherwise: float) -> float:
    """A time that the request may name; a timer of 0 s would never go off."""
    value = float(request.get(name, otherwise))
    if not 0 < value <= LONGEST_S:
        raise Refused("request", f"{name} must be above 0 s and at most {LONGEST_S:g} s: {value}")
    return value


def whole(
    request: Dict[str, Any], name: str, low: int, high: int, otherwise: Optional[int] = None
) -> int:
    """A whole number that the request names, or may name."""
    value = int(request[name] if otherwise is None else request.get(name, otherwise))
    if not low <= value <= high:
        raise Refused("request", f"{name} is {value}, not between {low} and {high}")
    return value


def alarm(seconds: float) -> None:
    """Lets the system end this process in `seconds`, even if a runtime hangs by then.

    A timer of the kernel's costs nothing while runs are timed; a watching thread would.
    Without a handler the signal kills the process, whatever a runtime is stuck in.
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
            # The rest of such a line would be taken for the next request: this is the end.
            if len(line) >= LONGEST_LINE:
                error = {"kind": "request", "message": f"a line of more than {LONGEST_LINE} bytes"}
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
