"""compofa-profile selftest: how noisy a set-up is, and how small a change it can show."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import print_json
from compofa.common.errors import ExitCode
from compofa.common.option_values import parse_share, percent
from compofa.profiler.commands import model_options as files
from compofa.profiler.commands.model_options import ModelOptions
from compofa.profiler.commands.options import DeviceName, Inventory, Json
from compofa.profiler.settings import CONFIDENCE, MIN_EFFECT, Protocol
from compofa.supernet.defaults import DEFAULT_SPACE

if TYPE_CHECKING:
    from compofa.profiler.measurement.plan import Plan
    from compofa.profiler.measurement.profile import ProfileRequest
    from compofa.profiler.measurement.selftest import ComparisonOptions, Selftest
    from compofa.profiler.transports.device import Device

DEFAULT_MIN_EFFECT, DEFAULT_CONFIDENCE = percent(MIN_EFFECT), percent(CONFIDENCE)

_Space = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="The space whose subnets are measured, by name or by its YAML file."
    ),
]
_Cells = Annotated[
    int,
    typer.Option(
        metavar="N", min=2, max=1000, help="How many cells are drawn at random and measured."
    ),
]
_Sessions = Annotated[
    int,
    typer.Option(metavar="N", min=4, help="How many sessions, each a fresh process, measure them."),
]
_Minutes = Annotated[
    float,
    typer.Option(
        metavar="MINUTES",
        min=0.1,
        help="The time of a comparison of two profiles: the test says how small a change it would "
        "find in that time.",
    ),
]
_MinEffect = Annotated[
    str,
    typer.Option(
        metavar="PERCENT", help="The smallest change that counts, as in compofa-report compare."
    ),
]
_Confidence = Annotated[
    str,
    typer.Option(
        metavar="PERCENT",
        help="The probability that the comparison calls nothing slower or faster by mistake.",
    ),
]
_Seed = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="The seed for the choice and the order of cells."),
]


def selftest_command(
    device: DeviceName,
    inventory: Inventory = Path("devices.yaml"),
    space: _Space = DEFAULT_SPACE,
    cells: _Cells = 8,
    sessions: _Sessions = 16,
    minutes: _Minutes = 10.0,
    min_effect: _MinEffect = DEFAULT_MIN_EFFECT,
    confidence: _Confidence = DEFAULT_CONFIDENCE,
    seed: _Seed = 0,
    model: files.ModelFilesOption = None,
    models: files.ModelFoldersOption = None,
    input_shape: files.InputShapeOption = None,
    json_: Json = False,
) -> None:
    """Measure the same cells again and again, and say how small a change the device can show."""
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.profile import ProfileRequest, profile
    from compofa.profiler.measurement.progress import Display
    from compofa.profiler.measurement.selftest import (
        ComparisonOptions,
        run_selftest,
        smallest_change,
    )
    from compofa.profiler.results.journal import journal_path, read_journal
    from compofa.supernet.spaces import get_space

    settings = find_device(inventory, device)
    given = ModelOptions(model, models, shapes=input_shape).read()
    request = ProfileRequest(
        space=given or get_space(space),
        resolutions=(),
        batch_sizes=(settings.batch_size if given else 1,),
        out=Path(f"{device}.selftest.csv"),
        protocol=Protocol(min_sessions=sessions, max_sessions=sessions),
        seed=seed,
        fresh=True,
    )
    plan = selftest_cells(settings, request, cells)
    cells = len(plan.cells)
    with Display(device) as display:
        profile(settings, request, display, plan=plan)
    options = ComparisonOptions(
        min_effect=parse_share(min_effect, "min-effect", 0, 1),
        confidence=parse_share(confidence, "confidence", 0.5, 1.0),
    )
    result = run_selftest(read_journal(journal_path(request.out))[1], seed, options)
    within = result.sessions_within(minutes, cells)
    smallest = None if result.speeds else smallest_change(result.noise, within, cells, options)
    _print(device, result, _Sight(minutes, cells, options, smallest), json_)
    raise typer.Exit(ExitCode.DONE)


def selftest_cells(device: Device, request: ProfileRequest, cells: int) -> Plan:
    """Cells drawn at random: of the space, or of the model files."""
    from compofa.profiler.measurement.profile import plan_of
    from compofa.profiler.measurement.selftest import selftest_plan

    space = request.built_space
    if space is not None:
        return selftest_plan(space, space.resolutions, cells, request.seed)
    read = request.read_files(device)
    assert read is not None
    chosen = random.Random(request.seed).sample(read.cells, min(cells, len(read.cells)))
    return plan_of(replace(request, measure=tuple(chosen)), (), read)


@dataclass(frozen=True)
class _Sight:
    """What a comparison was simulated to see, and with how many sessions; None if nothing."""

    minutes: float
    cells: int
    options: ComparisonOptions
    found: tuple[float, float] | None


def _print(device: str, result: Selftest, sight: _Sight, json_: bool) -> None:
    """Prints what the test says, for a person or as JSON."""
    change, made = sight.found or (None, None)
    noise = {k: None if math.isnan(v) else v for k, v in asdict(result.noise).items()}
    if json_:
        said = {
            **asdict(result),
            "noise": noise,
            "minutes": sight.minutes,
            **asdict(sight.options),
            "smallest_change": change,
            "sessions_a_side": made,
        }
        print_json({"device": device, **said})
        return
    shown = ", ".join(f"{name} {value:.2%}" for name, value in noise.items() if value is not None)
    print(f"{device}: {result.cells} cells in {result.sessions} sessions")
    print(f"noise floor of one session: {result.noise.one_session:.2%} ({shown})")
    for speeds in result.speeds:
        print(speeds.sentence)
    compared = (
        f"two profiles of {sight.cells} cells in {sight.minutes:g} minutes, compared with "
        f"--min-effect {percent(sight.options.min_effect)},"
    )
    if result.speeds:
        print(f"what {compared} show depends on the speed that each of them meets")
    else:
        seen = "no change"
        if change is not None:
            seen = f"a slow-down of {change:.1%} of one of them 9 times in 10"
        print(f"{compared} show {seen} (simulated with this noise)")
    if made is not None:
        print(f"each profile stops by itself, after {made:.1f} sessions on average")
    print(
        f"false alarms: {result.false_alarms:.1%} of {result.comparisons} A/A comparisons "
        f"({1 - sight.options.confidence:.0%} are allowed)"
    )
