"""Programs of torch.export (.pt2): a zip with a description in JSON. Read without torch.

torch's own reader would run whatever a pickle in the file says; so files with pickles are refused
here, and the agent reads the rest with torch's restricted reader alone.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any

from compofa.profiler.models.user_files.user_model import (
    Description,
    NotThisFormat,
    TensorSpec,
    usual_dtype,
)

LARGEST_JSON = 200_000_000
"""Bytes, unpacked."""

DTYPES = {
    1: "uint8",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "float16",
    7: "float32",
    8: "float64",
    12: "bool",
    13: "bfloat16",
}
"""Of torch._export.serde.schema.ScalarType, what NumPy calls them."""


def describe_pt2(path: Path) -> Description:
    """What an exported program says of itself.

    Raises:
        NotThisFormat: it is no such file, holds pickled tensors, or takes what is no tensor.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json")]
            found = [name for name in names if name.endswith("/models/model.json")]
            if not found:
                raise NotThisFormat("it holds no program: files of torch 2.8 and later do")
            program = _read(archive, found[0])
            for name in names:
                if name.endswith(("_weights_config.json", "_constants_config.json")):
                    _check_plain(_read(archive, name))
            return _described(program)
    # zipfile says NotImplementedError of a method of compression that it does not know, which is
    # what a damaged byte comes to.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise NotThisFormat(f"it is no zip file, or is damaged: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise NotThisFormat(f"its description makes no sense: {error!r}") from None


def _read(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > LARGEST_JSON:
        raise NotThisFormat("its description is too large")
    return json.loads(archive.read(name))


def _check_plain(config: Any) -> None:
    """Refuses tensors that torch would have to unpickle."""
    for name, entry in config.get("config", {}).items():
        if entry.get("use_pickle"):
            raise NotThisFormat(
                f"it holds {name[:60]} as a pickle, which could run anything; export it with plain "
                "tensors alone"
            )


def _described(program: Any) -> Description:
    module = program["graph_module"]
    values, signature = module["graph"]["tensor_values"], module["signature"]
    weights = [
        next(iter(each.values()))["arg"]["name"]
        for each in signature["input_specs"]
        if "parameter" in each
    ]
    specs = [_spec(values, name) for name in weights]
    inputs = [
        each["user_input"]["arg"] for each in signature["input_specs"] if "user_input" in each
    ]
    outputs = [
        each["user_output"]["arg"] for each in signature["output_specs"] if "user_output" in each
    ]
    other = [arg for arg in inputs if "as_tensor" not in arg and "as_none" not in arg]
    if other:
        raise NotThisFormat(f"it takes an argument that is no tensor: {str(other[0])[:80]}")
    return Description(
        inputs=tuple(
            _spec(values, each["as_tensor"]["name"]) for each in inputs if "as_tensor" in each
        ),
        outputs=tuple(
            _spec(values, each["as_tensor"]["name"]) for each in outputs if "as_tensor" in each
        ),
        dtype=usual_dtype((spec.dtype, prod(spec.fixed or ())) for spec in specs),
    )


def _spec(values: Any, name: str) -> TensorSpec:
    told = values[name]
    shape = tuple(size.get("as_int") for size in told["sizes"])
    return TensorSpec(name, shape, DTYPES.get(told["dtype"], f"torch type {told['dtype']}"))
