"""One table's section of a page: its remarks, pictures and facts, as far as they are known."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from compofa.common.errors import UserError
from compofa.profiler.report import facts, prediction_charts, remarks, session_charts
from compofa.profiler.report.facts import FactList
from compofa.profiler.report.judgement import Judged, Judgement, judge
from compofa.profiler.report.model_list import ListedModel, list_models
from compofa.profiler.report.remarks import Remark
from compofa.profiler.report.scatter import Scatter, scatter
from compofa.profiler.report.style import Spec
from compofa.profiler.report.timeline import Timeline, timeline
from compofa.profiler.results.evidence import Evidence
from compofa.profiler.results.meta import Meta
from compofa.profiler.statistics.variance_components import VarianceComponents
from compofa.supernet.space import Space

MOST_LISTED = 50
"""How many held-out cells, failures, disturbances and caveats are listed, at most."""


@dataclass(frozen=True)
class Figure:
    """A picture with its heading and caption.

    Attributes:
        name: of the picture within its section.
        summary: what it shows, for those who cannot see it.
        narrow: whether it is best about as wide as high.
    """

    name: str
    title: str
    summary: str
    caption: str
    spec: Spec
    narrow: bool = False


@dataclass(frozen=True)
class Section:
    """Everything the page says about one table.

    Attributes:
        file: the table's file name.
        missing: what is not there, and what cannot be shown without it.
        caveats: what casts doubt on all of the figures.
        models: the user's model files, where the table is about those.
        worst: the held-out cells whose predictions are furthest off, those first.
        notes: sentences on additivity.
        disturbances: what disturbed the device, and for how long it was waited.
        failures: cells and reasons.
    """

    title: str
    file: str
    subtitle: str
    missing: tuple[str, ...]
    caveats: tuple[str, ...]
    remarks: tuple[Remark, ...]
    figures: tuple[Figure, ...]
    models: tuple[ListedModel, ...]
    worst: tuple[Judged, ...]
    notes: tuple[str, ...]
    facts: tuple[FactList, ...]
    disturbances: tuple[tuple[str, str], ...]
    failures: tuple[tuple[str, str], ...]
    judgement: Judgement | None


def make_section(evidence: Evidence, own_space: Space | None = None) -> Section:
    """The section of a table.

    Args:
        own_space: the table's space, where it comes from a file.

    Raises:
        UserError: the journal's times make no sense.
    """
    missing = list(evidence.missing)
    models = list_models(evidence)
    judgement: Judgement | None = None
    try:
        # Model files are measured, and never predicted.
        judgement = None if models else judge(evidence, own_space)
    except UserError as error:
        # The page is about the table all the same: it says what it cannot show.
        missing.append(f"Predictions cannot be judged: {error}.")
    if max(_sessions(evidence), default=0) < 2:
        missing.append("No cell was measured in two sessions, so the noise is not known.")
    line = spread = None
    if evidence.journal is not None:
        line = timeline(evidence.journal.lines, evidence.journal.analysis.slope)
        spread = scatter(evidence.journal.analysis)
    meta, rows = evidence.meta, evidence.table.rows
    measured = sum(row.source == "measured" for row in rows)
    worst = judgement.cells if judgement is not None else ()
    return Section(
        title=evidence.table.setup.device,
        file=evidence.path.name,
        subtitle=f"{remarks.count(len(rows), 'cell')}, "
        f"{measured:,} measured and {len(rows) - measured:,} predicted",
        missing=tuple(missing),
        caveats=() if meta is None else meta.caveats[:MOST_LISTED],
        remarks=_remarks(evidence, judgement),
        figures=_figures(judgement, line, spread),
        models=models,
        worst=tuple(sorted(worst, key=lambda each: -abs(each.error_percent))[:MOST_LISTED]),
        notes=() if meta is None else _notes(meta, _standard_error_percent(evidence)),
        facts=_facts(evidence),
        disturbances=() if meta is None else _disturbances(meta),
        failures=() if meta is None else tuple(meta.failures.items())[:MOST_LISTED],
        judgement=judgement,
    )


def _remarks(evidence: Evidence, judgement: Judgement | None) -> tuple[Remark, ...]:
    made: list[Remark | None] = []
    error = judgement.error if judgement is not None else None
    if error is None and evidence.meta is not None:
        error = evidence.meta.held_out_error
    if error is not None:
        made.append(remarks.on_predictions(error))
    made.append(remarks.on_precision(evidence.table))
    noise = _noise(evidence)
    if noise is not None:
        sessions = _sessions(evidence)
        made.append(remarks.on_noise(noise, sessions[len(sessions) // 2], len(sessions)))
    drift = evidence.meta.drift if evidence.meta is not None else None
    if evidence.journal is not None:
        drift = evidence.journal.analysis.drift
    if drift is not None:
        made.append(remarks.on_drift(drift))
    return tuple(each for each in made if each is not None)


def _noise(evidence: Evidence) -> VarianceComponents | None:
    """The noise, which a single session says nothing about."""
    if max(_sessions(evidence), default=0) < 2:
        return None
    if evidence.journal is not None:
        return evidence.journal.analysis.noise
    return None if evidence.meta is None else evidence.meta.noise


def _sessions(evidence: Evidence) -> list[int]:
    """Of each measured cell, in rising order."""
    return sorted(row.n_sessions for row in evidence.table.rows if row.n_sessions)


def _figures(
    judgement: Judgement | None, line: Timeline | None, spread: Scatter | None
) -> tuple[Figure, ...]:
    figures = []
    if judgement is not None:
        figures += [_measured_figure(judgement), _residual_figure(judgement)]
    if line is not None:
        figures.append(_drift_figure(line))
    if spread is not None:
        figures.append(_scatter_figure(spread))
    return tuple(figures)


def _measured_figure(judgement: Judgement) -> Figure:
    return Figure(
        "measured",
        "Measured against predicted",
        "Scatter plot of measured against predicted latency with intervals and the diagonal.",
        f"Each dot is a cell. {remarks.on_judgement(judgement)} On the dashed line the prediction "
        "is exact. Horizontal lines are prediction intervals, vertical ones the intervals of the "
        "measurements, cut off where they leave the picture. Good: dots along the line, and nearly "
        "all whose horizontal line meets it.",
        prediction_charts.measured_against_predicted(judgement.cells),
        narrow=True,
    )


def _residual_figure(judgement: Judgement) -> Figure:
    error = judgement.error
    return Figure(
        "residuals",
        "Held-out residuals",
        "Errors of predictions in percent against latency, with the prediction interval.",
        f"The same cells: above zero the prediction is too slow, below too fast. The band holds "
        f"{100 * error.confidence:.0f} % of cells if the model is right. "
        f"{remarks.on_coverage(error)} Good: dots on both sides of zero at every "
        "latency. A slope or a bend means that small or large subnets are mispredicted together.",
        prediction_charts.residuals(judgement.cells),
        narrow=True,
    )


def _drift_figure(line: Timeline) -> Figure:
    dots = "Each dot is its latency as timed"
    if line.per_point > 1:
        dots = f"Each dot is the median of {line.per_point} of its latencies as timed"
    pauses = ""
    if line.stops:
        total = sum(stop.count for stop in line.stops)
        pauses = f" Bars at the bottom mark {remarks.count(total, 'disturbance')} of the device."
    return Figure(
        "drift",
        "Drift over time",
        "The reference model's latency over measuring time, session by session.",
        f"The same small reference model is timed between all cells. {dots}, "
        f"in percent of its usual {line.level_ms:.4g} ms; vertical lines are where sessions begin. "
        "The orange line is what latencies measured at that moment were divided by: all of a "
        "lasting change, and of a passing one the share that cells covaried with."
        f"{pauses} Good: a flat band of dots around zero.",
        session_charts.drift(line),
    )


def _scatter_figure(spread: Scatter) -> Figure:
    which = "Each dot is a cell"
    if len(spread.shown) < spread.total:
        which = (
            f"Each dot is a cell, of which the {len(spread.shown)} furthest from the middle of "
            f"their session are drawn, out of {spread.total:,}"
        )
    return Figure(
        "scatter",
        "Session scatter",
        "For each session, how far its latency of each cell is from the cell's estimate.",
        f"Each column is a session. {which}. It shows how far the cell's latency in that session, "
        "corrected for drift, is from its estimate over all sessions. The box holds the middle "
        "half, and the bar is the median. A whole column that is off is the effect of that "
        "session; a single dot far from its column is an outlier, of which there are "
        f"{spread.outliers}. Good: narrow columns around zero.",
        session_charts.session_scatter(spread),
    )


def _standard_error_percent(evidence: Evidence) -> float:
    """Of a typical measured cell; 0 where it is not known."""
    noise, sessions = _noise(evidence), _sessions(evidence)
    if noise is None:
        return 0.0
    return 100 * noise.one_session / math.sqrt(sessions[len(sessions) // 2])


def _notes(meta: Meta, noise_percent: float) -> tuple[str, ...]:
    notes = []
    for batch_size, checked in list(meta.additivity.items())[:MOST_LISTED]:
        where = f"Batch size {batch_size}: " if len(meta.additivity) > 1 else ""
        said = "too few cells were measured to tell."
        if checked is not None:
            said = remarks.on_additivity(checked, noise_percent)
        notes.append(where + said)
    return tuple(notes)


def _facts(evidence: Evidence) -> tuple[FactList, ...]:
    lists = [facts.setup_facts(evidence.table)]
    noise = _noise(evidence)
    if noise is not None:
        lists.append(facts.noise_facts(noise))
    if evidence.meta is not None:
        meta = evidence.meta
        lists.append(facts.column_facts(evidence.table, meta))
        lists += [facts.device_facts(meta), facts.protocol_facts(meta), facts.state_facts(meta)]
    return tuple(each for each in lists if each.rows)


def _disturbances(meta: Meta) -> tuple[tuple[str, str], ...]:
    """What disturbed, the most frequent first: how often, and how long it was waited out.

    Reasons that differ in their figures only are one.
    """
    times: dict[str, list[float]] = {}
    for pause in meta.pauses:
        for reason in pause.reasons:
            times.setdefault(re.sub(r"[0-9][0-9.]*", "…", reason), []).append(pause.seconds)
    ordered = sorted(times.items(), key=lambda item: -len(item[1]))
    rows: list[tuple[str, str]] = [(each.of, each.sentence) for each in meta.speeds]
    rows += [
        (remarks.count(number, "unconverged cell"), reason)
        for reason, number in meta.doubted.items()
    ]
    return *rows, *(
        (reason, f"{remarks.count(len(seconds), 'time')}, {sum(seconds):.0f} s of waiting")
        for reason, seconds in ordered[:MOST_LISTED]
    )
