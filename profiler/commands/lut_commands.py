"""`import-lut` and `export-lut`: published block tables to and from tables of whole subnets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.common.errors import UserError
from compofa.common.files import check_suffix
from compofa.common.option_values import parse_sizes
from compofa.profiler.commands.options import Json
from compofa.supernet.defaults import LARGEST_RESOLUTION, SMALLEST_RESOLUTION


def import_lut_command(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="The folder of the block table: a file such as 224_lookup_table.yaml for each "
            "resolution.",
            show_default=False,
        ),
    ],
    space: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The space whose subnets are added up, by name or by its YAML file.",
            show_default=False,
        ),
    ],
    device: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The name that the table gives the device.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE.csv", help="The table to write.", show_default=False)
    ],
    resolutions: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="The resolutions, as in 160,224 or 160-224:16. By default those of the space.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Turn a published block table into a table of whole subnets, by adding up blocks."""
    from compofa.profiler.block_tables.block_table import import_lut
    from compofa.profiler.results.table import write_table
    from compofa.supernet.spaces import get_space

    check_suffix(out, ".csv")
    sizes = None
    if resolutions is not None:
        sizes = parse_sizes(resolutions, "resolutions", SMALLEST_RESOLUTION, LARGEST_RESOLUTION)
    table = import_lut(folder, get_space(space), device, sizes)
    write_table(out, table)
    timed = [(row.latency_ms, row.cell) for row in table.rows if row.latency_ms is not None]
    timed.sort(key=lambda pair: pair[0])
    (fastest, first), (slowest, last) = timed[0], timed[-1]
    if json_:
        extremes = {"fastest_ms": fastest, "slowest_ms": slowest}
        print_json({"table": str(out), "cells": len(table.rows), **extremes})
        return
    print(
        f"{printable(str(out))}: {len(table.rows):,} cells, "
        f"{fastest:.3f} ms ({first.subnet} at {first.resolution}) to "
        f"{slowest:.3f} ms ({last.subnet} at {last.resolution})"
    )


def export_lut_command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A table of whole subnets (a file), or a block table (a folder).",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write.", show_default=False)
    ],
    space: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The space of the subnets. It is needed if the table holds several.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Write a table in the published format of block tables.

    From a table of whole subnets, the blocks are those whose sums reproduce its latencies best;
    how well is printed. A block table is checked and written again as it is.
    """
    from compofa.profiler.block_tables.block_files import read_block_files, write_block_files

    errors: dict[int, float] = {}
    if source.is_dir():
        blocks = read_block_files(source)
    else:
        from compofa.profiler.block_tables.block_fit import fit_blocks
        from compofa.profiler.results.table import read_table
        from compofa.supernet.spaces import get_space

        table = read_table(source)
        spaces = sorted({row.cell.space for row in table.rows})
        if space is None and len(spaces) > 1:
            listed = ", ".join(spaces)
            raise UserError(
                f"the table holds several spaces: {listed}", path=source, hint="choose with --space"
            )
        fit = fit_blocks(table, get_space(spaces[0] if space is None else space))
        blocks = fit.blocks
        errors = {resolution: float(each.max()) for resolution, each in fit.errors.items()}
    write_block_files(out, blocks)
    if json_:
        counts = {str(resolution): len(times) for resolution, times in blocks.items()}
        largest = {str(resolution): error for resolution, error in errors.items()}
        print_json({"folder": str(out), "blocks": counts, "largest_relative_error": largest})
        return
    print(f"{printable(str(out))}: {len(blocks)} files, one per resolution")
    for resolution, error in errors.items():
        print(f"at {resolution}, sums of blocks differ from the table by at most {error:.2%}")
