"""The files of a run: rows that are cut back, states that are whole, folders that are guarded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from compofa.common.errors import UserError
from compofa.supernet.training.cost import TrainingCost
from compofa.supernet.training.run_files.rows import RowFile
from compofa.supernet.training.run_files.run_folder import RunFolder, differences
from compofa.supernet.training.run_files.state import (
    State,
    read_state,
    restore_optimiser_,
    write_state,
)


def state() -> State:
    return State(
        run={"seed": 1, "recipe": {"name": "x"}},
        weights={"w": torch.ones(3)},
        optimiser={"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": []},
        phase=1,
        step=7,
        costs=[TrainingCost(images=5), TrainingCost(seconds=0.5)],
    )


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    write_state(tmp_path / "state.pt", state())
    found = read_state(tmp_path / "state.pt")
    assert torch.equal(found.weights["w"], torch.ones(3))
    assert (found.phase, found.step, found.run, found.costs) == (1, 7, state().run, state().costs)
    assert found.optimiser["state"][0]["momentum_buffer"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_truncated_state_is_an_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "state.pt"
    write_state(path, state())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="truncated or damaged|is empty"):
        read_state(path)


CONTENTS = {
    "something else": ({"a": 1}, "not the state of a training"),
    "another version": ({"format": "compofa training", "version": 9}, "it is of version 9"),
    "parts missing": (
        {"format": "compofa training", "version": 1},
        "the state of the training is damaged",
    ),
}

DAMAGED: dict[str, list[object]] = {
    "run": [[], {"seed": {1: 2}}, {"recipe": {"x": {3: 4}}}, None],
    "weights": [[1], {"w": 3}, None],
    "optimiser": [None, [1]],
    "phase": [True, -1, "1", 1.0, 3, 10**400, None],
    "step": [-1, float("nan"), float("inf"), []],
    "costs": [{}, [1], [{"images": "x"}], [{"unknown": 1}], [], None],
}
"""Values of a state's parts that it cannot have: it has the costs of two phases."""


@pytest.mark.parametrize(("content", "message"), CONTENTS.values(), ids=CONTENTS.keys())
def test_other_contents_are_refused(
    tmp_path: Path, content: dict[str, object], message: str
) -> None:
    torch.save(content, tmp_path / "state.pt")
    with pytest.raises(UserError, match=message):
        read_state(tmp_path / "state.pt")


@pytest.mark.parametrize(
    ("part", "value"), [(part, value) for part, values in DAMAGED.items() for value in values]
)
def test_a_part_that_cannot_be_is_a_damaged_state(tmp_path: Path, part: str, value: object) -> None:
    path = tmp_path / "state.pt"
    write_state(path, state())
    torch.save({**torch.load(path, weights_only=True), part: value}, path)
    with pytest.raises(UserError, match="the state of the training is damaged"):
        read_state(path)


@pytest.mark.parametrize(
    "momenta",
    [None, [], {9: {}}, {0: 1}, {0: {"momentum_buffer": 1.0}}, {True: {}}, {0: {"other": None}},
     {0: {"momentum_buffer": torch.ones(3)}}],
)  # fmt: skip
def test_momenta_of_another_network_are_refused(tmp_path: Path, momenta: object) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    with pytest.raises(UserError, match=r"state\.pt: .*its momenta do not fit"):
        restore_optimiser_(optimiser, {"state": momenta}, tmp_path / "state.pt")


def test_a_damaged_row_has_its_line(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.csv", ("loss",))
    rows.add([(1, 1, 0.5)])
    for damage in ("", "phase,step,loss", "1", "1,x,0.5", "-1,2,3", "9" * 5000 + ",1,1"):
        rows.path.write_text(f"phase,step,loss\n1,1,0.5\n{damage}\n")
        with pytest.raises(UserError, match=r"rows\.csv:3: this row is damaged"):
            rows.cut(1, 1)


def test_rows_are_cut_back_to_a_step(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.csv", ("loss",))
    rows.add([(1, 1, 0.5), (1, 2, 0.4)])
    rows.add([(2, 1, 0.3), (2, 2, 0.2)])
    RowFile(tmp_path / "rows.csv", ("loss",)).cut(2, 1)
    assert (tmp_path / "rows.csv").read_text() == "phase,step,loss\n1,1,0.5\n1,2,0.4\n2,1,0.3\n"


def test_half_a_row_is_forgotten(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.csv", ("loss",))
    rows.add([(1, 1, 0.5)])
    with rows.path.open("a") as file:
        file.write("1,2,0.")
    rows.cut(1, 5)
    rows.add([(1, 2, 0.4)])
    assert rows.path.read_text() == "phase,step,loss\n1,1,0.5\n1,2,0.4\n"


@pytest.mark.parametrize("content", ["", "phase,step,other\n", "\xff"])
def test_a_table_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.csv").write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"rows\.csv"):
        RowFile(tmp_path / "rows.csv", ("loss",)).cut(1, 1)


def test_a_folder_is_fresh_until_it_has_a_state(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.begun
    (tmp_path / "notes.md").write_text("mine")
    assert not folder.begun
    folder.state.write_bytes(b"")
    assert folder.begun


def test_a_missing_state_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_text("")
    with pytest.raises(UserError, match=r"state\.pt is missing.*--fresh"):
        _ = folder.begun


def test_clearing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("state.pt", "steps.csv", "notes.md"):
        (tmp_path / name).write_text("")
    folder.tensorboard.mkdir()
    folder.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).held(),
        pytest.raises(UserError, match="another process"),
        RunFolder(tmp_path).held(),
    ):
        pass
    with RunFolder(tmp_path).held():
        pass


def test_differences_of_runs_are_named() -> None:
    was = {"seed": 1, "recipe": {"dropout": 0.1}, "space": ["a"] * 30}
    now = {"seed": 2, "recipe": {"dropout": 0.2}, "space": ["b"] * 30}
    assert differences(now, was) == [
        "recipe.dropout: 0.2, was 0.1",
        "seed: 2, was 1",
        "space is different",
    ]
    assert differences(was, json.loads(json.dumps(was))) == []
