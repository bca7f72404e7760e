"""compofa-profile selftest: how noisy a set-up is, and what it can see."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from compofa.common.console import print_json
from compofa.common.errors import ExitCode
from compofa.profiler.commands.options import Inventory, Json
from compofa.supernet.spaces import DEFAULT_SPACE, get_space


def selftest_command(
    device: Annotated[str, typer.Option("--device", "-d", help="A device of the inventory.")],
    inventory: Inventory = Path("devices.yaml"),
    space: Annotated[str, typer.Option(help="A space's name, or a space file.")] = DEFAULT_SPACE,
    cells: Annotated[int, typer.Option(help="Drawn at random.", min=2, max=1000)] = 8,
    sessions: Annotated[int, typer.Option(help="Fresh processes, all told.", min=4)] = 16,
    minutes: Annotated[
        float, typer.Option(help="Budget for which to say what can be seen.", min=0.1)
    ] = 10.0,
    seed: Annotated[int, typer.Option(help="Of the cells and the order.", min=0)] = 0,
    json_: Json = False,
) -> None:
    """Measure the same thing twice (A/A) and say what the set-up can be trusted with."""
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.profile import ProfileRequest, profile
    from compofa.profiler.measurement.progress import Display
    from compofa.profiler.measurement.selftest import run_selftest, selftest_plan
    from compofa.profiler.results.journal import journal_path, read_journal
    from compofa.profiler.settings import Protocol

    settings = find_device(inventory, device)
    found = get_space(space)
    request = ProfileRequest(
        space=found,
        resolutions=found.resolutions,
        batch_sizes=(1,),
        out=Path(f"{device}.selftest.csv"),
        protocol=Protocol(min_sessions=sessions, max_sessions=sessions),
        seed=seed,
        fresh=True,
    )
    plan = selftest_plan(found, found.resolutions, cells, seed)
    with Display(device) as display:
        profile(settings, request, display, plan=plan)
    result = run_selftest(read_journal(journal_path(request.out))[1], seed)
    change = result.smallest_change(minutes, cells)
    noise = {k: None if math.isnan(v) else v for k, v in asdict(result.noise).items()}
    if json_:
        said = {**asdict(result), "noise": noise, "minutes": minutes, "smallest_change": change}
        print_json({"device": device, **said})
    else:
        shown = ", ".join(
            f"{name} {value:.2%}" for name, value in noise.items() if value is not None
        )
        print(f"{device}: {result.cells} cells in {result.sessions} sessions")
        print(f"noise floor of one session: {result.noise.one_session:.2%} ({shown})")
        seen = "nothing" if change is None else f"a slow-down of {change:.1%}, 9 times in 10"
        print(f"comparing {cells} cells for {minutes:g} minutes sees {seen}")
        print(
            f"false alarms: {result.false_alarms:.1%} of {result.comparisons} A/A comparisons "
            "(5 % are allowed)"
        )
    raise typer.Exit(ExitCode.DONE)
