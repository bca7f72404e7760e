"""The command line of compofa-profile: which function serves which subcommand."""

from __future__ import annotations

import typer

from compofa.profiler.commands.devices import check_command, devices_command
from compofa.profiler.commands.lut import export_lut_command, import_lut_command
from compofa.profiler.commands.predict import predict_command
from compofa.profiler.commands.profile import profile_command
from compofa.profiler.commands.selftest import selftest_command

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.callback(invoke_without_command=True)(profile_command)
app.command("devices")(devices_command)
app.command("check")(check_command)
app.command("selftest")(selftest_command)
app.command("predict")(predict_command)
app.command("import-lut")(import_lut_command)
app.command("export-lut")(export_lut_command)
