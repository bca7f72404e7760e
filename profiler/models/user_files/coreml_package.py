"""Core ML packages: folders, described by a protobuf that coremltools reads on any system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compofa.common.errors import MissingExtra
from compofa.profiler.models.user_files.user_model import Description, NotThisFormat, TensorSpec

DTYPES = {65552: "float16", 65568: "float32", 65600: "float64", 131104: "int32", 131080: "int8"}
"""Of ArrayFeatureType.ArrayDataType in FeatureTypes.proto."""

MANIFEST = "Manifest.json"


def describe_coreml(path: Path) -> Description:
    """What a Core ML package says of itself.

    Raises:
        MissingExtra: coremltools is not installed.
        NotThisFormat: it is no package, or damaged.
        OSError: it cannot be read.
    """
    if not (path / MANIFEST).is_file():
        raise NotThisFormat(f"it is no folder with a {MANIFEST}")
    try:
        import coremltools
    except ImportError:
        raise MissingExtra("coremltools", "coreml") from None
    from google.protobuf.message import DecodeError

    try:
        description = coremltools.utils.load_spec(str(path)).description
    except (DecodeError, RuntimeError, ValueError, AttributeError, TypeError, KeyError) as error:
        # Its reader checks little: these are what packages with changed bytes led it to.
        raise NotThisFormat(str(error)) from None
    return Description(
        inputs=tuple(_spec(each) for each in description.input),
        outputs=tuple(_spec(each) for each in description.output),
    )


def _spec(feature: Any) -> TensorSpec:
    kind = feature.type.WhichOneof("Type")
    if kind != "multiArrayType":
        return TensorSpec(feature.name, None, (kind or "unknown").removesuffix("Type"))
    array = feature.type.multiArrayType
    shape: tuple[int | None, ...] = tuple(map(int, array.shape))
    flexible = array.WhichOneof("ShapeFlexibility")
    if flexible == "shapeRange":
        ranges = list(array.shapeRange.sizeRanges)
        shape = tuple(
            int(each.lowerBound) if each.lowerBound == each.upperBound else None for each in ranges
        )
    return TensorSpec(feature.name, shape, DTYPES.get(array.dataType, "unknown"))
