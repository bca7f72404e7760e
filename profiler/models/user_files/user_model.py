"""A user's model file as it describes itself: its parts on the disk, its inputs and outputs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from compofa.common.errors import UserError, suggestion
from compofa.common.files import sha256

LARGEST_DIMENSION = 2**31
MOST_NUMBERS = 2**31
"""In one input: a typing error in a shape is told before memory is asked for."""

QUANTISED = {"int8": "int8", "uint8": "int8", "int4": "int4", "uint4": "int4"}
"""Types of quantised weights, by the names that models give them."""

CHANNELS = (1, 3, 4)
"""Of an image: grey, colours, colours with transparency."""


@dataclass(frozen=True)
class TensorSpec:
    """An input or an output of a model.

    Attributes:
        shape: None where the size of a dimension is left open; the whole is None where even the
            number of dimensions is not known.
        dtype: as NumPy calls it, and bfloat16; anything else, such as string, as the file does.
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str

    @property
    def fixed(self) -> tuple[int, ...] | None:
        """The shape, where nothing of it is left open."""
        if self.shape is None:
            return None
        sizes = tuple(size for size in self.shape if size is not None)
        return sizes if len(sizes) == len(self.shape) else None

    def __str__(self) -> str:
        shown = (
            "?"
            if self.shape is None
            else ",".join("?" if n is None else str(n) for n in self.shape)
        )
        return f"{self.name}={shown}"


def usual_dtype(weights: Iterable[tuple[str, int]]) -> str | None:
    """What most weights of a model are; None where it has none of a type that is computed in.

    Args:
        weights: type and size of each tensor. Those of whole numbers that count positions and the
            like do not matter; unsigned bytes are int8 by another name.
    """
    sizes: Counter[str] = Counter()
    for dtype, size in weights:
        if dtype.startswith(("float", "bfloat")) or dtype in QUANTISED:
            sizes[QUANTISED.get(dtype, dtype)] += size
    return sizes.most_common(1)[0][0] if sizes else None


class NotThisFormat(Exception):
    """What a reader has against a file, in words that follow the name of the format."""


@dataclass(frozen=True)
class Description:
    """What a file says of itself.

    Attributes:
        others: further files that the model consists of: where they are, relative to it, by the
            names under which they are looked for beside a file called model.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    dtype: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelPart:
    """One file of a model.

    Attributes:
        name: under which the model's other files know it: relative, with `/` between folders.
        sha256: of its content when it was read.
        size: bytes.
    """

    name: str
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True)
class UserModel:
    """A model file that the user brought.

    Attributes:
        name: by which tables call it.
        path: of the file, or of the folder of a Core ML package.
        format: onnx, tflite, openvino, pt2 or coreml.
        parts: all files it consists of, the one that a runtime is given first.
        dtype: of most of its weights; None where the file does not say.
        inputs, outputs: in the order of the file.
    """

    name: str
    path: Path
    format: str
    parts: tuple[ModelPart, ...]
    dtype: str | None
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def sha256(self) -> str:
        """Of its one file, or of the list of its files' names and hashes where it has several."""
        if len(self.parts) == 1:
            return self.parts[0].sha256
        listed = "".join(f"{part.sha256}  {part.name}\n" for part in self.parts)
        return sha256(listed.encode())

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(part.size for part in self.parts)

    @property
    def batch_size(self) -> int | None:
        """Of its first input's first dimension, 1 where that has none; None where it is open."""
        shape = self.inputs[0].shape if self.inputs else ()
        return 1 if shape is not None and len(shape) < 2 else None if shape is None else shape[0]

    def with_shapes(self, shapes: Mapping[str, Sequence[int]]) -> UserModel:
        """This model with dimensions that it leaves open set to what the user says.

        Args:
            shapes: by the name of an input; the only input may be called "".

        Raises:
            UserError: there is no such input, or a shape contradicts the file.
        """
        known = {spec.name: spec for spec in self.inputs}
        if len(known) == 1:
            shapes = {
                next(iter(known)) if name == "" else name: each for name, each in shapes.items()
            }
        for name, shape in shapes.items():
            if name not in known:
                hint = suggestion(name[:60], list(known))
                raise UserError(f"the model has no input {name[:60]!r}", path=self.path, hint=hint)
            known[name] = self._with_shape(known[name], tuple(shape))
        return replace(self, inputs=tuple(known.values()))

    def _with_shape(self, spec: TensorSpec, shape: tuple[int, ...]) -> TensorSpec:
        asked = ",".join(map(str, shape))
        if any(not 1 <= size <= LARGEST_DIMENSION for size in shape):
            raise UserError(f"the input {spec.name} cannot have the shape {asked}", path=self.path)
        if spec.shape is not None:
            fits = len(shape) == len(spec.shape) and all(
                own in (None, size) for own, size in zip(spec.shape, shape, strict=True)
            )
            if not fits:
                message = f"the input {spec} of the model cannot have the shape {asked}"
                raise UserError(message, path=self.path, hint="a ? stands for any size")
        return replace(spec, shape=shape)

    def at_batch_size(self, batch_size: int) -> tuple[TensorSpec, ...]:
        """The inputs of one run: first dimensions that are left open take the batch size.

        Raises:
            UserError: other dimensions are open still (names them), or an input is empty or too
                large.
        """
        inputs = tuple(self._at_batch_size(spec, batch_size) for spec in self.inputs)
        unknown = [spec for spec in inputs if spec.fixed is None]
        if unknown:
            options = " ".join(f"--input-shape {spec.name}=..." for spec in unknown)
            message = f"the size of {', '.join(map(str, unknown))} is left open by the model"
            raise UserError(message, path=self.path, hint=f"say it by {options}")
        for spec in inputs:
            if 0 in (spec.fixed or ()):
                raise UserError(f"the input {spec} is empty: it has a size of 0", path=self.path)
            if math.prod(spec.fixed or ()) > MOST_NUMBERS:
                raise UserError(f"the input {spec} is too large", path=self.path)
        return inputs

    @staticmethod
    def _at_batch_size(spec: TensorSpec, batch_size: int) -> TensorSpec:
        if spec.shape and spec.shape[0] is None:
            return replace(spec, shape=(batch_size, *spec.shape[1:]))
        return spec

    @property
    def resolution(self) -> int:
        """The side of the first input that is a square image, in pixels; 0 where there is none."""
        for spec in self.inputs:
            if spec.shape is None or len(spec.shape) != 4:
                continue
            _, first, second, third = spec.shape
            for channels, sides in ((first, (second, third)), (third, (first, second))):
                if channels in CHANNELS and sides[0] == sides[1] and sides[0] is not None:
                    return sides[0]
        return 0
