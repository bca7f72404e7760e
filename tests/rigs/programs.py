"""The command lines of the five programs, as typer knows them."""

from __future__ import annotations

from compofa.profiler.commands.app import app as profile
from compofa.search.commands.report_command import app as report
from compofa.search.commands.search_command import app as search
from compofa.supernet.commands.export_command import app as export
from compofa.supernet.commands.train_command import app as train

APPS = {
    "compofa-profile": profile,
    "compofa-report": report,
    "compofa-search": search,
    "compofa-export": export,
    "compofa-train": train,
}
