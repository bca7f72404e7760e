"""Our checkpoints: what is saved comes back, and nothing else is taken for one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compofa.common.errors import UserError
from compofa.supernet.checkpoints.checkpoint import (
    FORMAT,
    checkpoint_bytes,
    load_checkpoint,
    save_checkpoint,
)
from compofa.supernet.checkpoints.torch_files import read_torch_file
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet

CUSTOM = replace(SPACES["compofa"], name="mine", width=0.1, classes=3, in_channels=1)
TINY = checkpoint_bytes(Supernet(CUSTOM), {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.pt"


def content(**changes: object) -> dict[str, Any]:
    """What a checkpoint of `CUSTOM` holds, with changes."""
    import io

    found: dict[str, Any] = torch.load(io.BytesIO(TINY), weights_only=True)
    return found | changes


@pytest.mark.parametrize(("name", "kernel_transform"), [("compofa", False), ("ofa-mbv3", True)])
def test_a_named_space_comes_back_by_name(path: Path, name: str, kernel_transform: bool) -> None:
    supernet = Supernet(SPACES[name], kernel_transform)
    save_checkpoint(path, supernet, {"epoch": 3})
    assert torch.load(path, weights_only=True)["space"] == name

    loaded = load_checkpoint(path)

    assert loaded.supernet.space == SPACES[name]
    assert loaded.supernet.kernel_transform == kernel_transform
    assert loaded.metadata == {"epoch": 3}
    expected, found = supernet.state_dict(), loaded.supernet.state_dict()
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert all(parameter.requires_grad for parameter in loaded.supernet.parameters())
    assert not loaded.supernet.training


def test_a_space_of_a_file_comes_back_whole(path: Path) -> None:
    save_checkpoint(path, Supernet(CUSTOM), {})
    assert load_checkpoint(path).supernet.space == CUSTOM


def test_a_changed_space_under_a_known_name_is_not_taken_for_the_known_one(path: Path) -> None:
    changed = replace(CUSTOM, name="compofa")
    save_checkpoint(path, Supernet(changed), {})
    assert load_checkpoint(path).supernet.space == changed


@given(st.integers(0, len(TINY) - 1))
def test_a_truncated_checkpoint_is_named_as_such(end: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.pt"
        path.write_bytes(TINY[:end])
        with pytest.raises(UserError) as error:
            load_checkpoint(path)
        assert error.value.path == path
        assert any(
            word in error.value.message for word in ("truncated", "empty", "not a file of torch")
        )


def test_a_flipped_bit_is_found(path: Path) -> None:
    damaged = bytearray(TINY)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="truncated or damaged"):
        load_checkpoint(path)


class Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickled_payload_is_refused_and_not_run(
    path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    monkeypatch.chdir(path.parent)
    torch.save(content(metadata=Payload()), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="more than tensors and plain values: posix.system"):
        load_checkpoint(path)
    assert not (path.parent / "pwned").exists()


def test_a_file_that_unpacks_beyond_bounds_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compofa.supernet.checkpoints.torch_files.LARGEST", 1000)
    path.write_bytes(TINY)
    with pytest.raises(UserError, match="too large: more than 1,000 bytes"):
        read_torch_file(path, "the checkpoint")


BAD: dict[str, tuple[object, str]] = {
    "another program's": ({"state_dict": {}}, "not a checkpoint of compofa"),
    "a list": ([1, 2], "not a checkpoint of compofa"),
    "another version": (content(version=99), "a checkpoint of version 99, this program reads 1"),
    "an unknown space": (content(space="compofaa"), "unknown space 'compofaa'.*did you mean"),
    "no space": (content(space=None), "its space is not well defined"),
    "a space without units": (
        content(space=content()["space"] | {"units": []}),
        "its weights are not those of space mine",
    ),
    "a space too large to build": (
        content(space=content()["space"] | {"width": 1e30}),
        "its space mine cannot be built",
    ),
    "a space of odd fields": (
        content(space=content()["space"] | {"classes": "many"}),
        "its space is not well defined: classes",
    ),
    "weights of another space": (
        content(space="compofa"),
        "not those of space compofa: .* of another shape: stem.conv.weight is",
    ),
    "no weights": (content(state_dict=None), "it has no state dict"),
    "a weight that is none": (content(state_dict={"a": 1}), "has a int at 'a'"),
    "a missing weight": (
        content(state_dict={k: v for k, v in content()["state_dict"].items() if k[:4] != "stem"}),
        r"6 missing: stem.conv.weight, stem.bn.weight, stem.bn.bias, \.\.\.$",
    ),
    "a sparse weight": (
        content(state_dict={"a": torch.eye(4).to_sparse()}),
        "holds sparse or quantised tensors, not plain ones",
    ),
    "a weight without numbers": (
        content(state_dict={"a": torch.empty(4, device="meta")}),
        r"holds tensors without numbers \(on the meta device\)",
    ),
    "a small file of huge weights": (
        content(state_dict={"a": torch.zeros(1).expand(1 << 20, 1 << 20)}),
        "holds tensors of more than 2,147,483,648 bytes",
    ),
    "an unexpected weight": (
        content(state_dict=content()["state_dict"] | {"extra": torch.zeros(2)}),
        "1 unexpected: extra$",
    ),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_wrong_with_a_file_is_named(path: Path, bad: object, message: str) -> None:
    torch.save(bad, path)
    with pytest.raises(UserError, match=message) as error:
        load_checkpoint(path)
    assert error.value.path == path
    assert "\n" not in str(error.value)


def test_a_missing_file_is_an_error(path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the checkpoint: no such file"):
        load_checkpoint(path)


def test_a_checkpoint_says_what_it_is() -> None:
    assert content()["format"] == FORMAT
