"""compofa-profile --device: measures devices and writes their tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import note
from compofa.common.errors import UserError
from compofa.common.files import check_suffix
from compofa.common.option_values import parse_duration, parse_share, parse_sizes, percent
from compofa.profiler.commands.options import Inventory, Json
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.settings import CONFIDENCE, Protocol
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from compofa.supernet.spaces import DEFAULT_SPACE, get_space

if TYPE_CHECKING:
    from compofa.profiler.fleet.job import FailedJob, FinishedJob, Job
    from compofa.profiler.measurement.plan import PlanSize
    from compofa.profiler.results.table import Cell

LARGEST_BATCH = 4096
MOST_CELLS = 100_000


def profile_command(
    context: typer.Context,
    device: Annotated[
        list[str] | None, typer.Option("--device", "-d", help="Of the inventory; may repeat.")
    ] = None,
    inventory: Inventory = Path("devices.yaml"),
    space: Annotated[str, typer.Option(help="A space's name, or a space file.")] = DEFAULT_SPACE,
    resolutions: Annotated[
        str | None, typer.Option(help="160,192 or 160-224:16; the space's own if left out.")
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="1 or 1,8; the device's own if left out.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Instead of the device's own.")] = None,
    accelerator: Annotated[str | None, typer.Option(help="Instead of the device's own.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Instead of the device's own.")] = None,
    threads: Annotated[int | None, typer.Option(help="Instead of the device's own.", min=1)] = None,
    plan: Annotated[
        str, typer.Option(help="auto, full, how many well-chosen cells, or TABLE.csv: its cells.")
    ] = "auto",
    target: Annotated[
        str, typer.Option(help="Relative half-width of intervals at which to stop.")
    ] = percent(Protocol.target),
    confidence: Annotated[str, typer.Option(help="Of the intervals.")] = percent(CONFIDENCE),
    max_time: Annotated[str | None, typer.Option(help="Budget: 90s, 10m or 2h.")] = None,
    out: Annotated[Path | None, typer.Option(help="The table; DEVICE.csv if left out.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an earlier journal.")] = False,
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Wait while the device is busy or hot.")
    ] = True,
    keep_models: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep the model files, for compofa-report --confirm."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the plan and the order.", min=0)] = 0,
    cluster: Annotated[
        str | None, typer.Option(help="auto or HOST:PORT of a Ray cluster that has the devices.")
    ] = None,
    json_: Json = False,
) -> None:
    """Measure how fast subnets run on a device, and write a latency table.

    Interrupt it when you like: the same command goes on where it stopped.
    """
    if context.invoked_subcommand is not None:
        return
    if not device:
        raise UserError(
            "no device given", hint="--device NAME; `compofa-profile devices` lists them"
        )
    if out is not None and len(device) > 1:
        raise UserError("--out names one table, but several devices are given")
    if out is not None:
        check_suffix(out, ".csv")
    if keep_models is not None and cluster is not None:
        raise UserError("--keep-models is a folder of this computer, and --cluster has others")
    from compofa.profiler.commands.outcome import tell
    from compofa.profiler.fleet.job import Job
    from compofa.profiler.inventory import changed, find_device
    from compofa.profiler.measurement.profile import ProfileRequest

    protocol = Protocol(
        target=parse_share(target, "target", 0.0, 1.0),
        confidence=parse_share(confidence, "confidence", 0.5, 1.0),
        max_time_s=None if max_time is None else parse_duration(max_time, "max-time"),
    )
    found = get_space(space)
    jobs = []
    for name in dict.fromkeys(device):
        settings = find_device(inventory, name)
        settings = changed(
            settings, runtime=runtime, accelerator=accelerator, dtype=dtype, threads=threads
        )
        request = ProfileRequest(
            space=found,
            resolutions=_sizes(resolutions, found.resolutions),
            batch_sizes=(
                (settings.batch_size,)
                if batch_size is None
                else parse_sizes(batch_size, "batch-size", 1, LARGEST_BATCH)
            ),
            out=out or Path(f"{name}.csv"),
            measure=_measure(plan),
            protocol=protocol,
            seed=seed,
            fresh=fresh,
            keep_models=keep_models,
            patience_s=PATIENCE_S if pause else 0.0,
        )
        jobs.append(Job(settings, request))
    alone = len(jobs) == 1 and cluster is None
    ends = [_measure_alone(jobs[0])] if alone else _measure_fleet(jobs, cluster)
    raise typer.Exit(tell(jobs, ends, json_))


def _measure_alone(job: Job) -> FinishedJob:
    """Profiles one device in this process; what goes wrong is raised."""
    from compofa.profiler.fleet.job import FinishedJob
    from compofa.profiler.measurement.profile import profile
    from compofa.profiler.measurement.progress import Display

    try:
        with Display(job.name) as display:
            return FinishedJob(profile(job.device, job.request, display))
    except KeyboardInterrupt:
        note(f"{job.request.out}: what was measured is kept; the same command goes on from there")
        raise


def _measure_fleet(jobs: list[Job], cluster: str | None) -> list[FinishedJob | FailedJob]:
    """Profiles several devices side by side, or those of a cluster."""
    from compofa.profiler.fleet.fleet import Fleet
    from compofa.profiler.measurement.progress import Screen

    if cluster is not None:
        from compofa.profiler.fleet.cluster import Cluster

        with Cluster(cluster) as hosts, Screen(plain=True) as screen:
            return Fleet(jobs, hosts, screen).run()
    from compofa.profiler.fleet.processes import Processes

    with Processes(jobs) as processes, Screen(plain=True) as screen:
        return Fleet(jobs, processes, screen, alone=processes.alone).run()


def _sizes(text: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    if text is None:
        return default
    return parse_sizes(text, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)


def _measure(plan: str) -> PlanSize:
    if plan == "auto":
        return "auto"
    if plan == "full":
        return "full"
    if plan.isascii() and plan.isdigit() and 1 <= int(plan) <= MOST_CELLS:
        return int(plan)
    if plan.endswith(".csv"):
        return _measured(Path(plan))
    raise UserError(
        f"--plan must be auto, full, a number of cells, or a table, as in base.csv, not {plan!r}"
    )


def _measured(table: Path) -> tuple[Cell, ...]:
    """The cells that a table has measured.

    Raises:
        UserError: it cannot be read, or has measured none.
    """
    from compofa.profiler.results.table import read_table

    cells = tuple(row.cell for row in read_table(table).rows if row.source == "measured")
    if not cells:
        raise UserError("no row of the table was measured", path=table)
    return cells
