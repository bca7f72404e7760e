"""The throughput pass: how many images a second several workers compute who run at once.

Each worker is a process of its own with a model of its own, as a server has them. All share the
CPUs that the device gives to so many workers.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from compofa.profiler.measurement.device_access import DeviceAccess
from compofa.profiler.measurement.stopwatch import INPUT_SEED, run_deadline
from compofa.profiler.models.model_store import ModelFile
from compofa.profiler.transports.agent_client import AgentLink

SECONDS = 2.0
"""That all workers run at once, in each pass."""

LEAST_RUNS, MOST_RUNS = 10, 50_000
WARMUP_RUNS = 8


def throughput(
    access: DeviceAccess, model: ModelFile, batch_size: int, streams: int
) -> dict[str, float]:
    """Images a second by `streams` workers at once.

    Raises:
        DeviceError: a worker could not run.
    """
    device = access.device
    with ExitStack() as stack, ThreadPoolExecutor(streams) as pool:
        workers: list[tuple[AgentLink, int]] = []
        for _ in range(streams):
            link = AgentLink(stack.enter_context(access.transport.start_agent()))
            _bind(access, link, streams, first=not workers)
            name, options = model.uploads[0][1], device.load_options()
            loaded = link.load(name, device.runtime, options, given=model.given)
            workers.append((link, loaded.handle))

        def run_all(runs: int, usual: float) -> list[tuple[int, ...]]:
            deadline = run_deadline(streams * usual, runs)
            jobs = [
                pool.submit(link.run, handle, runs, INPUT_SEED, deadline)
                for link, handle in workers
            ]
            return [job.result()[0] for job in jobs]

        usual = statistics.median(ns for taken in run_all(WARMUP_RUNS, math.inf) for ns in taken)
        runs = max(LEAST_RUNS, min(MOST_RUNS, math.ceil(SECONDS * 1e9 / max(usual, 1.0))))
        per_s = runs_per_second(run_all(runs, usual))
        for link, _ in workers:
            link.quit()
    return {"streams": float(streams), "per_s": batch_size * per_s}


def _bind(access: DeviceAccess, link: AgentLink, streams: int, *, first: bool) -> None:
    """Gives a worker its threads, and the CPUs that all workers share; the first has the lease."""
    device = access.device
    if first:
        hello = access.lease.hello(link, threads=streams * device.threads)
    else:
        classes = device.spec.agent_classes()
        hello = link.hello(streams * device.threads, device.cpus, None, classes)
    cpus = None if hello.affinity is None else list(hello.affinity)
    link.hello(device.threads, cpus)


def runs_per_second(workers: Sequence[Sequence[int]]) -> float:
    """Runs a second while all workers ran, from the nanoseconds of the runs of each.

    They began together; what goes on after the first of them has ended had the device to itself,
    and does not count.
    """
    together = min(map(sum, workers))
    return sum(_done_within(taken, together) for taken in workers) / (together * 1e-9)


def _done_within(taken: Sequence[int], time: float) -> float:
    """How many runs were done in that time, the last of them in part."""
    done, left = 0.0, time
    for ns in taken:
        if ns > left:
            return done + left / ns
        done, left = done + 1, left - ns
    return done
