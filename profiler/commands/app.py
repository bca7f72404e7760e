"""The command line of compofa-profile: which function serves which subcommand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from compofa.common.programs.command_classes import pointing_group
from compofa.common.programs.program import Program
from compofa.profiler.commands.check_command import check_command
from compofa.profiler.commands.devices_command import devices_command
from compofa.profiler.commands.layers.layers_command import layers_command
from compofa.profiler.commands.lut_commands import export_lut_command, import_lut_command
from compofa.profiler.commands.predict_command import predict_command
from compofa.profiler.commands.profile_command import profile_command
from compofa.profiler.commands.selftest_command import selftest_command


def _meant(words: Sequence[str]) -> str | None:
    """A device or a table where a subcommand belongs."""
    name = shlex.quote(words[0])
    if words[0].endswith(".csv"):
        return f"compofa-report html {name}, or compofa-search --table {name}"
    return f"compofa-profile --device {name}"


app = Program(cls=pointing_group(_meant))
app.callback(invoke_without_command=True)(profile_command)
app.command("devices")(devices_command)
app.command("check")(check_command)
app.command("selftest")(selftest_command)
app.command("layers")(layers_command)
app.command("predict")(predict_command)
app.command("import-lut")(import_lut_command)
app.command("export-lut")(export_lut_command)
