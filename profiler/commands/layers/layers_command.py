"""compofa-profile layers: where the time of a run goes, operator by operator and block by block."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compofa.common.console import print_json
from compofa.common.errors import UserError
from compofa.common.files import check_suffix, write_atomically
from compofa.profiler.commands.options import DeviceName, Inventory, Json
from compofa.supernet.defaults import DEFAULT_SPACE, LARGEST_RESOLUTION, SMALLEST_RESOLUTION

if TYPE_CHECKING:
    from compofa.profiler.layers.trace_layers import TracedNetwork
    from compofa.profiler.models.model_store import Models
    from compofa.profiler.transports.device import Device

MOST_NETWORKS = 2

_Subnets = Annotated[
    list[str] | None,
    typer.Option(
        "--subnet",
        metavar="KEY",
        help="The subnet to trace, as in d23422. Given twice, the two are compared.",
        show_default=False,
    ),
]
_Resolution = Annotated[
    int | None,
    typer.Option(
        metavar="PIXELS",
        min=SMALLEST_RESOLUTION,
        max=LARGEST_RESOLUTION,
        help="The side of the square images that the subnets run on.",
        show_default=False,
    ),
]
_Space = Annotated[
    str, typer.Option(metavar="NAME", help="The space of the subnets, by name or by its YAML file.")
]
_Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="Traces this model file instead of a subnet. Given twice, the two are compared.",
        show_default=False,
    ),
]
_Batch = Annotated[int, typer.Option(metavar="N", min=1, max=4096, help="Images in a run.")]
_Sessions = Annotated[
    int,
    typer.Option(
        metavar="N", min=2, max=100, help="How many sessions, each a fresh process, trace them."
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Writes a page with a bar for each block.", show_default=False
    ),
]


def layers_command(
    device: DeviceName,
    inventory: Inventory = Path("devices.yaml"),
    subnet: _Subnets = None,
    resolution: _Resolution = None,
    space: _Space = DEFAULT_SPACE,
    model: _Files = None,
    batch_size: _Batch = 1,
    sessions: _Sessions = 5,
    html: _Html = None,
    json_: Json = False,
) -> None:
    """Say where the time of a run goes: every operator, block and unit of a network.

    Operators are timed by the runtime's own tracing (onnxruntime, openvino, torch), which makes a
    run longer; the command says by how much. Of two networks it says in which blocks they differ.
    """
    if html is not None:
        check_suffix(html, ".html", "the page")
    from compofa.profiler.commands.layers.layers_output import (
        describe_layers,
        show_changes,
        show_layers,
    )
    from compofa.profiler.inventory import find_device
    from compofa.profiler.layers.trace_layers import compare_layers, trace_layers
    from compofa.profiler.measurement.device_access import TimeLimits, open_device
    from compofa.profiler.measurement.progress import Display

    settings = find_device(inventory, device)
    if model:
        if subnet or resolution is not None:
            raise UserError("--model and --subnet do not go together: trace one or the other")
        networks, models = _files(model, settings, batch_size)
    else:
        networks, models = _subnets(subnet or [], resolution, space, settings, batch_size)
    with (
        Display(device) as display,
        open_device(settings, models, display, limits=TimeLimits(time.monotonic() + 3600)) as way,
    ):
        traced = trace_layers(way, networks, sessions)
    changes = compare_layers(traced[0], traced[1]) if len(traced) == MOST_NETWORKS else ()
    if html is not None:
        from compofa.profiler.layers.layers_page import render_layers_page

        write_atomically(html, render_layers_page(device, traced, changes), "the page")
    if json_:
        print_json({"device": device, **describe_layers(traced, changes)})
        return
    for layers in traced:
        show_layers(layers)
    show_changes(changes)


def _subnets(
    keys: list[str], resolution: int | None, space: str, device: Device, batch_size: int
) -> tuple[list[TracedNetwork], Models]:
    from compofa.profiler.layers.trace_layers import TracedNetwork
    from compofa.profiler.measurement.device_access import models_for
    from compofa.profiler.results.table import Cell
    from compofa.supernet.graph import build_graph
    from compofa.supernet.spaces import get_space

    if not 1 <= len(keys) <= MOST_NETWORKS or resolution is None:
        raise UserError(
            "no network is named, or more than two",
            hint="as in --subnet d23422 --resolution 192, or --model net.onnx",
        )
    known = get_space(space)
    networks = []
    for key in keys:
        subnet = known.parse(key)
        cell = Cell(known.name, known.key(subnet), resolution, batch_size)
        blocks = build_graph(known, subnet, resolution).blocks
        networks.append(TracedNetwork(f"{cell.subnet} at {resolution}", cell, blocks))
    return networks, models_for(device, known)


def _files(
    paths: list[Path], device: Device, batch_size: int
) -> tuple[list[TracedNetwork], Models]:
    from compofa.profiler.layers.trace_layers import TracedNetwork
    from compofa.profiler.measurement.device_access import models_for
    from compofa.profiler.models.collection.collection import USUAL_NAME
    from compofa.profiler.models.collection.find_models import collection_of
    from compofa.profiler.models.collection.read_collection import read_collection
    from compofa.profiler.models.collection.user_model_store import UserModelStore

    if len(paths) > MOST_NETWORKS:
        raise UserError(f"{len(paths)} model files are given, and at most two are compared")
    read = read_collection(collection_of(USUAL_NAME, paths, []), device, (batch_size,))
    for failure in read.failures:
        raise UserError(f"{failure.cell.subnet} cannot be run: {failure.reason}")
    networks = [TracedNetwork(cell.subnet, cell) for cell in read.models]
    return networks, UserModelStore(read, models_for(device), device)
