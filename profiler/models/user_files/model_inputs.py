"""What a user's model is run on: drawn at random from its description, or the user's own arrays.

Inputs go to a device as one file, named by its hash like a model: the arrays one after another, in
C order and little-endian, each begun at a multiple of `ALIGNMENT` bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compofa.common.errors import UserError, file_error
from compofa.common.files import sha256
from compofa.profiler.models.user_files.user_model import TensorSpec, UserModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

ALIGNMENT = 64
"""Bytes; what vector instructions like best."""

LARGEST_ARRAYS = 2 << 30
"""Bytes of a user's arrays, and of one run's inputs."""

FLOATS = ("float16", "float32", "float64", "bfloat16")
BYTES = ("int8", "uint8")
INDICES = ("int16", "int32", "int64", "uint16", "uint32", "uint64")

DRAWN = (*FLOATS, *BYTES, *INDICES, "bool")
"""The types that can be drawn, and that agents take."""


@dataclass(frozen=True)
class ModelInputs:
    """The inputs of a run.

    Attributes:
        tensors: in the order of the model; their shapes are fixed.
        content: of the file that holds them.
    """

    tensors: tuple[TensorSpec, ...]
    content: bytes

    @property
    def sha256(self) -> str:
        """By which the file is named."""
        return sha256(self.content)

    def to_request(self) -> dict[str, Any]:
        """As the agent protocol says it."""
        tensors = [
            {"name": each.name, "dtype": each.dtype, "shape": list(each.fixed or ())}
            for each in self.tensors
        ]
        return {"data": self.sha256, "tensors": tensors}


def draw_inputs(model: UserModel, batch_size: int, seed: int = 0) -> ModelInputs:
    """Random inputs for `model`; the same arguments, the same bytes.

    Floats are uniform in [-1, 1), bytes in their whole range. Wider whole numbers are 0 or 1: most
    often they are indices, such as of words, and those two every table has.

    Raises:
        UserError: the model leaves dimensions open, or takes what cannot be drawn, such as text.
    """
    import numpy as np

    specs = model.at_batch_size(batch_size)
    rng = np.random.default_rng(seed)
    arrays = []
    for spec in specs:
        if spec.dtype not in DRAWN:
            message = f"the input {spec.name} is of type {spec.dtype}, which cannot be drawn"
            raise UserError(message, path=model.path, hint=f"inputs can be {', '.join(DRAWN)}")
        arrays.append(_draw(spec, rng))
    return _packed(model, specs, arrays)


def _draw(spec: TensorSpec, rng: np.random.Generator) -> npt.NDArray[Any]:
    import numpy as np

    shape = spec.fixed or ()
    if spec.dtype in FLOATS:
        values = 2 * rng.random(shape, np.float32) - 1
        if spec.dtype == "bfloat16":
            # The upper half of a float32, cut off: NumPy itself has no such type.
            return (values.view(np.uint32) >> 16).astype(np.uint16)
        return values.astype(spec.dtype)
    if spec.dtype in BYTES:
        limits = np.iinfo(spec.dtype)
        return rng.integers(limits.min, limits.max, shape, np.dtype(spec.dtype), endpoint=True)
    return rng.integers(0, 1, shape, np.uint8, endpoint=True).astype(spec.dtype)


def _packed(
    model: UserModel, specs: Sequence[TensorSpec], arrays: Sequence[npt.NDArray[Any]]
) -> ModelInputs:
    if sum(array.nbytes for array in arrays) > LARGEST_ARRAYS:
        message = f"the inputs of one run are larger than {LARGEST_ARRAYS >> 30} GB"
        raise UserError(message, path=model.path)
    content = bytearray()
    for array in arrays:
        content += array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        content += bytes(-len(content) % ALIGNMENT)
    return ModelInputs(tuple(specs), bytes(content))


def read_arrays(path: Path, what: str = "the arrays") -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file, by name.

    Raises:
        UserError: it cannot be read, is no such file, holds objects, or is too large.
    """
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST_ARRAYS:
            raise UserError(f"{what} take more than {LARGEST_ARRAYS >> 30} GB", path=path)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except OSError as error:
        raise file_error(error, path, f"cannot read {what}") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        hint = "numpy.savez(FILE, NAME=array, ...) writes such a file"
        message = f"{what} are no .npz file that can be read: {str(error)[:200]}"
        raise UserError(message, path=path, hint=hint) from None


def given_inputs(
    model: UserModel, arrays: Mapping[str, npt.NDArray[Any]], path: Path
) -> ModelInputs:
    """The user's arrays as the inputs of `model`.

    Args:
        model: what is run on them.
        arrays: by the names of inputs; of a model with one input a single array of any name.
        path: where they come from, for messages.

    Raises:
        UserError: one is missing or too many, or does not fit in type or shape.
    """
    import numpy as np

    names = [spec.name for spec in model.inputs]
    if len(names) == len(arrays) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    missing = [name for name in names if name not in arrays]
    unknown = [name for name in arrays if name not in names]
    if missing or unknown:
        said = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)} besides"
        raise UserError(f"the input data {said}; {model.name} takes {', '.join(names)}", path=path)
    sized = model.with_shapes({name: array.shape for name, array in arrays.items()})
    cast = []
    for spec in sized.inputs:
        array = arrays[spec.name]
        wanted = np.dtype("uint16" if spec.dtype == "bfloat16" else spec.dtype)
        if spec.dtype not in DRAWN or not np.can_cast(array.dtype, wanted, "same_kind"):
            message = (
                f"{spec.name} is {array.dtype} in the input data and {spec.dtype} in {model.name}"
            )
            raise UserError(message, path=path)
        cast.append(array.astype(wanted))
    return _packed(model, sized.inputs, cast)
