"""Values of options: what is understood, and that nothing else is."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.common.option_values import parse_duration, parse_share, parse_sizes


@pytest.mark.parametrize(
    ("text", "value"), [("2%", 0.02), ("0.02", 0.02), ("2.5 %", 0.025), (".5%", 0.005)]
)
def test_shares(text: str, value: float) -> None:
    assert parse_share(text, "target", 0, 1) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "2", "100%", "0", "-1%", "nan", "inf", "x", "2%%", "1e999"])
def test_shares_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--target must be more than 0% and less than 100%"):
        parse_share(text, "target", 0, 1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("3 min", 180)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text, "max-time") == seconds


@pytest.mark.parametrize("text", ["", "0", "-5s", "5d", "nan", "1e3", "9999h", "s"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--max-time must be a duration"):
        parse_duration(text, "max-time")


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("160", (160,)),
        ("224, 160,160", (160, 224)),
        ("160-224:16", (160, 176, 192, 208, 224)),
        ("32,160-170:4", (32, 160, 164, 168)),
    ],
)
def test_sizes(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text, "resolutions", 8, 4096) == sizes


@pytest.mark.parametrize("text", ["", ",", "160,", "x", "160-224", "160-224:0", "4", "9999", "1.5"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(UserError, match="--resolutions must be"):
        parse_sizes(text, "resolutions", 8, 4096)


@given(st.text(max_size=20))
def test_any_other_text_is_a_user_error(text: str) -> None:
    # Whatever else were raised would fail the test.
    with suppress(UserError):
        assert parse_duration(text, "x") > 0
    with suppress(UserError):
        assert set(parse_sizes(text, "x", 1, 9)) <= set(range(1, 10))


@pytest.mark.parametrize(
    ("text", "low", "hint"),
    [
        ("76", 0.0, "as in 76% or 0.76"),
        ("95", 0.5, "as in 95% or 0.95"),
        ("100%", 0.5, "as in 95% or 0.95"),
        ("many", 0.0, "as in 2% or 0.02"),
    ],
)
def test_a_percentage_without_its_sign_is_shown_with_it(text: str, low: float, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_share(text, "min-top1", low, 1)
    assert caught.value.hint == hint
