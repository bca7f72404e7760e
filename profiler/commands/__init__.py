"""compofa-profile: measure devices, list them, check them, and turn block tables into tables."""

from __future__ import annotations

from compofa.common.console import run_command


def main() -> None:
    """The entry point of `compofa-profile`."""
    from compofa.profiler.commands.app import app

    run_command(app)
