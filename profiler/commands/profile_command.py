"""compofa-profile --device: measures devices and writes their tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compofa.common.console import note
from compofa.common.errors import UserError
from compofa.common.files import check_suffix
from compofa.common.option_values import parse_duration, parse_share, parse_sizes, percent
from compofa.profiler.commands import model_options as files
from compofa.profiler.commands import profile_options as options
from compofa.profiler.commands.model_options import ModelOptions
from compofa.profiler.commands.options import Json
from compofa.profiler.settings import CONFIDENCE, FREE_MEASURES, Protocol
from compofa.supernet.defaults import DEFAULT_SPACE, LARGEST_RESOLUTION, SMALLEST_RESOLUTION

if TYPE_CHECKING:
    from compofa.profiler.fleet.job import FailedJob, FinishedJob, Job
    from compofa.profiler.measurement.plan import PlanSize
    from compofa.profiler.measurement.profile import ProfileRequest
    from compofa.profiler.models.collection.collection import Collection
    from compofa.profiler.results.table import Cell
    from compofa.profiler.transports.device import Device
    from compofa.supernet.space import Space

LARGEST_BATCH = 4096
MOST_CELLS = 100_000

TARGET, SURE = percent(Protocol.target), percent(CONFIDENCE)


@dataclass(frozen=True)
class DeviceOptions:
    """Which devices, and what the command line says instead of their inventory."""

    names: list[str]
    inventory: Path
    runtime: str | None
    accelerator: str | None
    dtype: str | None
    threads: int | None

    def devices(self) -> list[Device]:
        """Each device once, in the order in which they were asked for."""
        from compofa.profiler.inventory import changed, find_device

        changes = {
            "runtime": self.runtime,
            "accelerator": self.accelerator,
            "dtype": self.dtype,
            "threads": self.threads,
        }
        return [
            changed(find_device(self.inventory, name), **changes)
            for name in dict.fromkeys(self.names)
        ]


@dataclass(frozen=True)
class CellOptions:
    """Which cells are measured; `space` is None where none is named."""

    space: str | None
    resolutions: str | None
    plan: str
    seed: int
    like: tuple[Path, ...] = ()
    measure: str = FREE_MEASURES
    streams: int | None = None

    def columns(self, single: str | None) -> tuple[str, ...]:
        """The columns of all that is measured, and `single` ones."""
        from compofa.profiler.results.columns.cost_columns import columns_of

        streams = ("throughput",) if self.streams is not None else ()
        asked = columns_of((*_names(self.measure), *streams))
        return tuple(dict.fromkeys((*asked, *_names(single))))

    def check_for_files(self) -> None:
        """Refuses what model files have nothing to do with."""
        given = {"--space": self.space, "--resolutions": self.resolutions, "--like": self.like}
        for option, value in given.items():
            if value:
                raise UserError(
                    f"{option} is about subnets of a space, and model files are measured",
                    hint="leave it out, or leave out --model and --models",
                )


@dataclass(frozen=True)
class OutputOptions:
    """What is written; `out` names the table of a single device."""

    out: Path | None
    columns: str | None
    fresh: bool
    keep_models: Path | None


def profile_command(
    context: typer.Context,
    device: options.DevicesOption = None,
    inventory: options.InventoryOption = Path("devices.yaml"),
    runtime: options.RuntimeOption = None,
    accelerator: options.AcceleratorOption = None,
    dtype: options.DtypeChoice = None,
    threads: options.ThreadsOption = None,
    cluster: options.ClusterOption = None,
    model: files.ModelFilesOption = None,
    models: files.ModelFoldersOption = None,
    collection: files.CollectionOption = None,
    input_shape: files.InputShapeOption = None,
    input_data: files.InputDataOption = None,
    expected: files.ExpectedOption = None,
    space: options.SpaceOption = None,
    resolutions: options.ResolutionList = None,
    batch_size: options.BatchSizeOption = None,
    plan: options.PlanOption = "auto",
    like: options.LikeOption = None,
    measure: options.MeasureOption = FREE_MEASURES,
    streams: options.StreamsOption = None,
    seed: options.CellSeed = 0,
    target: options.TargetOption = TARGET,
    confidence: options.ConfidenceOption = SURE,
    max_time: options.MaxTimeOption = None,
    pause: options.PauseOption = True,
    out: options.OutOption = None,
    columns: options.ColumnsOption = None,
    fresh: options.FreshStart = False,
    keep_models: options.KeepModelsOption = None,
    dry_run: options.DryRunOption = False,
    json_: Json = False,
) -> None:
    """Measure how fast subnets or your own model files run on devices, and write a latency table.

    You can interrupt it at any time: the same command continues where it stopped.
    """
    if context.invoked_subcommand is not None:
        return
    devices = DeviceOptions(device or [], inventory, runtime, accelerator, dtype, threads)
    outputs = OutputOptions(out, columns, fresh, keep_models)
    cells = CellOptions(space, resolutions, plan, seed, tuple(like or ()), measure, streams)
    _check_together(devices, outputs, cells, cluster)
    protocol = _protocol(target, confidence, max_time)
    given = ModelOptions(model, models, collection, input_shape, input_data, expected).read()
    request = _request(given or _space(cells), cells, outputs, protocol, pause)
    jobs = _jobs(devices.devices(), request, batch_size, out)
    from compofa.profiler.commands.outcome import print_forecasts, print_outcomes

    if dry_run:
        print_forecasts(jobs, json_)
        return

    alone = len(jobs) == 1 and cluster is None
    ends = [_measure_alone(jobs[0])] if alone else _measure_fleet(jobs, cluster)
    raise typer.Exit(print_outcomes(jobs, ends, json_))


def _check_together(
    devices: DeviceOptions, outputs: OutputOptions, cells: CellOptions, cluster: str | None
) -> None:
    """Refuses options that do not go together."""
    if not devices.names:
        raise UserError(
            "no device is given",
            hint="name one with --device NAME; `compofa-profile devices` lists them",
        )
    if outputs.out is not None and len(devices.names) > 1:
        raise UserError("--out names one table, but several devices are given")
    if outputs.out is not None:
        check_suffix(outputs.out, ".csv")
    if outputs.keep_models is not None and cluster is not None:
        raise UserError(
            "--keep-models does not work with --cluster, whose hosts build the models themselves"
        )
    if cells.like and cluster is not None:
        raise UserError(
            "--like does not work with --cluster, whose hosts cannot read tables of this computer"
        )


def _protocol(target: str, confidence: str, max_time: str | None) -> Protocol:
    return Protocol(
        target=parse_share(target, "target", 0.0, 1.0),
        confidence=parse_share(confidence, "confidence", 0.5, 1.0),
        max_time_s=None if max_time is None else parse_duration(max_time, "max-time"),
    )


def _space(cells: CellOptions) -> Space:
    from compofa.supernet.spaces import get_space

    return get_space(cells.space or DEFAULT_SPACE)


def _request(
    subject: Space | Collection,
    cells: CellOptions,
    outputs: OutputOptions,
    protocol: Protocol,
    pause: bool,
) -> ProfileRequest:
    """What to measure on any device; `_jobs` says where to write it."""
    from compofa.profiler.measurement.device_monitor import PATIENCE_S
    from compofa.profiler.measurement.profile import ProfileRequest
    from compofa.supernet.space import Space

    if isinstance(subject, Space):
        sizes = subject.resolutions
    else:
        cells.check_for_files()
        sizes = ()
        if outputs.keep_models is not None:
            raise UserError("--keep-models is about subnets: your own model files are kept anyway")
    if cells.resolutions is not None:
        bounds = SMALLEST_RESOLUTION, LARGEST_RESOLUTION
        sizes = parse_sizes(cells.resolutions, "resolutions", *bounds)
    return ProfileRequest(
        space=subject,
        resolutions=sizes,
        batch_sizes=(),
        out=outputs.out or Path(),
        measure=_measure(cells.plan),
        protocol=protocol,
        seed=cells.seed,
        fresh=outputs.fresh,
        keep_models=outputs.keep_models,
        patience_s=PATIENCE_S if pause else 0.0,
        columns=cells.columns(outputs.columns),
        streams=cells.streams or 1,
        like=cells.like,
    )


def _jobs(
    devices: list[Device], request: ProfileRequest, batch_size: str | None, out: Path | None
) -> list[Job]:
    """A job for each device: its own batch size unless one is asked for, its own table."""
    from compofa.profiler.fleet.job import Job

    asked = None if batch_size is None else parse_sizes(batch_size, "batch-size", 1, LARGEST_BATCH)
    return [
        Job(
            device,
            replace(
                request,
                batch_sizes=asked or (device.batch_size,),
                out=out or Path(f"{device.name}.csv"),
            ),
        )
        for device in devices
    ]


def _names(columns: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (columns or "").split(",") if name.strip())


def _measure_alone(job: Job) -> FinishedJob:
    """Profiles one device in this process; what goes wrong is raised."""
    from compofa.profiler.fleet.job import FinishedJob
    from compofa.profiler.measurement.profile import profile
    from compofa.profiler.measurement.progress import Display

    try:
        with Display(job.name) as display:
            return FinishedJob(profile(job.device, job.request, display))
    except KeyboardInterrupt:
        note(f"{job.request.out}: what was measured is kept; the same command continues from there")
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


def _measure(plan: str) -> PlanSize:
    if plan == "auto":
        return "auto"
    if plan == "full":
        return "full"
    if plan.isascii() and plan.isdigit() and 1 <= int(plan) <= MOST_CELLS:
        return int(plan)
    if plan.endswith(".csv"):
        return _measured_cells(Path(plan))
    raise UserError(
        f"--plan must be auto, full, a number of cells, or a table, as in base.csv, not {plan!r}"
    )


def _measured_cells(table: Path) -> tuple[Cell, ...]:
    """The cells that a table has measured.

    Raises:
        UserError: it cannot be read, or has measured none.
    """
    from compofa.profiler.results.table import read_table

    cells = tuple(row.cell for row in read_table(table).rows if row.source == "measured")
    if not cells:
        raise UserError("no row of the table was measured", path=table)
    return cells
