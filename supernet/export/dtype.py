"""The number types in which networks compute, and the names that frameworks have for them."""

from __future__ import annotations

from enum import StrEnum

from compofa.common.errors import UserError, suggestion


class Dtype(StrEnum):
    """A number type in which networks compute. Inputs and logits of model files are float32.

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
        """Whether models compute in integers, whose scales are calibrated on images."""
        return self == Dtype.INT8

    @property
    def tolerance(self) -> float:
        """How far a device's output may be from that of the float32 model on the host.

        The distance is that of `ModelFile.deviation`. The values are several times as large as
        those of correct models (docs/runtimes.md), and much smaller than those of wrong ones.
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
"""Other names, as in ONNX Runtime and TFLite (fp16), OpenVINO (f16), C and PyTorch (half)."""


def parse_dtype(text: str) -> Dtype:
    """The number type called `text`, which may be any of its usual names in any case.

    Raises:
        UserError: there is no such type.
    """
    try:
        return Dtype(text)
    except ValueError:
        hint = suggestion(text.lower()[:60], [str(each) for each in Dtype])
        raise UserError(f"there is no dtype {text[:60]!r}", hint=hint) from None


def usual_name(text: str) -> str:
    """Our name of the type called `text`; `text` itself if the type is not known.

    Tables that others have made may have types that this toolkit does not know.
    """
    try:
        return str(Dtype(text))
    except ValueError:
        return text


def bytes_per_number(dtype: str) -> int:
    """How many bytes a number of a table's dtype has; 4 if the type is not known."""
    return {"float16": 2, "bfloat16": 2, "int8": 1}.get(usual_name(dtype), 4)
