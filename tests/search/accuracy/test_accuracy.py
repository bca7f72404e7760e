"""Accuracy sources: tables, the shipped one, and the released predictor."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compofa.common.errors import UserError
from compofa.search.accuracy.accuracy import load_accuracy, shipped_table
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.search.accuracy.make_accuracy_table import main, render_accuracy_table
from compofa.search.accuracy.released_predictor import Predictor, encode, read_predictor
from compofa.search.accuracy.sources import AccuracySource, Cells
from compofa.supernet.accuracy_predictor.released_layout import read_released, write_released
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES
from compofa.supernet.subnet import Subnet

COMPOFA = SPACES["compofa"]
HEADER = "space,subnet,resolution,top1,source\n"


@pytest.fixture(scope="module")
def predictor(reference: Path) -> Predictor:
    return read_predictor(reference / "acc_predictor.pth")


def ask(source: AccuracySource, space: Space, subnet: Subnet, resolution: int) -> float:
    cells = Cells(space, {"it": subnet}, ["it"], np.array([resolution]))
    return float(source.top1(cells)[0])


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        AccuracyTable.read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_the_released_predictor_says_what_it_said_elsewhere(
    reference: Path, predictor: Predictor
) -> None:
    rows = json.loads((reference / "predictor_examples.json").read_text())["rows"]
    assert len(rows) == 20
    for row in rows:
        exists = [block < depth for depth in row["d"] for block in range(4)]
        expands = tuple(float(e) * here for e, here in zip(row["e"], exists, strict=True))
        kernels = tuple(k * here for k, here in zip(row["ks"], exists, strict=True))
        subnet = Subnet(tuple(row["d"]), expands, kernels)
        found = ask(predictor, SPACES["ofa-mbv3"], subnet, row["r"])
        assert found == pytest.approx(row["top1"], abs=1e-5)


def test_other_weights_in_the_released_layout_are_not_called_the_released_ones(
    predictor: Predictor, reference: Path, tmp_path: Path
) -> None:
    released = reference / "acc_predictor.pth"
    network = read_released(released)
    write_released(tmp_path / "again.pth", network)
    bias = network.biases[-1] + np.float32(1e-3)
    other = replace(network, biases=(*network.biases[:-1], bias))
    write_released(tmp_path / "other.pth", other)
    assert predictor.description == "predicted by OFA's released predictor (acc_predictor.pth)"
    again = read_predictor(tmp_path / "again.pth").description
    assert again == "predicted by OFA's released predictor (again.pth)"
    said = read_predictor(tmp_path / "other.pth").description
    assert said == "predicted by other.pth, whose weights are not those that OFA released"


@pytest.mark.parametrize("resolution", [112, 128, 144, 159, 172, 225, 240])
def test_the_predictor_does_not_speak_of_resolutions_it_never_saw(
    predictor: Predictor, resolution: int
) -> None:
    assert np.isnan(ask(predictor, COMPOFA, COMPOFA.enumerate()[0], resolution))
    assert resolution not in predictor.resolutions(COMPOFA)


def test_the_encoding_marks_each_block_once_and_missing_blocks_never() -> None:
    encoded = encode(COMPOFA.arrays([COMPOFA.parse("d23422")]))[0].reshape(2, 20, 3)
    exists = [block < depth for depth in (2, 3, 4, 2, 2) for block in range(4)]
    assert encoded.sum(axis=2).tolist() == [exists, exists]


@pytest.mark.parametrize("name", ["ofa-resnet50", "ofa-proxyless-w1.3"])
def test_the_predictor_refuses_spaces_it_cannot_describe(predictor: Predictor, name: str) -> None:
    space = SPACES[name]
    with pytest.raises(UserError, match="cannot be used here: it is for MobileNetV3 spaces"):
        ask(predictor, space, space.extreme(largest=True), 224)


def test_the_predictor_refuses_other_classes_than_imagenets(predictor: Predictor) -> None:
    space = replace(COMPOFA, name="pets", classes=37)
    with pytest.raises(UserError, match="ImageNet's 1000 classes, but pets has 37"):
        ask(predictor, space, space.enumerate()[0], 224)


def test_the_shipped_table_is_what_its_script_makes(reference: Path) -> None:
    made = render_accuracy_table(reference / "acc_predictor.pth")
    assert made.encode() == shipped_table().read_bytes()


def test_the_shipped_table_covers_the_space_and_says_what_it_is() -> None:
    source = load_accuracy(None, COMPOFA)
    assert source.resolutions(COMPOFA) == (160, 176, 192, 208, 224)
    keys = [COMPOFA.key(subnet) for subnet in COMPOFA.enumerate()]
    top1 = source.top1(Cells(COMPOFA, {}, keys, np.full(len(keys), 224)))
    assert ((top1 > 0.7) & (top1 < 0.9)).all()
    assert "predicted by OFA's released predictor" in source.description


def test_no_accuracies_of_width_1_are_used_for_another_space() -> None:
    for space in (SPACES["compofa-w1.2"], replace(COMPOFA, width=0.5)):
        with pytest.raises(UserError, match="no accuracies ship for space") as caught:
            load_accuracy(None, space)
        assert "--accuracy FILE" in str(caught.value)


def test_a_table_is_looked_up_by_subnet_and_resolution(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"# mine\n# too\n{HEADER}compofa,d22222,160,0.7,measured\n")
    source = AccuracyTable.read(path)
    subnet = COMPOFA.parse("d22222")
    cells = Cells(
        COMPOFA, {"d22222": subnet}, ["d22222", "d22222", "d33333"], np.array([160, 176, 160])
    )
    np.testing.assert_array_equal(source.top1(cells), [0.7, np.nan, np.nan])
    assert source.description == "measured"


def test_a_table_of_another_space_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}compofa,d22222,160,0.7,measured\n")
    space = SPACES["compofa-w1.2"]
    with pytest.raises(
        UserError, match=r"no rows of space compofa-w1\.2 \(it has rows of compofa\)"
    ):
        ask(AccuracyTable.read(path), space, space.enumerate()[0], 160)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the accuracy table is empty"),
        ("# only a comment\n", ": the accuracy table is empty"),
        (HEADER, ": the accuracy table has no rows"),
        (f"#\n{HEADER}compofa,d22222,160,71.2,x\n", ":3: top1 is a fraction of one"),
        (f"{HEADER}compofa,d22222,160,nan,x\n", ":2: top1 must be a finite number"),
        (f"{HEADER}compofa,d22222,small,0.7,x\n", ":2: resolution must be a whole number"),
        (f"{HEADER}compofa,d22222,160,0.7,\n", ":2: source is empty"),
        (f"{HEADER}compofa,d22222,160,0.7\n", ":2: 4 values where the header has 5 columns"),
        (f"{HEADER}compofa,d22222,160,0.7,x", ":2: the accuracy table is cut short"),
        (f'{HEADER}compofa,"d22222,160,0.7,x\n', ":2: not valid CSV"),
        (
            f"{HEADER}compofa,d22222,160,0.7,x\ncompofa,d22222,160,0.71,x\n",
            ":3: the accuracy of compofa d22222 at 160 is given twice",
        ),
        ("space,subnet,resolution,top1\n", ":1: the accuracy table has no column 'source'"),
    ],
)
def test_a_bad_table_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    assert refused(path).startswith(said)


def test_files_that_are_no_predictors_are_refused(tmp_path: Path, reference: Path) -> None:
    released = (reference / "acc_predictor.pth").read_bytes()
    path = tmp_path / "p.pth"
    for content, said in (
        (b"", "the predictor is empty"),
        (b"hello", "the predictor is not a file of torch"),
        (released[: len(released) // 2], "the predictor is truncated or damaged"),
        (released[:100], "the predictor is truncated or damaged"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            read_predictor(path)
    with pytest.raises(UserError, match="cannot read the predictor: no such file"):
        read_predictor(tmp_path / "none.pth")
    with pytest.raises(UserError, match="cannot read the predictor: is a directory"):
        read_predictor(tmp_path)


def test_a_checkpoint_of_something_else_is_not_a_predictor(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "p.pth"
    for state, said in (
        ({"0.weight": torch.zeros(1, 128), "0.bias": torch.zeros(2)}, "does not fit its weight"),
        ({"0.weight": torch.zeros(4, 128), "0.bias": torch.zeros(4)}, "from 128 inputs to 1"),
        ({"conv.weight": torch.zeros(8, 3, 3, 3)}, "does not fit the one before"),
        ({"0.weight": torch.full((1, 128), torch.nan), "0.bias": torch.zeros(1)}, "not finite"),
        ({}, "from 128 inputs to 1"),
        (
            {"0.weight": torch.zeros(1).expand(10**9, 128)},
            "tensors of more than 2,147,483,648 bytes",
        ),
        ([1, 2], "not a mapping"),
    ):
        torch.save(state, path)
        with pytest.raises(UserError, match=said):
            read_predictor(path)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path, ran = tmp_path / "p.pth", tmp_path / "ran"
    torch.save(_Malicious(ran), path)
    with pytest.raises(UserError, match="holds more than tensors"):
        read_predictor(path)
    assert not ran.exists()


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("arguments", [[], ["a.pth", "b.csv", "c"]])
def test_the_script_says_how_it_is_called(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["make_accuracy_table", *arguments])
    with pytest.raises(UserError, match=r"usage: make_accuracy_table acc_predictor\.pth"):
        main()
