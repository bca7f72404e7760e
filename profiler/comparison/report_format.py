"""Report formats: what a comparison can be written as, found by name.

A format is registered as an entry point of the group `compofa.report_formats`, the built-in ones
in this package's pyproject.toml and those of others in theirs. It refers to a `ReportFormat`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from compofa.common.entry_points import load_registered
from compofa.common.files import check_suffix, write_atomically
from compofa.profiler.comparison.verdict import Report

GROUP = "compofa.report_formats"


@dataclass(frozen=True)
class ReportFormat:
    """One format.

    Attributes:
        render: the report as text.
        suffixes: of its files, the usual one first; any unless given.
    """

    render: Callable[[Report], str]
    suffixes: tuple[str, ...] = ()

    def check(self, path: Path) -> None:
        """Raises UserError where a file's name promises another format."""
        if self.suffixes:
            check_suffix(path, *self.suffixes)

    def write(self, report: Report, path: Path) -> None:
        """Writes the report to a file whose name `check` has passed.

        Raises:
            UserError: the file cannot be written.
        """
        write_atomically(path, self.render(report), "the report")


def find_report_format(name: str) -> ReportFormat:
    """The format that is registered as `name`.

    Raises:
        UserError: there is none, or what a package registers is not a `ReportFormat`.
    """
    return load_registered(GROUP, name, "report format", ReportFormat)
