"""Number types that networks compute in, by the names that any framework gives them."""

from __future__ import annotations

from enum import StrEnum

from compofa.common.errors import UserError, suggestion


class Dtype(StrEnum):
    """What a network computes in; inputs and logits of a model file are float32 in any.

    A value may be given by any of its usual names: `Dtype("fp16")` and `Dtype("half")` are
    `Dtype.FLOAT16`.
    """

    FLOAT32 = "float32"
    TF32 = "tf32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"

    @property
    def quantised(self) -> bool:
        """Whether the model holds integers, whose scales are learned from images."""
        return self == Dtype.INT8

    @property
    def tolerance(self) -> float:
        """How far a device's output may be from that of the float32 model on the host.

        As `ModelFile.deviation` measures it: several times what was seen of correct models
        (docs/runtimes.md), and a fraction of what any other model would give.
        """
        return _TOLERANCES[self]

    @classmethod
    def _missing_(cls, value: object) -> Dtype | None:
        if not isinstance(value, str):
            return None
        word = value.strip().lower()
        word = _ALIASES.get(word, word)
        return next((each for each in cls if each.value == word), None)


_TOLERANCES = {
    Dtype.FLOAT32: 1e-3,
    Dtype.TF32: 1e-2,
    Dtype.FLOAT16: 1e-2,
    Dtype.BFLOAT16: 5e-2,
    Dtype.INT8: 2e-2,
}

_ALIASES = {
    "fp32": "float32",
    "f32": "float32",
    "single": "float32",
    "float": "float32",
    "fp16": "float16",
    "f16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
    "tensorfloat32": "tf32",
    "i8": "int8",
    "s8": "int8",
    "qint8": "int8",
}
"""Other names: of ONNX Runtime and TFLite (fp16), OpenVINO (f16), C and PyTorch (half)."""


def parse_dtype(text: str) -> Dtype:
    """The number type called `text`, by any of its usual names and in any case.

    Raises:
        UserError: there is no such type.
    """
    try:
        return Dtype(text)
    except ValueError:
        hint = suggestion(text.lower()[:60], [str(each) for each in Dtype])
        raise UserError(f"there is no dtype {text[:60]!r}", hint=hint) from None


def usual_name(text: str) -> str:
    """`text`, or what we call it where it is another name of one of our types.

    Tables from elsewhere may be of types that we do not know.
    """
    try:
        return str(Dtype(text))
    except ValueError:
        return text


def bytes_per_number(dtype: str) -> int:
    """What one number of a table's dtype takes in memory; 4 where we do not know the type."""
    return {"float16": 2, "bfloat16": 2, "int8": 1}.get(usual_name(dtype), 4)
