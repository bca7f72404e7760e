"""What a profile would measure, send and take, told without the device."""

from __future__ import annotations

from dataclasses import dataclass

from compofa.profiler.fleet.job import Job
from compofa.profiler.measurement.plan import Plan
from compofa.profiler.measurement.profile import plan_of
from compofa.profiler.models.collection.read_collection import ReadCollection
from compofa.profiler.results.journal import journal_path
from compofa.profiler.results.predict import known_in_tables
from compofa.profiler.settings import Protocol
from compofa.supernet.export.dtype import bytes_per_number
from compofa.supernet.graph import build_graph
from compofa.supernet.space import Space

USUAL_RUN_S = 0.0025, 0.025
"""Between which runs of small networks lie on phones, boards and computers: nothing is known of
this device yet."""

WARMUP_RUNS = 12
"""Untimed runs of a cell in a session: three chunks, as most models take."""

RUNNING_SHARE = 0.8
"""Of a session's time: the rest loads models, times the reference model, and waits for replies
(benchmarks/results/profile.json)."""


@dataclass(frozen=True)
class Forecast:
    """What the profile of one device comes to.

    Attributes:
        cells: rows of the table.
        measured: cells that are measured; the others are predicted.
        sessions: the fewest and the most.
        seconds: for the fewest sessions with short runs, and for the most with long ones.
        upload_bytes: size of all model files.
        resumes: whether there is a journal that the profile goes on with.
    """

    cells: int
    measured: int
    sessions: tuple[int, int]
    seconds: tuple[float, float]
    upload_bytes: int
    resumes: bool


def forecast(job: Job) -> Forecast:
    """What `job` comes to; an earlier journal shortens it.

    Raises:
        UserError: the plan cannot be made.
    """
    request = job.request
    space = request.built_space
    others = () if space is None else known_in_tables(request.like, space)
    read = request.read_files(job.device)
    plan = plan_of(request, others, read)
    protocol = request.protocol
    sessions = protocol.min_sessions, protocol.max_sessions
    measured = len(plan.measured)
    low, high = (
        min(number * measured * visit_s(run_s, protocol), protocol.max_time_s or 1e9)
        for number, run_s in zip(sessions, USUAL_RUN_S, strict=True)
    )
    return Forecast(
        cells=len(plan.cells),
        measured=measured,
        sessions=sessions,
        seconds=(low, high),
        upload_bytes=_built_bytes(job, plan, space) if space else _read_bytes(read),
        resumes=not request.fresh and journal_path(request.out).exists(),
    )


def visit_s(run_s: float, protocol: Protocol) -> float:
    """Seconds that a session spends on a cell whose runs take `run_s` each."""
    return (protocol.runs_for(1e9 * run_s) + WARMUP_RUNS) * run_s / RUNNING_SHARE


def _read_bytes(read: ReadCollection | None) -> int:
    """Of all model files, each counted once at whatever batch sizes it is measured."""
    models = () if read is None else read.models.values()
    return sum({part.sha256: part.size for each in models for part in each.model.parts}.values())


def _built_bytes(job: Job, plan: Plan, space: Space) -> int:
    each = bytes_per_number(job.device.spec.file_dtype(job.device.dtype))
    files = {(cell.subnet, cell.resolution, cell.batch_size) for cell in plan.measured}
    return sum(
        each * build_graph(space, space.parse(subnet), resolution).params
        for subnet, resolution, _ in files
    )
