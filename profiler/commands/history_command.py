"""compofa-report history: tables of many commits, and what changed when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json, printable
from compofa.common.option_values import parse_share, percent
from compofa.common.programs.command_classes import pointing_group
from compofa.common.programs.program import Program
from compofa.profiler.commands.options import Json, min_effect_option
from compofa.profiler.settings import MIN_EFFECT


def _meant(words: Sequence[str]) -> str | None:
    """A table or a history where a subcommand belongs."""
    from shlex import quote

    name = quote(words[0])
    if words[0].endswith(".csv"):
        return f"compofa-report history add {name} --commit COMMIT --to DIR"
    return f"compofa-report history show {name}"


app = Program(cls=pointing_group(_meant))


@app.callback()
def history() -> None:
    """Latency over commits: a folder of tables, and what changed when."""


@app.command("add")
def add_command(
    table: Annotated[Path, typer.Argument(metavar="TABLE.csv", help="The table to add.")],
    commit: Annotated[
        str,
        typer.Option(
            metavar="COMMIT",
            help="The commit that was profiled: a hash or a tag, as in 3f2a91c or v1.2.",
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The folder of the history. It is created if it does not exist."
        ),
    ],
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The time of the entry in ISO 8601, for example for an old commit that was "
            "measured late. By default the time of the measurement.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Add a table to a history, with what its journal and meta file say of the device."""
    from compofa.profiler.history.history_folder import add_entry

    entry, new = add_entry(to, table, commit, time)
    if json_:
        print_json({"table": str(to / entry.table), "new": new, "at": entry.at.isoformat()})
    else:
        print(printable(f"{to / entry.table}{'' if new else ' is there already'}"))


@app.command("show")
def show_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the history.")],
    min_effect: Annotated[str, min_effect_option()] = percent(MIN_EFFECT),
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also writes a page with pictures, which needs no network.",
            show_default=False,
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what changed for good, when, and whether the code or the device caused it."""
    from compofa.common.files import check_suffix, write_atomically
    from compofa.profiler.history.history_folder import read_history
    from compofa.profiler.history.history_sentences import trend_json, trend_lines
    from compofa.profiler.history.trend import find_trends

    if html is not None:
        check_suffix(html, ".html", ".htm")
    trends = find_trends(read_history(folder), parse_share(min_effect, "min-effect", 0, 1))
    if html is not None:
        from compofa.profiler.history.history_page import render_history_page

        write_atomically(html, render_history_page(trends), "the page")
    if json_:
        print_json({"trends": [trend_json(trend) for trend in trends]})
        return
    for trend in trends:
        for line in trend_lines(trend):
            print(printable(line))
    if html is not None:
        print(f"page: {printable(str(html))}")


@app.command("baseline")
def baseline_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the history.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The table to write, for `compofa-report compare` to compare with."
        ),
    ],
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The device, if the history has several.",
            show_default=False,
        ),
    ] = None,
    min_effect: Annotated[str, min_effect_option()] = percent(MIN_EFFECT),
    json_: Json = False,
) -> None:
    """Write the table that the next one is to be compared with; only lasting changes move it."""
    from compofa.common.files import check_suffix, read_bounded, write_atomically
    from compofa.profiler.history.baseline import find_baseline, trend_of
    from compofa.profiler.history.history_folder import LARGEST_TABLE, read_history
    from compofa.profiler.history.history_sentences import entry_name
    from compofa.profiler.history.trend import find_trends

    check_suffix(out, ".csv")
    trends = find_trends(read_history(folder), parse_share(min_effect, "min-effect", 0, 1))
    found = find_baseline(trend_of(trends, device))
    content = read_bounded(folder / found.entry.table, LARGEST_TABLE)
    write_atomically(out, content, "the table")
    if json_:
        print_json(
            {"table": str(out), "commit": found.entry.commit, "profiles_at_level": found.since}
        )
    else:
        since = f"{found.since} profiles are" if found.since != 1 else "1 profile is"
        print(printable(f"{out}: {entry_name(found.entry)}; {since} at this level"))


@app.command("otava")
def otava_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the history.")],
    to: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="The folder to write to. It is created if it does not exist."
        ),
    ],
    json_: Json = False,
) -> None:
    """Write the series of a history for Apache Otava: CSV files, and an otava.yaml naming them."""
    from compofa.profiler.history.history_folder import read_history
    from compofa.profiler.history.otava import write_otava
    from compofa.profiler.history.trend import find_trends

    written = write_otava(find_trends(read_history(folder), MIN_EFFECT), to)
    if json_:
        print_json({"files": [str(path) for path in written]})
    else:
        print(printable(f"{written[0]} names {len(written) - 1} series"))
