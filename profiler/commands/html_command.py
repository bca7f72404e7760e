"""compofa-report html: tables as pages that people look at."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import note, print_json, printable
from compofa.common.programs.command_classes import pointing_group
from compofa.common.programs.program import Program
from compofa.profiler.commands.options import Json, own_space_option

if TYPE_CHECKING:
    from compofa.profiler.report.section import Section


def _meant(words: Sequence[str]) -> str | None:
    """Tables where a subcommand belongs."""
    names = [shlex.quote(word) for word in words if not word.startswith("-")]
    if len(names) == 2:
        return f"compofa-report compare {' '.join(names)}, or compofa-report html {names[0]}"
    return f"compofa-report html {' '.join(names)}"


app = Program(cls=pointing_group(_meant))

SEVERAL = Path("report.html")
"""The page of several tables, unless --out names another."""


@app.callback()
def reports() -> None:
    """Reports on latency tables."""


@app.command("html")
def html_command(
    tables: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE", help="The latency tables that the page is about, one or more."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html",
            help="The page to write. By default NAME.report.html beside the table NAME.csv, or "
            "report.html for several tables.",
            show_default=False,
        ),
    ] = None,
    space: Annotated[str | None, own_space_option()] = None,
    json_: Json = False,
) -> None:
    """Write a page with pictures: how fast the cells of tables are, and how sure that is."""
    from compofa.common.files import check_suffix, write_atomically
    from compofa.profiler.report.section import make_section
    from compofa.profiler.report.table_page import render_page
    from compofa.profiler.results.evidence import load_evidence
    from compofa.supernet.spaces import get_space

    if out is not None:
        check_suffix(out, ".html", ".htm")
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
        figures = asdict(section.judgement.error)
        # JSON has no NaN.
        error = {name: None if math.isnan(value) else value for name, value in figures.items()}
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
