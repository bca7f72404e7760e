"""TFLite's benchmark_model on a phone: how it is called, and which calls do not count.

The program prints no single runs, only their statistics. So one *run* of this runtime is one
invocation: a process of its own that loads the model, warms up, and runs it many times. Its time is
the median of those inferences, or their mean in versions that print no median.
"""

from __future__ import annotations

import contextlib
import math
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shlex import quote

from compofa.profiler.agent.compofa_agent import Refused
from compofa.profiler.transports.adb.benchmark_output import (
    Benchmark,
    UnreadableOutput,
    parse_benchmark,
)
from compofa.profiler.transports.adb.cache_folder import AdbFolder
from compofa.profiler.transports.adb.shell import ShellResult, command_line
from compofa.profiler.transports.base import LinkLost

NUM_RUNS = 20
"""Inferences of one invocation, at least."""

TIMING = (
    f"--num_runs={NUM_RUNS}",
    "--min_secs=0.5",
    "--warmup_runs=3",
    "--warmup_min_secs=0.5",
    "--max_secs=45",
)
ONCE = ("--num_runs=1", "--min_secs=-1", "--warmup_runs=1", "--warmup_min_secs=-1")

DESCRIPTION = (
    f"the median of {NUM_RUNS} inferences or more (the mean, where the program prints no median), "
    "in a process of its own, after half a second of warm-up"
)
"""Of a run, for the table's meta file."""

USAGE_S = 15.0

PATIENTLY = ("sh", "-c", 'sleep 0.1; exec "$@"', "sh")
"""Runs a program a little later than it could.

The `timeout` of toybox 0.8.9 (Debian 12's, and phones' of that age) leaves its handler of ended
children by siglongjmp: a child that ends before fork() has returned is never waited for, and its
status reads as 127. A status is known only of programs that outlive that moment.
"""

KILLED = 128 + 9
NOT_RUNNABLE = (126, 127)


@dataclass(frozen=True)
class ProgramSettings:
    """How the program runs models.

    Attributes:
        mask: of the CPUs it is bound to, in hexadecimal; None leaves it to the phone.
        options: flags of the program that the user adds, with their values.
    """

    threads: int
    mask: str | None
    accelerator: str
    dtype: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def delegate(self) -> str:
        """What the program calls the accelerator."""
        return {"cpu": "XNNPACK"}.get(self.accelerator, self.accelerator.upper())

    @property
    def switch(self) -> str | None:
        """The flag without which a version of the program has no such accelerator."""
        return None if self.accelerator == "cpu" else f"use_{self.accelerator}"

    @property
    def flags(self) -> list[str]:
        """Its flags; they allow the precision that the dtype asks for, and no less."""
        half = "true" if self.dtype == "float16" else "false"
        chosen = {
            # Named, as not every version uses it unasked.
            "cpu": ["--use_xnnpack=true", f"--xnnpack_force_fp16={half}"],
            "gpu": ["--use_gpu=true", f"--gpu_precision_loss_allowed={half}"],
            "nnapi": ["--use_nnapi=true", "--disable_nnapi_cpu=true", f"--nnapi_allow_fp16={half}"],
            "hexagon": ["--use_hexagon=true"],
        }
        if self.accelerator not in chosen:
            known = ", ".join(chosen)
            message = f"benchmark_model has no accelerator {self.accelerator!r}; it has {known}"
            raise Refused("setting", message)
        added = [f"--{name}={value}" for name, value in self.options]
        return [f"--num_threads={self.threads}", *chosen[self.accelerator], *added]


class BenchmarkProgram:
    """The program in `file`, put into `folder` of a phone."""

    def __init__(self, folder: AdbFolder, file: Path, sha256: str) -> None:
        self.folder, self.sha256 = folder, sha256
        folder.put(file, sha256, mode=0o700)

    @cached_property
    def flags(self) -> frozenset[str]:
        """The flags that this version knows; empty where it does not tell.

        Raises:
            Refused: the phone cannot run it.
        """
        asked = self._call([f"./{self.sha256}", "--help"], USAGE_S)
        return frozenset(re.findall(r"^\s*--(\w+)=", asked.text + asked.stderr, re.M))

    def benchmark(
        self, model: str, set_up: ProgramSettings, flags: Sequence[str], deadline_s: float
    ) -> Benchmark:
        """Runs `model`, a file of the folder, in a process of its own.

        Raises:
            Refused: it cannot be run, or not where the set-up says: parts that silently stayed on
                the CPU would be timed for what they are not.
            LinkLost: the connection broke.
        """
        # Versions of before TensorFlow 2.3 pass over flags that they do not know, and say nothing.
        if set_up.switch is not None and self.flags and set_up.switch not in self.flags:
            raise _built_without(set_up)
        for name, _ in set_up.options:
            if name not in self.flags:
                raise Refused("setting", f"this benchmark_model has no flag --{name}")
        words = [f"./{self.sha256}", f"--graph={model}", *set_up.flags, *flags]
        if set_up.mask is not None:
            words = ["taskset", set_up.mask, *words]
        seconds = max(1, math.floor(deadline_s))
        words = ["timeout", "-s", "KILL", str(seconds), *PATIENTLY, *words]
        finished = self._call(words, deadline_s + 5)
        if finished.code == KILLED:
            raise Refused("model", f"benchmark_model did not finish within {seconds} s")
        if finished.code > 128:
            raise Refused("model", f"benchmark_model crashed: signal {finished.code - 128}")
        if finished.code:
            raise Refused("model", f"benchmark_model failed: {_complaint(finished)}")
        try:
            benchmark = parse_benchmark(finished.text + finished.stderr)
        except UnreadableOutput as error:
            message = f"cannot read what this benchmark_model prints: {error}"
            raise Refused("model", message) from None
        _check_delegation(benchmark, set_up)
        return benchmark

    @contextmanager
    def output_file(self) -> Iterator[str]:
        """The name of a new file of the folder for the program to write, which is deleted after.

        Should it be left over, it is cleared as interrupted uploads are.
        """
        name = f"{uuid.uuid4().hex}.part"
        try:
            yield name
        finally:
            with contextlib.suppress(LinkLost):
                self.folder.phone.run(command_line("rm", "-f", f"{self.folder.path}/{name}"))

    def read(self, name: str) -> bytes:
        """The content of such a file; empty where the program did not write it."""
        return self.folder.phone.run(command_line("cat", f"{self.folder.path}/{name}")).stdout

    def _call(self, words: Sequence[str], timeout_s: float) -> ShellResult:
        command = f"cd {quote(self.folder.path)} && exec {command_line(*words)}"
        finished = self.folder.phone.run(command, timeout_s)
        if finished.code in NOT_RUNNABLE:
            raise Refused(
                "runtime", f"the phone cannot run this benchmark_model: {finished.last_words}"
            )
        return finished


def _built_without(set_up: ProgramSettings) -> Refused:
    return Refused("runtime", f"this benchmark_model was built without {set_up.delegate}")


def _check_delegation(benchmark: Benchmark, set_up: ProgramSettings) -> None:
    """Refuses times of which the program does not say that they are of the accelerator alone.

    Versions differ in what they say. Where nothing is said that we can read, the network may have
    run on the accelerator or not: it is not called a fall-back then, and its times are not taken.
    """
    if set_up.accelerator == "cpu":
        return
    delegate = set_up.delegate
    if benchmark.unknown_flags:
        raise _built_without(set_up)
    whole = {name.upper(): whole for name, whole in benchmark.delegates.items()}
    if whole.get(delegate, False):
        return
    if delegate not in whole:
        raise Refused(
            "model",
            f"cannot tell whether {delegate} ran the model: this benchmark_model prints nothing "
            "about it that is known here; use one of TensorFlow 2.2 or later, or LiteRT's",
        )
    if whole[delegate] is None:
        raise Refused(
            "model",
            f"cannot tell whether {delegate} ran all of the model: this benchmark_model prints "
            "that it was applied, but not to how much; use one of TensorFlow 2.2 or later",
        )
    raise Refused("model", f"{delegate} does not run all of the model: parts stay on the CPU")


def _complaint(finished: ShellResult) -> str:
    """The first error that it printed, which is closer to the cause than the last."""
    errors = re.findall(r"^ERROR: (.+)$", finished.text + finished.stderr, re.M)
    return errors[0][:300] if errors else finished.last_words
