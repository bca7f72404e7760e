"""compofa-export: one subnet as a model file, or described as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from compofa.common.console import note, print_json, printable, run_command
from compofa.common.errors import UserError
from compofa.common.files import sha256
from compofa.supernet.export.dtype import Dtype, parse_dtype
from compofa.supernet.export.formats import (
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
from compofa.supernet.spaces import DEFAULT_SPACE

LARGEST_BATCH = 4096

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

FormatOption = Annotated[
    ModelFormat | None,
    typer.Option(
        "--format",
        parser=parse_format,
        metavar="|".join(FORMATS),
        help="The format to write. Without it the suffix of --out decides, and a name without a "
        "suffix is written as onnx.",
    ),
]
DtypeOption = Annotated[
    Dtype,
    typer.Option(
        parser=parse_dtype,
        metavar="DTYPE",
        help="What the model computes in: float32, float16 (Core ML) or int8 (ONNX and TFLite). "
        "Other usual names, such as fp16, are taken as well.",
    ),
]


@app.command()
def export(
    subnet: Annotated[str, typer.Option(metavar="KEY", help="Which subnet, such as d34334.")],
    resolution: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the square input.")],
    out: Annotated[Path, typer.Option(help="The file to write; - prints JSON.")],
    format_: FormatOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    calibration: Annotated[
        Path | None,
        typer.Option(help="Images for int8: a folder, or an .npz file of preprocessed ones."),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            help=f"A space's name or a space file; the checkpoint's own, else {DEFAULT_SPACE}."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The weights; random ones if left out.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Data set to take this subnet's own batch norm statistics from."),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST_BATCH, help="Images per inference; left out: any (ONNX), else 1."
        ),
    ] = None,
    dynamic: Annotated[
        bool, typer.Option("--dynamic", help="Leave the size of the input open (ONNX).")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of random weights.")] = 0,
    json_: Annotated[
        bool, typer.Option("--json", help="Print what was written as one JSON object.")
    ] = False,
) -> None:
    """Write one subnet as a model file, or describe it."""
    to_stdout = str(out) == "-"
    if to_stdout and (format_ is not JSON or json_):
        raise UserError("--out - prints a description: it needs --format json and no --json")
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
    """Of a package, `sha256` and `bytes` are those of its zip."""
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
