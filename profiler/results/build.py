"""From a journal to a table and its meta file: measured cells, and predictions of the others."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.profiler.agent import AGENT
from compofa.profiler.latency_model import (
    MINIMUM_CELLS,
    Additivity,
    HeldOutError,
    KnownDevice,
    LatencyModel,
    additivity,
    held_out_error,
)
from compofa.profiler.results.analysis import Analysis, CellResult, analyse
from compofa.profiler.results.columns.cost_model import CellCosts, predict_cell_costs
from compofa.profiler.results.journal import (
    Caveat,
    Cost,
    Header,
    JournalLine,
    Pause,
    PlanLine,
    SessionLine,
    Timing,
    journal_path,
    of_kind,
)
from compofa.profiler.results.measures import P90_MS, MeasureSpec, find_measures
from compofa.profiler.results.meta import (
    MeasuredColumn,
    Meta,
    ModelFacts,
    installed_version,
    meta_path,
    read_meta,
    write_meta,
)
from compofa.profiler.results.model_lines import (
    latest_models,
    lines_that_count,
    model_columns,
    model_values,
)
from compofa.profiler.results.predict import predicted_rows, shapes
from compofa.profiler.results.table import Cell, Row, Table, read_table, write_table
from compofa.profiler.statistics.stopping import guarded
from compofa.supernet.space import Space


@dataclass(frozen=True)
class Tabulated:
    """A table that was written, and its meta file.

    Attributes:
        held_out: how far the latency model was off on cells it had not seen; None where everything
            was measured, or too little to fit one.
    """

    path: Path
    table: Table
    meta: Meta
    held_out: HeldOutError | None

    def count(self, status: str) -> int:
        """Measured rows of that status."""
        rows = self.table.rows
        return sum(row.status == status and row.source == "measured" for row in rows)


def write_tables(
    out: Path,
    space: Space | None,
    header: Header,
    lines: Sequence[JournalLine],
    others: Sequence[KnownDevice] = (),
) -> Tabulated:
    """Makes a table from the journal's lines, and writes it and its meta file.

    Cells of `space` that were not measured are predicted, also from `others` that the device may be
    like. Where it is None, as for a user's model files, nothing is predicted.

    Raises:
        UserError: nothing was measured yet, or a file cannot be written.
    """
    plans = of_kind(lines, PlanLine)
    if not plans:
        raise UserError("the journal holds no plan", path=journal_path(out))
    plan = plans[-1]
    analysis = analyse(lines, plan.protocol["confidence"])
    if not analysis.results:
        raise UserError("nothing was measured yet", path=journal_path(out))
    measures = find_measures(plan.columns)
    # Cells of earlier plans too: a table that is continued keeps them.
    costs = _costs(lines, plan)
    rows = {
        cell: _measured(replace(result, runs=runs), plan, measures)
        for cell, result in analysis.results.items()
        for runs in [replace(result.runs, costs=tuple(costs.get(cell, ())))]
    }
    held_out = None
    if space is not None and any(cell not in rows for cell in plan.cells):
        predicted, held_out = _predict(space, plan, analysis, others)
        nothing = (None,) * len(measures)
        rows = {**{cell: replace(row, extra=nothing) for cell, row in predicted.items()}, **rows}
    told = {} if space is None else _predicted_costs(space, plan, measures, rows)
    for place, measure in enumerate(measures):
        for cell, value in told[measure.name].values.items() if measure.name in told else ():
            extra = rows[cell].extra
            rows[cell] = replace(rows[cell], extra=(*extra[:place], value, *extra[place + 1 :]))
    order = dict.fromkeys((*plan.cells, *rows))
    names = tuple(measure.name for measure in measures)
    table = Table(header.setup, tuple(rows[cell] for cell in order if cell in rows), names)
    table = with_own_columns(_with_models(table, lines), out)
    meta = _meta(header, plan, lines, analysis).model_copy(
        update={
            "held_out_error": held_out,
            "additivity": {} if space is None else _additivity(space, plan, analysis),
            "measures": {each.name: _column(each, plan, told.get(each.name)) for each in measures},
        }
    )
    write_table(out, table)
    write_meta(meta_path(out), meta)
    return Tabulated(out, table, meta, held_out)


def _with_models(table: Table, lines: Sequence[JournalLine]) -> Table:
    """`table` with the columns that come of the user's model files."""
    models, columns = latest_models(lines), model_columns(lines)
    rows = tuple(
        replace(row, extra=row.extra + model_values(models.get(row.cell), columns))
        for row in table.rows
    )
    return replace(table, rows=rows, extra=table.extra + columns)


def _costs(lines: Sequence[JournalLine], plan: PlanLine) -> dict[Cell, list[Cost]]:
    """What passes apart from timing have counted, by cell; of so many workers as the plan has."""
    costs: dict[Cell, list[Cost]] = {}
    for line in of_kind(lines_that_count(lines), Cost):
        if line.counted.get("streams", plan.streams) == plan.streams:
            costs.setdefault(line.cell, []).append(line)
    return costs


def _predicted_costs(
    space: Space, plan: PlanLine, measures: Sequence[MeasureSpec], rows: Mapping[Cell, Row]
) -> dict[str, CellCosts]:
    """What is told of the columns of cells that were not measured, by the columns' names."""
    wanted = [cell for cell, row in rows.items() if row.source == "predicted"]
    held_out = {plan.cells[i] for i in plan.held_out}
    told = {}
    for place, measure in enumerate(measures):
        known = {
            cell: value
            for cell, row in rows.items()
            if row.source == "measured" and (value := row.extra[place]) is not None
        }
        if wanted and measure.of_network and known:
            # What is better the larger it is, is as work: so many a second are so long for one.
            invert = not measure.lower_is_better
            costs = predict_cell_costs(space, known, held_out, wanted, invert=invert)
            if costs is not None:
                told[measure.name] = costs
    return told


def _column(measure: MeasureSpec, plan: PlanLine, told: CellCosts | None) -> MeasuredColumn:
    """What the meta file says of a column."""
    workers = f" Workers at once: {plan.streams}." if measure.needs == "throughput" else ""
    return MeasuredColumn(
        meaning=measure.meaning + workers,
        lower_is_better=measure.lower_is_better,
        needs=measure.needs,
        held_out_percent=None if told is None else told.error_percent,
        predicted=told is not None and bool(told.values),
    )


def with_own_columns(table: Table, path: Path) -> Table:
    """`table` with the columns that somebody has added to the one at `path`, if there is one.

    Measured columns of the old table are not among them: they are measured again, or go.
    """
    try:
        before = read_table(path)
    except UserError:
        return table  # none yet, or no table: then it has no columns to keep
    measured = {*table.extra, *_measured_columns(path)}
    kept = [i for i, name in enumerate(before.extra) if name not in measured]
    known = {row.cell: tuple(row.extra[i] for i in kept) for row in before.rows}
    nothing = (None,) * len(kept)
    rows = tuple(replace(row, extra=row.extra + known.get(row.cell, nothing)) for row in table.rows)
    return replace(table, rows=rows, extra=table.extra + tuple(before.extra[i] for i in kept))


def _measured_columns(table: Path) -> frozenset[str]:
    """Names of the columns that the table at `table` was measured with."""
    try:
        return frozenset(read_meta(meta_path(table)).measures)
    except UserError:
        return frozenset()  # no meta file, or one that says nothing that can be read


def _measured(result: CellResult, plan: PlanLine, measures: Sequence[MeasureSpec]) -> Row:
    confidence, target = plan.protocol["confidence"], plan.protocol["target"]
    estimate = None if result.estimate is None else guarded(result.estimate, target)
    failed = result.failure is not None or estimate is None
    status = "ok" if result.converged(target) else "unconverged"
    bounded = estimate is not None and math.isfinite(estimate.relative_half_width)
    return Row(
        cell=result.cell,
        latency_ms=None if failed or estimate is None else estimate.value,
        ci_low_ms=estimate.low if estimate is not None and bounded and not failed else None,
        ci_high_ms=estimate.high if estimate is not None and bounded and not failed else None,
        confidence=confidence,
        p90_ms=None if failed else P90_MS.of(result.runs),
        source="measured",
        status="failed" if failed else ("ok" if status == "ok" else "unconverged"),
        n_sessions=result.n_sessions,
        n_runs=result.n_runs,
        model_sha256=result.model_sha256,
        measured_at=result.measured_at,
        extra=tuple(None if failed else measure.of(result.runs) for measure in measures),
    )


def _predict(
    space: Space, plan: PlanLine, analysis: Analysis, others: Sequence[KnownDevice]
) -> tuple[dict[Cell, Row], HeldOutError | None]:
    """Rows for the cells that were not measured, and the model's error on the held-out ones.

    The error is that of a model fitted without the held-out cells; the predictions come from one
    fitted with them, which knows more.
    """
    known = [cell for cell in plan.cells if analysis.usable(cell)]
    held_out = {plan.cells[i] for i in plan.held_out}
    seen = [cell for cell in known if cell not in held_out]
    # No model can be fitted yet; the table then holds what was measured.
    if len(seen) < MINIMUM_CELLS:
        return {}, None
    tested = [cell for cell in known if cell in held_out]
    confidence = plan.protocol["prediction_confidence"]
    error = None
    if tested:
        model = _fit(space, seen, analysis, plan.seed, others)
        latencies = [analysis.latency_ms(cell) for cell in tested]
        error = held_out_error(model, shapes(space, tested), latencies, confidence)
    model = _fit(space, known, analysis, plan.seed, others)
    model = replace(model, shared_error=analysis.shared_error)
    rest = [cell for cell in plan.cells if cell not in analysis.results]
    when = max(result.measured_at for result in analysis.results.values())
    rows = predicted_rows(model, space, rest, confidence, when)
    return {row.cell: row for row in rows}, error


def _fit(
    space: Space,
    cells: Sequence[Cell],
    analysis: Analysis,
    seed: int,
    others: Sequence[KnownDevice],
) -> LatencyModel:
    latencies = [analysis.latency_ms(cell) for cell in cells]
    noise = [analysis.relative_noise(cell) for cell in cells]
    known = shapes(space, cells)
    return LatencyModel.fit(space, known, latencies, relative_noise=noise, others=others, seed=seed)


def _additivity(space: Space, plan: PlanLine, analysis: Analysis) -> dict[str, Additivity | None]:
    """Whether latencies are sums of unit terms, per batch size; None where too few tell."""
    checked: dict[str, Additivity | None] = {}
    for batch_size in sorted({cell.batch_size for cell in plan.cells}):
        known = [c for c in plan.cells if c.batch_size == batch_size and analysis.usable(c)]
        latencies = [analysis.latency_ms(cell) for cell in known]
        checked[str(batch_size)] = additivity(space, shapes(space, known), latencies)
    return checked


def _meta(header: Header, plan: PlanLine, lines: Sequence[JournalLine], analysis: Analysis) -> Meta:
    """What NAME.meta.json says of the device, the sessions and the cells."""
    sessions, timings = of_kind(lines, SessionLine), of_kind(lines, Timing)
    shared = analysis.shared_error
    return Meta(
        compofa=installed_version(),
        setup=header.setup,
        fingerprint=header.fingerprint,
        facts=sessions[-1].facts,
        agent_sha256=sha256(AGENT.read_bytes()),
        affinity=sessions[-1].affinity,
        runtime_settings=next((t.settings for t in reversed(timings) if t.settings), {}),
        state_before=sessions[0].state,
        state_after=timings[-1].state if timings else sessions[-1].state,
        sessions=len({timing.session for timing in timings}),
        first_session_at=sessions[0].started_at,
        last_session_at=sessions[-1].started_at,
        protocol=plan.protocol,
        plan={
            "name": plan.plan,
            "space": plan.space,
            "seed": plan.seed,
            "fit": len(plan.fit),
            "held_out": len(plan.held_out),
        },
        drift=analysis.drift,
        noise=analysis.noise,
        shared_error=shared if math.isfinite(shared.freedom) else None,
        clock_tick_ns=analysis.tick_ns,
        speeds=analysis.speeds,
        caveats=tuple(
            dict.fromkeys(
                (*(each.text for each in of_kind(lines, Caveat)), *_problems(of_kind(lines, Cost)))
            )
        ),
        doubts=_named(analysis, lambda result: result.doubt),
        pauses=tuple(of_kind(lines, Pause)),
        failures=_named(analysis, lambda result: result.failure),
        models={
            _cell_name(cell): ModelFacts(
                file=line.file,
                format=line.format,
                bytes=line.size,
                inputs=line.inputs,
                checked_with=line.reference,
            )
            for cell, line in latest_models(lines).items()
        },
    )


def _problems(costs: Sequence[Cost]) -> list[str]:
    """What could not be counted, and why."""
    return [
        f"{cost.kind_of_pass} of {cost.cell.subnet} at {cost.cell.resolution} is not known: "
        f"{cost.problem}"
        for cost in costs
        if cost.problem
    ]


def _named(analysis: Analysis, reason: Callable[[CellResult], str | None]) -> dict[str, str]:
    """The reasons by the name of the cell, for the cells that have one."""
    said = {cell: reason(result) for cell, result in analysis.results.items()}
    return {_cell_name(cell): text for cell, text in said.items() if text is not None}


def _cell_name(cell: Cell) -> str:
    """What meta files call a cell."""
    return f"{cell.subnet}@{cell.resolution}x{cell.batch_size}"
