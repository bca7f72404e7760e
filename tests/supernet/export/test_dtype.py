"""Number types: their usual names, and what is no name of any."""

from __future__ import annotations

import pytest

from compofa.common.errors import UserError
from compofa.supernet.export.dtype import Dtype, bytes_per_number, parse_dtype, usual_name


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float32", Dtype.FLOAT32),
        ("fp32", Dtype.FLOAT32),
        ("f32", Dtype.FLOAT32),
        ("FP16", Dtype.FLOAT16),
        ("half", Dtype.FLOAT16),
        ("bf16", Dtype.BFLOAT16),
        ("TF32", Dtype.TF32),
        (" i8 ", Dtype.INT8),
    ],
)
def test_a_type_has_several_names(name: str, dtype: Dtype) -> None:
    assert parse_dtype(name) is dtype
    assert usual_name(name) == dtype.value


@pytest.mark.parametrize(
    ("name", "hint"), [("flaot16", "did you mean 'float16'"), ("fp4", "known: float32, tf32")]
)
def test_what_is_no_type_is_refused(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=f"there is no dtype '{name}' .*{hint}"):
        parse_dtype(name)


def test_a_table_may_be_of_a_type_that_is_not_ours() -> None:
    assert usual_name("q4_0") == "q4_0"
    assert [bytes_per_number(name) for name in ("q4_0", "fp16", "int8", "tf32")] == [4, 2, 1, 4]
