"""A search on a device of which a few cells are known, with tables of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.profiler.results.table import Table, write_table
from compofa.search.answer import ask
from compofa.search.candidates import Latencies
from compofa.search.request import SearchRequest, find_candidates
from compofa.search.transfer import complete
from rigs.tables import COMPOFA, make_table


def few(table: Table, count: int = 8) -> Table:
    """The table with some of its rows, with an interval of 1 %."""
    rows = [table.rows[i] for i in np.random.default_rng(0).choice(len(table.rows), count, False)]
    return replace(table, rows=tuple(rows))


def given(*tables: Table) -> list[Latencies]:
    return [Latencies(Path(f"{table.setup.device}.csv"), table) for table in tables]


TRUTH = make_table("new", factor=2.0, slope=1.2)
OTHERS = given(make_table("phone"), make_table("board", slope=1.5))


def test_missing_cells_are_predicted_and_measured_ones_stay() -> None:
    (new,) = given(few(TRUTH))
    completed, told = complete(new, OTHERS, COMPOFA)
    rows = {row.cell: row for row in completed.table.rows}
    assert len(rows) == len(TRUTH.rows)
    assert all(rows[row.cell] == row for row in new.table.rows)
    others = [rows[row.cell] for row in TRUTH.rows if row not in new.table.rows]
    assert {row.source for row in others} == {"predicted"}
    errors = [
        abs((rows[row.cell].latency_ms or 0) / (row.latency_ms or 1) - 1) for row in TRUTH.rows
    ]
    assert np.mean(errors) < 0.02
    assert told[0].startswith(f"{len(others)} cells of new are predicted from 8 measured ones and")
    assert "phone, board" in told[0]


def test_the_search_answers_and_says_how_sure_it_is(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("new.csv", "phone.csv", "board.csv")]
    for path, table in zip(paths, [few(TRUTH), *(each.table for each in OTHERS)], strict=True):
        write_table(path, table)
    found = find_candidates(SearchRequest(tables=paths[:1], like=paths[1:]))
    assert len(found) == len(TRUTH.rows)
    assert "are predicted from 8 measured ones" in found.notes[0]
    (best,) = ask(found, [(40.0,)], top=1).results
    assert best.probability is not None
    assert best.probability[0] is not None
    assert 0.5 <= best.probability[0] < 1


def test_columns_of_the_table_s_own_stay() -> None:
    table = few(TRUTH)
    rows = tuple(replace(row, extra=(1.0,)) for row in table.rows)
    (new,) = given(replace(table, rows=rows, extra=("energy_mj",)))
    completed, _ = complete(new, OTHERS, COMPOFA)
    assert completed.table.extra == ("energy_mj",)
    assert {row.extra for row in completed.table.rows} == {(1.0,), (None,)}


@pytest.mark.parametrize(
    ("new", "others", "said"),
    [
        (make_table("new", batch_size=8), OTHERS, "the table has no measured cell at a batch size"),
        (
            few(TRUTH),
            given(make_table("a", resolutions=(160,)), make_table("b", resolutions=(224,))),
            "the tables to learn from share no cell",
        ),
    ],
)
def test_tables_without_common_cells_are_refused(
    new: Table, others: Sequence[Latencies], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        complete(given(new)[0], others, COMPOFA)


def test_cells_that_the_others_have_not_are_learned_from_too() -> None:
    elsewhere = make_table("new", resolutions=(192,), factor=2.0, slope=1.2)
    (new,) = given(few(elsewhere))
    completed, _ = complete(new, OTHERS, COMPOFA)
    rows = {row.cell: row.latency_ms or 0 for row in completed.table.rows}
    errors = [abs(rows[row.cell] / (row.latency_ms or 1) - 1) for row in TRUTH.rows]
    assert np.mean(errors) < 0.04


def test_a_table_in_images_per_second_is_set_aside_and_said() -> None:
    rows = [
        replace(row, latency_ms=1000 / (row.latency_ms or 1), ci_low_ms=None, ci_high_ms=None)
        for row in OTHERS[0].table.rows
    ]
    (rate,) = given(make_table("rate"))
    wrong = replace(rate, table=replace(rate.table, rows=tuple(rows)))
    (new,) = given(few(TRUTH, 5))
    _, told = complete(new, [wrong, OTHERS[1]], COMPOFA)
    assert "rate at batch size 1 is set aside" in told[1]
    assert "images per second?" in told[1]


def test_a_complete_table_stays_as_it_is() -> None:
    (new,) = given(TRUTH)
    completed, told = complete(new, OTHERS, COMPOFA)
    assert completed == new
    assert "has every cell already" in told[0]
