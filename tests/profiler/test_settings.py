"""Defaults of the protocol: said in profiler/settings.py, and what is changed there counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from compofa.profiler import settings

CHANGED = {
    "CONFIDENCE = 0.95": "CONFIDENCE = 0.875",
    "PREDICTION_CONFIDENCE = 0.9\n": "PREDICTION_CONFIDENCE = 0.75\n",
    "MIN_EFFECT = 0.03": "MIN_EFFECT = 0.0625",
    "MIN_EFFECT_IN_TURNS = 0.01": "MIN_EFFECT_IN_TURNS = 0.005",
    "target: float = 0.02": "target: float = 0.04",
}

LOOK = """
import importlib, inspect, json, pkgutil, sys, types

# settings.py as it would be with other defaults, before anything else can read the real one.
settings = types.ModuleType("compofa.profiler.settings")
sys.modules[settings.__name__] = settings
exec(compile(sys.stdin.read(), "settings.py", "exec"), settings.__dict__)

import typer.main
from compofa.profiler.commands.app import app
from compofa.profiler.measurement.profile import ProfileRequest
from compofa.search.commands import report_command
from compofa.search.commands.report_command import app as report

functions = {}
for room in ("profiler", "search"):
    package = importlib.import_module(f"compofa.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"compofa.{room}."):
        if ".agent." in module.name or ".commands" in module.name:
            continue
        loaded = importlib.import_module(module.name)
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            default = inspect.signature(function).parameters.get("confidence")
            if default is not None and default.default is not inspect.Parameter.empty:
                functions[f"{module.name}.{name}"] = default.default

def options(command, path=""):
    found = {f"{path}{p.name}": p.default for p in command.params}
    for name, each in getattr(command, "commands", {}).items():
        found |= options(each, f"{path}{name}.")
    return found

protocol = ProfileRequest.__dataclass_fields__["protocol"].default_factory()
compare = typer.main.get_command(report).commands["compare"]
(min_effect,) = [each for each in compare.params if each.name == "min_effect"]
print(json.dumps({
    "functions": functions,
    "min_effect_help": min_effect.help,
    "min_effect": [report_command._least(None, in_turns=each) for each in (False, True)],
    "profile": options(typer.main.get_command(app)),
    "report": options(typer.main.get_command(report)),
    "protocol": [protocol.confidence, protocol.prediction_confidence, protocol.target],
}, default=str))
"""


def test_a_default_that_is_changed_in_the_settings_is_changed_everywhere() -> None:
    source = Path(settings.__file__).read_text()
    for before, after in CHANGED.items():
        assert source.count(before) == 1
        source = source.replace(before, after)
    ran = subprocess.run(
        [sys.executable, "-c", LOOK], input=source, capture_output=True, text=True, check=True
    )
    seen = json.loads(ran.stdout)
    assert seen["protocol"] == [0.875, 0.75, 0.04]
    assert seen["profile"]["target"] == "4%"
    assert seen["profile"]["confidence"] == "87.5%"
    assert seen["profile"]["predict.confidence"] == "75%"
    assert seen["report"]["compare.confidence"] == "87.5%"
    assert seen["min_effect"] == [0.0625, 0.005]
    assert "By default 6.25%, and 0.5% with --device" in " ".join(seen["min_effect_help"].split())
    assert seen["report"]["history.show.min_effect"] == "6.25%"
    # Of every function that takes a confidence, so that none has a default of its own.
    assert len(seen["functions"]) > 5
    assert set(seen["functions"].values()) == {0.875, 0.75}
