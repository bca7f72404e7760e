"""What a comparison says, in words that every report shares."""

from __future__ import annotations

import shlex

from compofa.profiler.comparison.changes import Changes, Confirmation
from compofa.profiler.comparison.gates import GateResult
from compofa.profiler.comparison.in_turns import in_turns_headline, in_turns_remarks
from compofa.profiler.comparison.verdict import Compared, Report
from compofa.profiler.comparison.wording import cell_name, interval, named, percent, share
from compofa.profiler.report.remarks import count
from compofa.profiler.statistics.compare import Verdict
from compofa.profiler.statistics.device_change import DeviceChange

HEADLINES = {
    Verdict.SLOWER: "Slower",
    Verdict.FASTER: "Faster",
    Verdict.SAME: "Nothing became slower",
    Verdict.CANNOT_TELL: "Cannot tell",
}

SMALL_DOUBT = 0.002
"""A share of a latency that is too small to be mentioned."""


def headline(report: Report) -> str:
    """The verdict and its main reason, in one line."""
    if len(report.devices) == 1 and not report.only_base:
        return device_headline(report.devices[0])
    decided = [each.device for each in report.devices if each.verdict is report.verdict]
    parts = [f"on {', '.join(decided)}"] if decided else []
    if report.only_base:
        parts.append(f"not measured now: {', '.join(report.only_base)}")
    known = f"{count(len(report.devices), 'device')} compared"
    return f"{HEADLINES[report.verdict]}: {'; '.join([*parts, known])}"


def device_headline(compared: Compared) -> str:
    """The verdict on one device."""
    changes, verdict = compared.changes, compared.verdict
    cells = count(len(changes.cells), "cell")
    if changes.side_by_side is not None:
        return f"{HEADLINES[verdict]}: {in_turns_headline(changes, changes.side_by_side)}"
    if changes.verdict is not verdict and (failed := _why_gated(compared)):
        said = "Worse" if verdict is Verdict.SLOWER else HEADLINES[verdict]
        return f"{said}: {'; '.join(failed)}"
    if verdict is Verdict.SLOWER:
        parts = _why_slower(compared)
    elif verdict is Verdict.CANNOT_TELL:
        parts = _why_undecided(changes)
    elif verdict is Verdict.FASTER:
        parts = [f"{len(changes.of(Verdict.FASTER)):,} of {cells} faster"]
    else:
        parts = [f"{cells} compared"]
    return f"{HEADLINES[verdict]}: {'; '.join(parts)}"


def _why_gated(compared: Compared) -> list[str]:
    """The gates that are not passed."""
    failed = (Verdict.SLOWER, Verdict.CANNOT_TELL)
    wrong = [each for each in compared.gates if each.verdict is compared.verdict]
    return [_gate(each) for each in wrong if each.verdict in failed]


def _gate(result: GateResult) -> str:
    """What became of a gate."""
    gate, over = result.gate, result.over
    cells = count(result.compared, "cell")
    if not result.compared:
        return f"{gate.column} is not known on both sides of any cell"
    if not over:
        return f"{gate.column}: none of {cells} is worse by more than {share(gate.share)}"
    sure = sum(each.sure for each in over)
    said = f"{sure:,} of {cells} worse" if sure else f"{len(over):,} of {cells} may be worse"
    return (
        f"{gate.column}: {said} by more than {share(gate.share)}, most of all "
        f"{cell_name(over[0].cell)}, {percent(over[0].ratio)}"
    )


def _why_slower(compared: Compared) -> list[str]:
    changes = compared.changes
    slower = changes.of(Verdict.SLOWER)
    parts = []
    if changes.broken:
        parts.append(f"{count(len(changes.broken), 'cell')} can no longer be measured")
    if slower:
        parts.append(
            f"{len(slower):,} of {count(len(changes.cells), 'cell')} slower, most of all "
            f"{cell_name(slower[0].cell)}, {percent(slower[0].ratio.value)}"
        )
    if not parts and changes.overall.verdict is Verdict.SLOWER:
        parts.append(f"all cells together, {percent(changes.overall.value)}")
    return parts or ["less accuracy can be reached within the same latency"]


def _why_undecided(changes: Changes) -> list[str]:
    parts = []
    if changes.suspects:
        suspects = count(len(changes.suspects), "cell")
        parts.append(f"{suspects} may be slower by more than {share(changes.min_effect)}")
    if changes.missing:
        parts.append(f"{count(len(changes.missing), 'cell')} of the base not measured now")
    if changes.device is not None and changes.device.doubt > changes.min_effect / 2:
        parts.append(f"the device changed by {percent(changes.device.reference_ratio)} meanwhile")
    overall = changes.overall.value
    return parts or [f"the change of all cells together, {percent(overall)}, is too uncertain"]


def _device(change: DeviceChange) -> str:
    """What the reference model says about the device, and what follows for the cells."""
    doubt = f" (give or take {100 * change.doubt:.1f} %)" if change.doubt > SMALL_DOUBT else ""
    return (
        "The latency of the reference model, which is the same on both sides, changed by "
        f"{percent(change.reference_ratio)}: that is the device. Cells covary with "
        f"{100 * change.slope:.0f} % of it, so {percent(change.ratio)}{doubt} is taken off each."
    )


def remarks(compared: Compared) -> list[str]:
    """What a reader should know beside the verdict, one sentence each."""
    changes = compared.changes
    if changes.side_by_side is not None:
        return in_turns_remarks(changes, changes.side_by_side)
    sentences = [] if compared.front is None else compared.front.sentences()
    sentences += [
        f"All cells together: {percent(changes.overall.value)} ({interval(changes.overall)}).",
        f"Changes below {share(changes.min_effect)} do not count; the probability of any false "
        f"alarm is at most {100 * (1 - changes.confidence):.2g} %.",
    ]
    if changes.device is not None:
        sentences.append(_device(changes.device))
    elif not changes.differences:
        sentences.append(
            "Without a journal of at least two sessions on each side, a device that became slower "
            "as a whole cannot be told from slower networks."
        )
    if changes.confirmation is not None:
        sentences += _confirmed(changes.confirmation)
    sentences += [f"Gate on {_gate(each)}." for each in compared.gates]
    for name, (before, after) in changes.differences.items():
        sentences.append(f"Allowed to differ: {name}, {before} in the base and {after} now.")
    if changes.broken:
        sentences.append(f"Can no longer be measured: {named(changes.broken)}.")
    if changes.missing:
        sentences.append(f"Not measured now: {named(changes.missing)}.")
    if changes.added:
        sentences.append(f"Not in the base: {named(changes.added)}.")
    return sentences + _how_to_decide(compared)


def _how_to_decide(compared: Compared) -> list[str]:
    """What to do where two tables do not tell; nothing where they do."""
    changes = compared.changes
    if compared.verdict is not Verdict.CANNOT_TELL:
        return []
    base, new = (shlex.quote(str(side.path)) for side in (changes.base, changes.new))
    device = shlex.quote(compared.device)
    if changes.missing:
        return [
            "To decide it, measure now what the base has: "
            f"compofa-profile --device {device} --plan {base} --out {new}"
        ]
    if changes.differences:
        return [
            "To decide it, measure a model file on both set-ups, session by session in turns: "
            "compofa-report compare MODEL --device A --device B"
        ]
    if changes.confirmation is not None:
        return ["To decide it, run the same command again: it goes on from its journal."]
    return [
        "To decide it, measure both sides in the same sessions, from the model files that "
        "compofa-profile --keep-models DIR has kept: "
        f"compofa-report compare {base} {new} --confirm --models DIR",
        "Or measure two model files run by run in turns, which tells most in a minute: "
        f"compofa-report compare BASE.onnx NEW.onnx --device {device}",
    ]


def _confirmed(confirmation: Confirmation) -> list[str]:
    """What measuring the suspects again came to."""
    said = []
    if confirmation.measured:
        said.append(
            f"{count(len(confirmation.measured), 'cell')} measured again, base and new side by "
            f"side in {count(confirmation.sessions, 'session')}: only that decides their verdicts."
        )
    if confirmation.identical:
        said.append(
            f"{count(len(confirmation.identical), 'suspect')} with the same model file on both "
            "sides, where the device differed and not the network: "
            f"{named(confirmation.identical)}."
        )
    return said
