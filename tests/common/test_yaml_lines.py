"""YAML files mean what they seem to mean, or are refused with a place."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.common.yaml_lines import LARGEST, read_yaml

DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

WORDS = (
    "a", "b", ":", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", "&x ", "*x", "!!int ", "!t ",
    "<<: ", "|\n", ">\n", "'", '"', "#", "%YAML 1.2\n", "%TAG ! x\n", "---\n", "...\n", "? ",
    "0022",
    "1:30", "0x1f", "1e999", ".nan", "9" * 40, "\t", "\\", "\0", "é", "~", "yes", "-", "@", "`",
)  # fmt: skip


def read(folder: Path, text: str) -> Any:
    path = folder / "file.yaml"
    path.write_text(text)
    return read_yaml(path, "the file").data


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("12", 12), ("-3", -3), ("0", 0), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("3.", "3."),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("0022", "0022"), ("22:22", "22:22"), ("0x1f", "0x1f"), ("0o17", "0o17"), ("0b1", "0b1"),
        ("1_000", "1_000"), ("+5", "+5"), ("yes", "yes"), ("no", "no"), ("on", "on"),
        ("off", "off"),
        (".inf", ".inf"), (".nan", ".nan"), ("1e999", "1e999"), ("9" * 40, "9" * 40),
        ("2020-01-01", "2020-01-01"), ("=", "="), ("'12'", "12"), ('"true"', "true"),
    ],
)  # fmt: skip
def test_a_word_means_one_thing(tmp_path: Path, word: str, value: object) -> None:
    read_value = read(tmp_path, f"key: {word}\n")["key"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_keys_are_text_and_numbers_keep_their_writing(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("no: 1\n4: {x: [1.50, 'a']}\n")
    document = read_yaml(path, "the file")
    assert document.data == {"no": 1, "4": {"x": [1.5, "a"]}}
    assert document.texts == {("no",): "1", ("4", "x", 0): "1.50"}
    assert document.lines[("4", "x")] == 2


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: &x [1]\nc: *x\n", 3, r"the alias \*x is not allowed"),
        ("a:\n  <<: *x\n", 2, r"the alias \*x"),
        ("a: 1\nb: !!bool maybe\n", 2, "the tag !!bool is not allowed"),
        ("!!map {a: 1}\n", 1, "the tag !!map is not allowed"),
        ("a: !thing x\n", 1, "the tag !thing is not allowed"),
        (
            "a: [\n" + "[" * 30 + "]" * 30 + "]\n",
            2,
            "more than 20 levels of mappings and lists are nested",
        ),
        ("a: 1\n\na: 2\n", 3, "'a' is given twice"),
        ("2: 1\n'2': 2\n", 2, "'2' is given twice"),
        ("? [a]\n: 1\n", 1, "a key must be plain text"),
        ("a: b: c\n", 1, "not valid YAML: mapping values are not allowed here"),
        ("%YAML 1." + "9" * 5000 + "\n--- a\n", None, "not valid YAML"),
    ],
)
def test_what_may_mean_something_else_is_refused(
    tmp_path: Path, text: str, line: int | None, said: str
) -> None:
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path, text)
    assert caught.value.line == line
    assert len(str(caught.value)) < 400


def test_aliases_that_unfold_without_end_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    begun = time.process_time()
    with pytest.raises(UserError, match="file.yaml:2: the alias"):
        read(tmp_path, "\n".join(lines))
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("unit", ["[", "a: {", "- ", "&x ", "'", "a\n"])
def test_the_largest_file_is_read_or_refused_in_seconds(tmp_path: Path, unit: str) -> None:
    begun = time.process_time()
    with suppress(UserError):
        read(tmp_path, (unit * LARGEST)[:LARGEST])
    assert time.process_time() - begun < 10
    with pytest.raises(UserError, match="the file is larger than 200 KB"):
        read(tmp_path, "#" * (LARGEST + 1))


@given(DATA)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_pyyaml_writes_is_read_back(tmp_path: Path, data: Any) -> None:
    assert read(tmp_path, yaml.safe_dump(data, allow_unicode=False)) == data


@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join) | st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_text_is_read_or_refused_with_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text, errors="replace")
    message = ""
    try:
        read_yaml(path, "the file")
    except UserError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 400 + len(str(path))
