"""What is said of models, or of set-ups, that were measured in turns."""

from __future__ import annotations

from compofa.profiler.comparison.changes import Changes, SideBySide
from compofa.profiler.comparison.wording import (
    MOST_NAMED,
    cell_name,
    interval,
    named,
    percent,
    share,
)
from compofa.profiler.report.remarks import count
from compofa.profiler.statistics.compare import Verdict

DIGITS = 2
"""Behind the point of a percentage."""

TOO_DIFFERENT = 10.0
"""Of outputs: what differs by more than so many times the largest value computes something else."""


def in_turns_headline(changes: Changes, how: SideBySide) -> str:
    """What was found."""
    if len(changes.cells) == 1 and not (changes.broken or changes.missing):
        (only,) = changes.cells
        if only.cell in how.identical and not how.measured_identical:
            return f"{cell_name(only.cell)} is the same file on both sides"
        ratio = only.ratio
        return f"{cell_name(only.cell)} {percent(ratio.value, DIGITS)} ({interval(ratio, DIGITS)})"
    slower = changes.of(Verdict.SLOWER)
    counted = {
        "can no longer be measured": len(changes.broken),
        "slower": len(slower),
        "not decided": len(changes.suspects),
        "not measured on both sides": len(changes.missing),
        "faster": len(changes.of(Verdict.FASTER)),
        "unchanged": len(changes.of(Verdict.SAME)),
    }
    parts = [f"{count(number, 'model')} {said}" for said, number in counted.items() if number]
    if slower:
        most = percent(slower[0].ratio.value, DIGITS)
        parts.append(f"most of all {cell_name(slower[0].cell)}, {most}")
    return "; ".join(parts) or "no model was measured"


def in_turns_remarks(changes: Changes, how: SideBySide) -> list[str]:
    """What a reader should know beside the verdict, one sentence each."""
    sentences = []
    if how.processes:
        sentences.append(f"{_turns(how)}: {how.runs:,} runs within {how.seconds:.0f} s.")
    if len(changes.cells) > 1:
        overall = changes.overall
        sentences.append(
            f"All together: {percent(overall.value, DIGITS)} ({interval(overall, DIGITS)})."
        )
    least = share(changes.min_effect)
    counts = f"Changes below {least} do not count" if changes.min_effect else "Any change counts"
    sentences.append(
        f"{counts}; the probability of any false alarm is at most "
        f"{100 * (1 - changes.confidence):.2g} %."
    )
    if how.identical:
        done = "" if how.measured_identical else ", so nothing was measured (--force does)"
        sentences.append(f"The same file on both sides{done}: {named(how.identical)}.")
    for cell, difference in how.differing_outputs[:MOST_NAMED]:
        by = f"by up to {100 * difference:.3g} % of the largest value"
        by = by if difference < TOO_DIFFERENT else "altogether"
        sentences.append(f"The outputs of the two sides of {cell_name(cell)} differ {by}.")
    sentences += [f"{cell_name(cell)}, {reason}." for cell, reason in how.failures[:MOST_NAMED]]
    for name, (before, after) in changes.differences.items():
        sentences.append(f"The set-ups differ in {name}: {before} in the base and {after} now.")
    if changes.missing:
        sentences.append(f"Not measured on both sides: {named(changes.missing)}.")
    if changes.added:
        sentences.append(f"Not in the base: {named(changes.added)}.")
    if how.went_on:
        sentences.append("A part was measured by an earlier call; --fresh begins anew.")
    if changes.suspects and how.out_of_time:
        sentences.append("--max-time is over; the same command goes on from where it stopped.")
    return sentences


def _turns(how: SideBySide) -> str:
    if how.set_ups:
        sessions = count(how.processes, "session")
        return f"Measured session by session in turns, {sessions} of each set-up"
    processes = "1 process" if how.processes == 1 else f"{how.processes:,} processes"
    return f"Measured run by run in turns, in {processes}"
