"""compofa-profile predict: latencies of cells that were not measured, from those that were."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.common.files import check_suffix
from compofa.common.option_values import parse_share, percent
from compofa.profiler.commands.options import Json
from compofa.profiler.settings import PREDICTION_CONFIDENCE
from compofa.supernet.spaces import get_space


def predict_command(
    table: Annotated[Path, typer.Option(help="Its measured rows are fitted.", show_default=False)],
    cells: Annotated[
        Path,
        typer.Option(help="CSV: space, subnet, resolution, batch_size.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="The table to write.", show_default=False)],
    space: Annotated[
        str | None, typer.Option(help="Space file, where the table's space comes from one.")
    ] = None,
    confidence: Annotated[str, typer.Option(help="Of the prediction intervals.")] = percent(
        PREDICTION_CONFIDENCE
    ),
    json_: Json = False,
) -> None:
    """Fit the latency model on a table's measured rows and predict other cells."""
    from compofa.profiler.results.predict import predict_cells, read_cells, table_shared_error
    from compofa.profiler.results.table import read_table, write_table

    check_suffix(out, ".csv")
    share = parse_share(confidence, "confidence", 0.5, 1.0)
    known = read_table(table)
    name = known.rows[0].cell.space if space is None else space
    known_space, shared = get_space(name), table_shared_error(table, known)
    predicted = predict_cells(known, read_cells(cells, known_space), known_space, share, shared)
    write_table(out, predicted)
    if json_:
        measured = sum(row.source == "measured" for row in known.rows)
        setup = asdict(predicted.setup)
        rows = len(predicted.rows)
        print_json({"table": str(out), "setup": setup, "fitted_on": measured, "predicted": rows})
    else:
        print(f"{printable(str(out))}: {len(predicted.rows):,} cells predicted")
