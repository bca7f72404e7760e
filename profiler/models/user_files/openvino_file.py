"""OpenVINO IR: a description in XML, and the weights in a file of the same name beside it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from compofa.common.files import read_bounded
from compofa.profiler.models.user_files.user_model import (
    Description,
    NotThisFormat,
    TensorSpec,
    usual_dtype,
)

LARGEST_XML = 200_000_000
"""Bytes."""

DTYPES = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "bf16": "bfloat16",
    "boolean": "bool",
    **{f"i{bits}": f"int{bits}" for bits in (4, 8, 16, 32, 64)},
    **{f"u{bits}": f"uint{bits}" for bits in (1, 4, 8, 16, 32, 64)},
}


def describe_openvino(path: Path) -> Description:
    """What an IR file says of itself.

    Raises:
        NotThisFormat: it is no such file, or its weights are missing.
        OSError: it cannot be read.
    """
    content = read_bounded(path, LARGEST_XML, "the model")
    try:
        # In any other encoding a declaration of entities would not be seen.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotThisFormat("its XML is not UTF-8 text") from None
    if "<!DOCTYPE" in text:
        raise NotThisFormat("it declares a document type, which such files never do")
    try:
        # The rule is about entities that grow without bounds or name other files: they take a
        # document type to declare.
        net = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError as error:
        raise NotThisFormat(f"its XML is damaged: {error}") from None
    layers = net.findall("layers/layer")
    if net.tag != "net" or not layers:
        raise NotThisFormat("it holds no layers of a network")
    weights: list[tuple[str, int]] = []
    needed = 0
    for layer in layers:
        data = layer.find("data")
        if layer.get("type") != "Const" or data is None:
            continue
        size = _number(data.get("size"))
        needed = max(needed, _number(data.get("offset")) + size)
        weights.append((DTYPES.get(data.get("element_type", ""), ""), size))
    beside = path.with_suffix(".bin")
    if needed and not beside.is_file():
        raise NotThisFormat(f"its weights, {beside.name}, are not beside it")
    if needed and beside.stat().st_size < needed:
        raise NotThisFormat(f"of its weights, {beside.name}, a part is missing")
    return Description(
        inputs=tuple(_input(layer) for layer in layers if layer.get("type") == "Parameter"),
        outputs=tuple(_output(layer) for layer in layers if layer.get("type") == "Result"),
        dtype=usual_dtype(weights),
        others={"model.bin": beside.name} if needed else {},
    )


def _input(layer: ElementTree.Element) -> TensorSpec:
    data, port = layer.find("data"), layer.find("output/port")
    attributes = {} if data is None else data.attrib
    # One tensor may have several names, between commas; a comma that is part of one is escaped.
    names = ("" if port is None else port.get("names", "")).replace("\\,", "\0").split(",")
    name = names[0].replace("\0", ",") or layer.get("name", "")
    dtype = attributes.get("element_type", "unknown")
    return TensorSpec(name, _shape(attributes.get("shape", "...")), DTYPES.get(dtype, dtype))


def _output(layer: ElementTree.Element) -> TensorSpec:
    port = layer.find("input/port")
    sizes = () if port is None else [_number(dim.text) for dim in port.findall("dim")]
    precision = "" if port is None else port.get("precision", "").lower()
    name = (layer.get("output_names") or layer.get("name") or "").split(",")[0]
    shape = tuple(size if size > 0 else None for size in sizes)
    return TensorSpec(
        name, shape, DTYPES.get({"fp32": "f32", "fp16": "f16"}.get(precision, precision), precision)
    )


def _shape(text: str) -> tuple[int | None, ...] | None:
    """As in 1,3,224,224; a ? or a range is a size left open, and ... leaves open how many."""
    if "..." in text:
        return None
    sizes = [each.strip(" []") for each in text.split(",") if each.strip(" []")]
    return tuple(int(each) if each.isdecimal() else None for each in sizes)


def _number(text: str | None) -> int:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else 0
