"""What the command prints about devices that were measured, or would be, as text or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from compofa.common.console import print_json, printable
from compofa.common.errors import ExitCode
from compofa.common.progress_meter import duration
from compofa.profiler.fleet.forecast import USUAL_RUN_S, Forecast, forecast
from compofa.profiler.fleet.job import FailedJob, FinishedJob, Job
from compofa.profiler.measurement.profile import Outcome
from compofa.profiler.results.build import Tabulated
from compofa.profiler.results.columns.column_summary import described_columns, summarise_columns
from compofa.profiler.results.journal import journal_path

PREVIEW_ROWS = 12


def print_outcomes(
    jobs: Sequence[Job], ends: Sequence[FinishedJob | FailedJob], json_: bool
) -> int:
    """Prints what became of each job; returns the exit code.

    For a single device, a part of the table is shown too. Failures of devices have been reported
    when they happened.
    """
    measured = [end.outcome for end in ends if isinstance(end, FinishedJob)]
    failed = [end.exit_code for end in ends if isinstance(end, FailedJob)]
    if json_:
        pairs = zip(jobs, ends, strict=True)
        print_json({"tables": [_described(job.name, end) for job, end in pairs]})
    else:
        for job, end in zip(jobs, ends, strict=True):
            if isinstance(end, FinishedJob):
                if len(jobs) == 1:
                    _show_rows(end.outcome)
                _show_summary(job.name, end.outcome)
    if failed:
        return ExitCode.PARTIAL if measured else failed[0]
    return max(map(_exit_code, measured))


def _exit_code(outcome: Outcome) -> ExitCode:
    if outcome.out_of_time:
        return ExitCode.OUT_OF_TIME
    written = outcome.written
    partial = written.count("failed") or written.count("unconverged")
    return ExitCode.PARTIAL if partial else ExitCode.DONE


def _described(device: str, end: FinishedJob | FailedJob) -> dict[str, Any]:
    """What became of a device as JSON."""
    if isinstance(end, FailedJob):
        return {"device": device, "error": end.message}
    outcome, written = end.outcome, end.outcome.written
    meta = written.meta.to_json()
    return {
        "device": device,
        "table": str(written.path),
        "cells": len(written.table.rows),
        "measured": sum(row.source == "measured" for row in written.table.rows),
        "failed": written.count("failed"),
        "unconverged": written.count("unconverged"),
        "doubts": written.meta.doubted,
        "speeds": [each.sentence for each in written.meta.speeds],
        "sessions": written.meta.sessions,
        "held_out_error": meta["held_out_error"],
        "drift": written.meta.drift,
        "noise": meta["noise"],
        "columns": _columns(written),
        "seconds": round(outcome.seconds, 3),
        "out_of_time": outcome.out_of_time,
    }


def _columns(written: Tabulated) -> dict[str, dict[str, float | bool | None]]:
    """What is known of each measured column."""
    summaries = summarise_columns(written.table, written.meta.measures)
    return {name: asdict(each) for name, each in summaries.items()}


def _show_columns(written: Tabulated) -> None:
    """Prints a line for each measured column that is no end of an interval."""
    for name, text in described_columns(written.table, written.meta.measures):
        print(f"{name}: {text}")


def _show_rows(outcome: Outcome) -> None:
    """Prints a part of the table."""
    rows = sorted(outcome.written.table.rows, key=lambda row: row.latency_ms or float("inf"))
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


def _show_summary(device: str, outcome: Outcome) -> None:
    """Prints what the table is worth."""
    written = outcome.written
    rows = written.table.rows
    measured = sum(row.source == "measured" for row in rows)
    print(
        f"{device}: {measured} cells measured in {written.meta.sessions} sessions, "
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
    for batch_size, checked in written.meta.additivity.items():
        if checked is not None:
            print(
                f"sums of the latencies of units are off by {checked.residual_sd_percent:.2f} % "
                f"(bias {checked.bias_percent:+.2f} %) at batch size {batch_size}"
            )
    _show_columns(written)
    for status in ("failed", "unconverged"):
        if number := written.count(status):
            print(f"{number} {'cell' if number == 1 else 'cells'} {status}")
    for doubt, doubted in written.meta.doubted.items():
        print(f"{doubted} of them because {doubt}")
    for speeds in written.meta.speeds:
        print(speeds.sentence)
    for cell, reason in written.meta.failures.items():
        print(printable(f"{cell}: {reason}"))
    if outcome.out_of_time:
        print("out of time: the same command continues from here")
    print(f"table: {written.path}")


def print_forecasts(jobs: Sequence[Job], json_: bool) -> None:
    """Prints what each job comes to."""
    told = [(job, forecast(job)) for job in jobs]
    if json_:
        print_json({"dry_run": [_forecast_json(job, each) for job, each in told]})
        return
    for job, each in told:
        print(printable(_forecast_sentence(job, each)))


def _forecast_sentence(job: Job, told: Forecast) -> str:
    shortest, longest = USUAL_RUN_S
    goes_on = f"; it goes on with {journal_path(job.request.out)}" if told.resumes else ""
    return (
        f"{job.name}: {told.measured} of {told.cells} cells would be measured, in "
        f"{told.sessions[0]} to {told.sessions[1]} sessions, and written to {job.request.out}"
        f"{goes_on}. That takes {duration(told.seconds[0])} to {duration(told.seconds[1])} where "
        f"runs take {1e3 * shortest:g} to {1e3 * longest:g} ms. Model files of "
        f"{told.upload_bytes / 1e6:.0f} MB go to the device, each once."
    )


def _forecast_json(job: Job, told: Forecast) -> dict[str, Any]:
    return {
        "device": job.name,
        "table": str(job.request.out),
        "cells": told.cells,
        "measured": told.measured,
        "sessions": list(told.sessions),
        "seconds": [round(each) for each in told.seconds],
        "upload_bytes": told.upload_bytes,
        "resumes": told.resumes,
    }
