"""compofa-profile --device: measures devices and writes their tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from compofa.profiler.commands.options import (
    Inventory,
    Json,
    parse_duration,
    parse_share,
    parse_sizes,
)
from compofa.profiler.watch import PATIENCE_S
from compofa.supernet.console import note, print_json, printable
from compofa.supernet.errors import CompofaError, ExitCode, UserError, suggestion
from compofa.supernet.graph import LARGEST_RESOLUTION, SMALLEST_RESOLUTION
from compofa.supernet.space import DEFAULT_SPACE, get_space

if TYPE_CHECKING:
    from compofa.profiler.inventory import AnyDevice
    from compofa.profiler.profile import Outcome, Request

LARGEST_BATCH = 4096
MOST_CELLS = 100_000
PREVIEW_ROWS = 12


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
    threads: Annotated[int | None, typer.Option(help="Instead of the device's own.", min=1)] = None,
    plan: Annotated[
        str, typer.Option(help="auto, full, or how many well-chosen cells to measure.")
    ] = "auto",
    target: Annotated[
        str, typer.Option(help="Relative half-width of intervals at which to stop.")
    ] = "2%",
    confidence: Annotated[str, typer.Option(help="Of the intervals.")] = "0.95",
    max_time: Annotated[str | None, typer.Option(help="Budget: 90s, 10m or 2h.")] = None,
    out: Annotated[Path | None, typer.Option(help="The table; DEVICE.csv if left out.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an earlier journal.")] = False,
    pause: Annotated[
        bool, typer.Option("--pause/--no-pause", help="Wait while the device is busy or hot.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the plan and the order.", min=0)] = 0,
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
    from compofa.profiler.inventory import find_device
    from compofa.profiler.profile import Request
    from compofa.profiler.protocol import Protocol

    protocol = Protocol(
        target=parse_share(target, "target", 0.0, 1.0),
        confidence=parse_share(confidence, "confidence", 0.5, 1.0),
        max_time_s=None if max_time is None else parse_duration(max_time, "max-time"),
    )
    found = get_space(space)
    jobs: list[tuple[AnyDevice, Request]] = []
    for name in dict.fromkeys(device):
        settings = find_device(inventory, name)
        settings = _changed(settings, runtime, threads)
        request = Request(
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
        )
        jobs.append((settings, request))
    raise typer.Exit(_run(jobs, PATIENCE_S if pause else 0.0, json_))


def _run(jobs: list[tuple[AnyDevice, Request]], patience_s: float, json_: bool) -> int:
    """Profiles the devices one after another; one that fails does not keep the rest from it."""
    from compofa.profiler.profile import profile
    from compofa.profiler.progress import Display

    codes: list[ExitCode] = []
    errors: list[ExitCode] = []
    described: list[dict[str, Any]] = []
    for device, request in jobs:
        try:
            with Display(device.name) as display:
                outcome = profile(device, request, display, patience_s=patience_s)
        except CompofaError as error:
            if len(jobs) == 1:
                raise
            note(f"{device.name}: error: {error}")
            errors.append(error.exit_code)
            described.append({"device": device.name, "error": str(error)})
            continue
        except KeyboardInterrupt:
            note(f"{request.out}: what was measured is kept; the same command goes on from there")
            raise
        codes.append(_exit_code(outcome))
        described.append(_described(device, outcome))
        if not json_:
            _show(device, outcome)
    if json_:
        print_json({"tables": described})
    if errors:
        return ExitCode.PARTIAL if codes else errors[0]
    return max(codes)


def _exit_code(outcome: Outcome) -> ExitCode:
    if outcome.out_of_time:
        return ExitCode.OUT_OF_TIME
    written = outcome.written
    partial = written.count("failed") or written.count("unconverged")
    return ExitCode.PARTIAL if partial else ExitCode.DONE


def _described(device: AnyDevice, outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON."""
    written = outcome.written
    held_out = written.held_out
    return {
        "device": device.name,
        "table": str(written.path),
        "cells": len(written.table.rows),
        "measured": sum(row.source == "measured" for row in written.table.rows),
        "failed": written.count("failed"),
        "unconverged": written.count("unconverged"),
        "sessions": written.meta["sessions"],
        "held_out_error": written.meta["held_out_error"] if held_out else None,
        "drift": written.meta["drift"],
        "noise": written.meta["noise"],
        "seconds": round(outcome.seconds, 3),
        "out_of_time": outcome.out_of_time,
    }


def _show(device: AnyDevice, outcome: Outcome) -> None:
    """Prints a part of the table, and what it is worth."""
    written = outcome.written
    rows = sorted(written.table.rows, key=lambda row: row.latency_ms or float("inf"))
    step = max(1, -(-len(rows) // PREVIEW_ROWS))
    print(f"{'subnet':<14}{'resolution':>10}{'batch':>7}{'latency':>12}  interval")
    for row in rows[::step]:
        cell = row.cell
        key = cell.subnet if len(cell.subnet) <= 13 else cell.subnet[:12] + "…"
        line = f"{key:<14}{cell.resolution:>10}{cell.batch_size:>7}"
        if row.latency_ms is None:
            print(f"{line}{'failed':>12}")
            continue
        line += f"{row.latency_ms:>9.3f} ms"
        if row.ci_low_ms is not None and row.ci_high_ms is not None:
            line += f"  {row.ci_low_ms:.3f} to {row.ci_high_ms:.3f}"
        print(f"{line}  {row.source}{'' if row.status == 'ok' else ', ' + row.status}")
    if step > 1:
        print(f"… one row in {step} is shown")
    measured = sum(row.source == "measured" for row in rows)
    print(
        f"{device.name}: {measured} cells measured in {written.meta['sessions']} sessions, "
        f"{len(rows) - measured} predicted, {outcome.seconds:.0f} s"
    )
    if written.held_out is not None:
        held_out = written.held_out
        print(
            f"on {held_out.n} held-out cells: mean absolute error "
            f"{held_out.mean_absolute_percent:.2f} %, rank correlation "
            f"{held_out.rank_correlation:.4f}, {held_out.coverage:.0%} inside their "
            f"{held_out.confidence:.0%} intervals"
        )
    for batch_size, checked in written.meta["additivity"].items():
        if checked is not None:
            print(
                f"sums of unit terms are off by {checked['residual_sd_percent']:.2f} % "
                f"(bias {checked['bias_percent']:+.2f} %) at batch size {batch_size}"
            )
    for status in ("unconverged", "failed"):
        if written.count(status):
            print(f"{written.count(status)} cells {status}")
    for cell, reason in written.meta["failures"].items():
        print(printable(f"{cell}: {reason}"))
    if outcome.out_of_time:
        print("out of time: the same command goes on from here")
    print(f"table: {written.path}")


def _changed(device: AnyDevice, runtime: str | None, threads: int | None) -> AnyDevice:
    """The device with what the command line says otherwise."""
    from compofa.profiler.inventory import RUNTIMES

    if runtime is not None and runtime not in RUNTIMES:
        raise UserError(f"unknown runtime {runtime!r}", hint=suggestion(runtime, list(RUNTIMES)))
    changes: dict[str, Any] = {}
    if runtime is not None:
        changes["runtime"] = runtime
    if threads is not None:
        changes["threads"] = threads
    return device.model_copy(update=changes)


def _sizes(text: str | None, default: tuple[int, ...]) -> tuple[int, ...]:
    if text is None:
        return default
    return parse_sizes(text, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)


def _measure(plan: str) -> int | Literal["auto", "full"]:
    if plan == "auto":
        return "auto"
    if plan == "full":
        return "full"
    if plan.isascii() and plan.isdigit() and 1 <= int(plan) <= MOST_CELLS:
        return int(plan)
    raise UserError(f"--plan must be auto, full or a number of cells, not {plan!r}")
