"""compofa-profile predict: latencies of cells that were not measured, from those that were."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import note, print_json, printable
from compofa.common.files import check_suffix
from compofa.common.option_values import parse_share, percent
from compofa.profiler.commands.options import Json, SpaceFile
from compofa.profiler.settings import PREDICTION_CONFIDENCE

CONFIDENCE = percent(PREDICTION_CONFIDENCE)


_TableOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The table whose measured rows the latency model is fitted on.",
        show_default=False,
    ),
]
_CellsOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The cells to predict: a CSV file with the columns space, subnet, resolution and "
        "batch_size.",
        show_default=False,
    ),
]
_OutOption = Annotated[
    Path, typer.Option(metavar="FILE", help="The table to write.", show_default=False)
]
_ConfidenceOption = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        help="The probability that a prediction interval holds the latency: more than 50 % and "
        "less than 100 %.",
    ),
]
_LikeOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="A table of another device to learn from. May be given several times.",
        show_default=False,
    ),
]


def predict_command(
    table: _TableOption,
    cells: _CellsOption,
    out: _OutOption,
    space: SpaceFile = None,
    confidence: _ConfidenceOption = CONFIDENCE,
    like: _LikeOption = None,
    json_: Json = False,
) -> None:
    """Fit the latency model on a table's measured rows and predict other cells.

    With --like, tables of other devices are learned from too: a few measured rows are then enough,
    and a table that the measured rows contradict is set aside.
    """
    from compofa.profiler.results.predict import (
        known_in_tables,
        predict_cells,
        read_cells,
        table_shared_error,
    )
    from compofa.profiler.results.table import read_table, write_table
    from compofa.supernet.spaces import get_space

    check_suffix(out, ".csv")
    share = parse_share(confidence, "confidence", 0.5, 1.0)
    known = read_table(table)
    name = known.rows[0].cell.space if space is None else space
    known_space, shared = get_space(name), table_shared_error(table, known)
    others = known_in_tables(like or (), known_space)
    wanted = read_cells(cells, known_space)
    predicted, notes = predict_cells(known, wanted, known_space, share, shared, others)
    write_table(out, predicted)
    if json_:
        measured = sum(row.source == "measured" for row in known.rows)
        setup = asdict(predicted.setup)
        rows = len(predicted.rows)
        print_json(
            {
                "table": str(out),
                "setup": setup,
                "fitted_on": measured,
                "predicted": rows,
                "notes": notes,
            }
        )
    else:
        for each in notes:
            note(printable(each))
        print(f"{printable(str(out))}: {len(predicted.rows):,} cells predicted")
