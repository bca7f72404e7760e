"""compofa-export: one subnet as a model file, or described as JSON."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compofa.supernet.commands import require_torch
from compofa.supernet.console import print_json, printable, run_command
from compofa.supernet.errors import UserError
from compofa.supernet.files import sha256, write_atomically
from compofa.supernet.graph import Graph, build_graph
from compofa.supernet.space import DEFAULT_SPACE, Space, get_space
from compofa.supernet.weights import Weights, folded_weights, random_weights

if TYPE_CHECKING:
    from compofa.supernet.supernet import Supernet

LARGEST_BATCH = 4096

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Format(StrEnum):
    """What can be written."""

    ONNX = "onnx"
    JSON = "json"


@dataclass(frozen=True)
class Source:
    """Where a subnet's weights come from: a checkpoint's supernet, or a seed."""

    space: Space
    supernet: Supernet | None
    seed: int

    def weights(self, graph: Graph) -> Weights:
        """Folded weights for the subnet of `graph`."""
        if self.supernet is None:
            return random_weights(graph, self.seed)
        return folded_weights(self.supernet, graph.subnet)


@app.command()
def export(
    subnet: Annotated[str, typer.Option(metavar="KEY", help="Which subnet, such as d34334.")],
    resolution: Annotated[int, typer.Option(metavar="PIXELS", help="Side of the square input.")],
    out: Annotated[Path, typer.Option(help="The file to write; - prints JSON.")],
    format_: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.ONNX,
    space: Annotated[
        str | None,
        typer.Option(
            help=f"A space's name or a space file; the checkpoint's own, else {DEFAULT_SPACE}."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The weights; random ones if left out.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_BATCH, help="Images per inference; any if left out."),
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
    if to_stdout and (format_ is not Format.JSON or json_):
        raise UserError("--out - prints a description: it needs --format json and no --json")
    if dynamic and format_ is not Format.ONNX:
        raise UserError(
            "--dynamic leaves the input size of an ONNX file open: it needs that format"
        )
    source = _source(space, checkpoint, seed)
    graph = build_graph(source.space, source.space.parse(subnet), resolution)
    content = _content(format_, graph, source, batch_size, dynamic)
    if to_stdout:
        sys.stdout.write(content.decode())
        return
    write_atomically(out, content, "the exported file")
    if json_:
        print_json(_report(out, format_, graph, content))
    else:
        print(printable(_summary(out, graph, content)))


def _source(space: str | None, checkpoint: Path | None, seed: int) -> Source:
    """The space and the weights that the options ask for."""
    if checkpoint is None:
        return Source(get_space(space or DEFAULT_SPACE), None, seed)
    asked = None if space is None else get_space(space)
    require_torch()
    from compofa.supernet.checkpoint import load_checkpoint

    supernet = load_checkpoint(checkpoint).supernet
    found = supernet.space
    # The resolutions of a space say what its tables cover, nothing about its weights.
    if asked is not None and replace(asked, resolutions=found.resolutions) != found:
        other = "another definition of it" if asked.name == found.name else asked.name
        message = f"a checkpoint of space {found.name}, but --space says {other}"
        raise UserError(message, path=checkpoint)
    return Source(found, supernet, seed)


def _content(
    format_: Format, graph: Graph, source: Source, batch_size: int | None, dynamic: bool
) -> bytes:
    if format_ is Format.JSON:
        from compofa.supernet.export.description import write_description

        return write_description(graph, batch_size or 1)
    from compofa.supernet.export.onnx import write_onnx

    return write_onnx(graph, source.weights(graph), batch_size=batch_size, dynamic=dynamic)


def _report(out: Path, format_: Format, graph: Graph, content: bytes) -> dict[str, Any]:
    return {
        "path": str(out),
        "format": format_.value,
        "space": graph.space.name,
        "subnet": graph.space.key(graph.subnet),
        "resolution": graph.resolution,
        "macs": graph.macs,
        "params": graph.params,
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
