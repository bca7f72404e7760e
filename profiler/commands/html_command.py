"""compofa-report html: tables as pages that people look at."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import note, print_json, printable
from compofa.profiler.commands.options import Json

if TYPE_CHECKING:
    from compofa.profiler.report.section import Section

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SEVERAL = Path("report.html")
"""The page of several tables, unless --out names another."""


@app.callback()
def reports() -> None:
    """Reports on latency tables."""


@app.command("html")
def html_command(
    tables: Annotated[list[Path], typer.Argument(help="Latency tables.", metavar="TABLE...")],
    out: Annotated[
        Path | None,
        typer.Option(help="The page; NAME.report.html, or report.html for several tables."),
    ] = None,
    space: Annotated[
        str | None, typer.Option(help="Space file, where a table's space comes from one.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write a page about tables that a person would rather look at than read."""
    from compofa.common.files import write_atomically
    from compofa.profiler.report.section import make_section
    from compofa.profiler.report.table_page import render_page
    from compofa.profiler.results.evidence import load_evidence
    from compofa.supernet.spaces import get_space

    own_space = None if space is None else get_space(space)
    sections = [make_section(load_evidence(path), own_space) for path in tables]
    default = tables[0].with_suffix(".report.html") if len(tables) == 1 else SEVERAL
    path = default if out is None else out
    page = render_page(sections)
    write_atomically(path, page, "the page")
    told = list(zip(tables, sections, strict=True))
    if json_:
        described = [_described(table, section) for table, section in told]
        print_json({"page": str(path), "bytes": len(page.encode()), "tables": described})
        return
    for table, section in told:
        for each in section.missing:
            note(f"{table}: {each}")
    print(f"page: {printable(str(path))}")


def _described(table: Path, section: Section) -> dict[str, Any]:
    """What the page says of a table, as JSON."""
    error = None
    if section.judgement is not None:
        found = asdict(section.judgement.error)
        error = {name: None if math.isnan(value) else value for name, value in found.items()}
    return {
        "table": str(table),
        "device": section.title,
        "held_out_error": error,
        "remarks": [
            {"title": each.title, "figure": each.figure, "grade": each.grade}
            for each in section.remarks
        ],
        "missing": list(section.missing),
    }
