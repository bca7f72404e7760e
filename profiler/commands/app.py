"""The command line of compofa-profile: which function serves which subcommand."""

from __future__ import annotations

import typer

from compofa.profiler.commands.devices_command import check_command, devices_command
from compofa.profiler.commands.lut_commands import export_lut_command, import_lut_command
from compofa.profiler.commands.predict_command import predict_command
from compofa.profiler.commands.profile_command import profile_command
from compofa.profiler.commands.selftest_command import selftest_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.callback(invoke_without_command=True)(profile_command)
app.command("devices")(devices_command)
app.command("check")(check_command)
app.command("selftest")(selftest_command)
app.command("predict")(predict_command)
app.command("import-lut")(import_lut_command)
app.command("export-lut")(export_lut_command)
