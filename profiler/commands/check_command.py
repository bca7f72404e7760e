"""compofa-profile check: whether a device can be reached and measured, and what it runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.common.console import note, print_json, printable
from compofa.common.errors import ExitCode, UserError
from compofa.profiler.commands import model_options as files
from compofa.profiler.commands.model_options import ModelOptions
from compofa.profiler.commands.options import DeviceName, Inventory, Json

if TYPE_CHECKING:
    from compofa.profiler.measurement.device_access import DeviceAccess
    from compofa.profiler.measurement.noise_probe import Quietness
    from compofa.profiler.models.collection.model_check import CheckedModel
    from compofa.profiler.models.collection.read_collection import ReadCollection
    from compofa.profiler.models.model_store import Models
    from compofa.profiler.transports.agent_client import Hello
    from compofa.profiler.transports.device import Device

BUSY_LOAD = 0.5
"""Load average per CPU above which a device is called busy."""

ADVICE = {
    "busy": "stop other programs, or wait",
    "hot": "let it cool down",
    "slow": "let it cool down, or plug it in",
    "throttled": "let it cool down, or lock its clocks below what its power allows "
    "(nvidia-smi --lock-gpu-clocks)",
    "quota": "raise the quota, or set fewer threads",
    "governor": "frequencies will change while runs are timed; set it to performance "
    "(cpupower frequency-set -g performance)",
}


def check_command(
    device: DeviceName,
    inventory: Inventory = Path("devices.yaml"),
    provision: Annotated[
        bool,
        typer.Option(
            "--provision",
            metavar="",
            help="First installs the runtime on the device, into a Python environment of its own. "
            "This works for Python runtimes over SSH.",
        ),
    ] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Takes the packages for --provision from this folder of wheels, for a device "
            "without a network. By default pip downloads them on the device.",
            show_default=False,
        ),
    ] = None,
    model: files.ModelFilesOption = None,
    models: files.ModelFoldersOption = None,
    input_shape: files.InputShapeOption = None,
    json_: Json = False,
) -> None:
    """Say whether a device can be reached, what it runs, and whether it is quiet enough.

    With --model or --models also whether it can run those files, and computes what it should.
    """
    if wheels is not None and not provision:
        raise UserError("--wheels needs --provision, which installs them")
    from compofa.profiler.inventory import find_device
    from compofa.profiler.measurement.device_access import open_device
    from compofa.profiler.measurement.noise_probe import ALL_RUNS, probe
    from compofa.profiler.measurement.progress import Display

    settings = find_device(inventory, device)
    settings.check_settings()
    if provision:
        _provision(settings, wheels)
    with Display(device) as display:
        # A slow board takes a minute for each of these, without a sign of life otherwise.
        display.note("connecting, and loading the reference model there")
        read, store = _models(settings, ModelOptions(model, models, shapes=input_shape))
        with open_device(settings, store, display) as access:
            display.note(f"timing {ALL_RUNS} runs of the reference model")
            quietness = probe(access)
            checked = _checked(access, read, store)
    hello = access.hello
    complaints = complain(settings.threads, hello) + quietness.complaints
    if json_:
        told = {"models": [asdict(each) for each in checked]} if read else {}
        print_json({**_as_json(settings, hello, quietness), "complaints": complaints, **told})
    else:
        verdict = complaints or ["quiet enough to measure; `compofa-profile selftest` tells more"]
        for line in [*_sentences(settings, hello, quietness), *verdict, *map(_sentence, checked)]:
            print(printable(line))
    failed = any(each.problem for each in checked)
    raise typer.Exit(ExitCode.PARTIAL if failed else ExitCode.DONE)


def _models(settings: Device, options: ModelOptions) -> tuple[ReadCollection | None, Models]:
    """The model files that are to be checked, and where models come from."""
    from compofa.profiler.measurement.device_access import models_for
    from compofa.profiler.models.collection.read_collection import read_collection
    from compofa.profiler.models.collection.user_model_store import UserModelStore

    collection, built = options.read(), models_for(settings)
    if collection is None:
        return None, built
    read = read_collection(collection, settings, (settings.batch_size,))
    return read, UserModelStore(read, built, settings)


def _checked(
    access: DeviceAccess, read: ReadCollection | None, store: Models
) -> list[CheckedModel]:
    from compofa.profiler.models.collection.model_check import check_models
    from compofa.profiler.models.collection.user_model_store import UserModelStore

    if read is None or not isinstance(store, UserModelStore):
        return []
    greet = access.lease.hello
    return list(check_models(access.device, access.transport, greet, read, store))


def _sentence(checked: CheckedModel) -> str:
    """What came of a model file."""
    name = checked.cell.subnet
    if checked.problem is not None:
        return f"{name}: cannot be measured: {checked.problem}"
    right = "and computes what it should"
    if checked.unchecked is not None:
        right = f"but what it computes was not checked: {checked.unchecked}"
    return f"{name}: can be measured, loads in {checked.load_ms:.0f} ms {right}"


def _provision(device: Device, wheels: Path | None) -> None:
    from compofa.profiler.transports import open_transport

    packages = device.spec.packages
    if not packages:
        raise UserError(
            f"{device.name}: {device.runtime} is not a Python package, so it cannot be installed "
            "there"
        )
    note(f"installing numpy and {' and '.join(packages)} on {device.name}; that may take minutes")
    with open_transport(device) as transport:
        transport.provision(("numpy", *packages), wheels)


def _as_json(device: Device, hello: Hello, quietness: Quietness) -> dict[str, Any]:
    """What the device is and has, under the names of the contract."""
    return {
        "device": device.name,
        "runtimes": hello.runtimes,
        "affinity": hello.affinity,
        "options": device.options,
        "facts": hello.facts,
        "state": hello.state,
        "quietness": asdict(quietness),
    }


def _sentences(device: Device, hello: Hello, quietness: Quietness) -> list[str]:
    """What the device is and has; its options, which the runtime has taken by now."""
    python = hello.facts.get("python")
    installed = [f"Python {python}"] if python else []
    installed += [f"{name} {version}" for name, version in hello.runtimes.items()]
    options = [f"{name} {value}" for name, value in device.options.items()]
    return [
        f"{device.name}: {describe(hello.facts)}",
        ", ".join(installed),
        f"bound to CPUs {hello.affinity}" if hello.affinity else "not bound to CPUs",
        *([f"options of {device.runtime}: {', '.join(options)}"] if options else []),
        f"reference model: {quietness.latency_ms:.2f} ms, scatter {quietness.scatter:.1%} within a "
        f"process, {quietness.between:.1%} between a few fresh ones",
    ]


def describe(facts: dict[str, Any]) -> str:
    """A device in a few words: board, processor, how many CPUs, system; only what it told."""
    cpus = facts.get("cpus")
    count = f"{cpus} CPU{'' if cpus == 1 else 's'}" if cpus else ""
    # Boards call themselves something, and their processors often nothing.
    words = (facts.get("board"), facts.get("cpu"), count, facts.get("os"))
    return ", ".join(str(word).strip() for word in words if word and str(word).strip())


def complain(threads: int, hello: Hello) -> list[str]:
    """What speaks against measuring now, and what to do about it; empty if nothing does.

    Args:
        threads: of the runtime.
        hello: what the device says of itself.
    """
    from compofa.profiler.measurement.device_monitor import concerns, cpu_shortages

    facts, state = hello.facts, hello.state
    complaints = cpu_shortages(threads, hello.affinity, facts)
    complaints += [f"{concern.text}; {ADVICE[concern.kind]}" for concern in concerns(state)]
    load = state.get("load_1m")
    if isinstance(load, int | float) and load > BUSY_LOAD * (facts.get("cpus") or 1):
        complaints.append(f"busy: load average {load:.1f}; {ADVICE['busy']}")
    governor = state.get("governor")
    if governor not in (None, "performance"):
        complaints.append(f"the CPU governor is {governor}; {ADVICE['governor']}")
    return complaints
