"""compofa-export: writes one subnet as a model file, or describes it as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from compofa.common.console import note, print_json, printable, run_command
from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.common.programs.program import Program
from compofa.supernet.commands.completion import complete_space
from compofa.supernet.defaults import DEFAULT_SPACE
from compofa.supernet.export.dtype import Dtype, parse_dtype
from compofa.supernet.export.formats import (
    DTYPES,
    FORMATS,
    JSON,
    ExportRequest,
    format_for,
    parse_format,
    save,
    write,
)
from compofa.supernet.export.model_format import ModelFormat
from compofa.supernet.export.source import WeightSource, open_source
from compofa.supernet.graph import Graph, build_graph

LARGEST_BATCH = 4096

app = Program()

_FormatOption = Annotated[
    ModelFormat | None,
    typer.Option(
        "--format",
        parser=parse_format,
        metavar="|".join(FORMATS),
        help="The format to write. By default the suffix of --out decides, and a file without a "
        "suffix is written as onnx.",
        rich_help_panel="Output",
    ),
]
_DtypeOption = Annotated[
    Dtype,
    typer.Option(
        parser=parse_dtype,
        metavar="|".join(DTYPES),
        help="The number type in which the model computes. Not every format supports every type. "
        "Other usual names, such as fp16, are accepted.",
        rich_help_panel="Output",
    ),
]


WEIGHTS, INPUT, OUTPUT = "Weights", "Input", "Output"
"""Panels of the help."""

_SubnetOption = Annotated[
    str, typer.Option(metavar="KEY", help="The key of the subnet to write, such as d34334.")
]
_ResolutionOption = Annotated[
    int,
    typer.Option(metavar="PIXELS", help="The side of the square input image, such as 224."),
]
_SpaceOption = Annotated[
    str | None,
    typer.Option(
        autocompletion=complete_space,
        metavar="NAME",
        help="The space of the subnet: its name, or its YAML file. By default the space of the "
        f"checkpoint, or {DEFAULT_SPACE} without a checkpoint.",
    ),
]
_OutOption = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="The file to write, such as net.onnx; - prints the JSON description.",
        rich_help_panel=OUTPUT,
    ),
]
_CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Images for the calibration of a quantised --dtype such as int8: a folder of "
        "pictures, or an .npz file with one array of preprocessed images.",
        rich_help_panel=OUTPUT,
    ),
]
_CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The checkpoint with the weights. Without it the weights are random, which is enough "
        "to measure latency.",
        rich_help_panel=WEIGHTS,
    ),
]
_DataOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The data set from which the subnet's own batch norm statistics are computed, as "
        "`compofa-train evaluate` does. Without it, those in the checkpoint are used.",
        rich_help_panel=WEIGHTS,
    ),
]
_SeedOption = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="The seed of random weights.", rich_help_panel=WEIGHTS),
]
_BatchOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=LARGEST_BATCH,
        metavar="N",
        help="The number of images per inference. By default it is left open in an ONNX file, and "
        "is 1 in other formats.",
        rich_help_panel=INPUT,
    ),
]
_DynamicOption = Annotated[
    bool,
    typer.Option(
        "--dynamic",
        help="Leaves the size of the input image open, which only ONNX supports.",
        rich_help_panel=INPUT,
    ),
]
_JsonOption = Annotated[
    bool,
    typer.Option("--json", help="Prints one JSON object at the end.", rich_help_panel=OUTPUT),
]


@app.command()
def export(
    subnet: _SubnetOption,
    resolution: _ResolutionOption,
    out: _OutOption,
    format_: _FormatOption = None,
    dtype: _DtypeOption = Dtype.FLOAT32,
    calibration: _CalibrationOption = None,
    space: _SpaceOption = None,
    checkpoint: _CheckpointOption = None,
    data: _DataOption = None,
    batch_size: _BatchOption = None,
    dynamic: _DynamicOption = False,
    seed: _SeedOption = 0,
    json_: _JsonOption = False,
) -> None:
    """Write one subnet as a model file, or describe it as JSON.

    For example: compofa-export --subnet d34334 --resolution 224 --out net.onnx
    """
    to_stdout = str(out) == "-"
    if to_stdout and (format_ is not JSON or json_):
        raise UserError("--out - prints a description: it needs --format json, and no --json")
    form = JSON if to_stdout else format_for(out, format_)
    request = ExportRequest(form, dtype, batch_size, dynamic, calibration)
    source = open_source(space, checkpoint, seed, data)
    graph = build_graph(source.space, source.space.parse(subnet), resolution)
    content = write(request, graph, source.weights(graph), source.checkpoint_sha256)
    if source.remark is not None and form is not JSON:
        note(source.remark)
    if to_stdout:
        sys.stdout.write(content.decode())
        return
    save(form, out, content)
    if json_:
        print_json(_report(out, request, graph, source, content))
    else:
        print(printable(_summary(out, graph, content)))


def _report(
    out: Path, request: ExportRequest, graph: Graph, source: WeightSource, content: bytes
) -> dict[str, Any]:
    """The object of `--json`; for a package, `sha256` and `bytes` are those of its zip."""
    return {
        "path": str(out),
        "format": request.format.name,
        "dtype": request.dtype.value,
        "space": graph.space.name,
        "subnet": graph.space.key(graph.subnet),
        "resolution": graph.resolution,
        "macs": graph.macs,
        "params": graph.params,
        "checkpoint_sha256": source.checkpoint_sha256,
        "sha256": sha256(content),
        "bytes": len(content),
    }


def _summary(out: Path, graph: Graph, content: bytes) -> str:
    key = graph.space.key(graph.subnet)
    return (
        f"{out}: {graph.space.name} {key} at {graph.resolution}, {graph.macs / 1e6:.1f} M MACs, "
        f"{graph.params / 1e6:.2f} M parameters, {len(content) / 1e6:.2f} MB"
    )


def main() -> None:
    """The entry point of `compofa-export`."""
    run_command(app)
