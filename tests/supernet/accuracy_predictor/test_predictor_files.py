"""Predictors in files: ours, and OFA's layout; nothing in either is run."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from compofa.common.errors import UserError
from compofa.search.accuracy import released_predictor as searched
from compofa.search.accuracy.accuracy import load_accuracy
from compofa.search.accuracy.fitted import FittedAccuracy
from compofa.search.accuracy.sources import Cells
from compofa.supernet.accuracy_predictor.choices import choices_of
from compofa.supernet.accuracy_predictor.fitting import (
    Error,
    Fitted,
    ModelKind,
    encoding_of,
    fit_predictor,
)
from compofa.supernet.accuracy_predictor.measured import MeasuredAccuracies
from compofa.supernet.accuracy_predictor.perceptron import HIDDEN, Perceptron
from compofa.supernet.accuracy_predictor.predictor import definition_of, read_predictor
from compofa.supernet.accuracy_predictor.predictor_files import read_model, save_fitted
from compofa.supernet.accuracy_predictor.released_layout import read_released
from compofa.supernet.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from compofa.supernet.spaces import SPACES
from compofa.supernet.supernet import Supernet

KINDS = list(ModelKind)
Made = Callable[..., MeasuredAccuracies]
Damage = Callable[[Path, Made], object]


def fitted_to(measured: MeasuredAccuracies, kind: ModelKind) -> Fitted:
    """A fitted model; in place of a fitted network a random one, which takes no time."""
    if kind is ModelKind.GAUSSIAN:
        return fit_predictor(measured, [kind])[0]
    rng, encoding = np.random.default_rng(0), encoding_of(measured.space, measured.resolutions)
    widths = (encoding.encode(measured.choices).shape[1], *HIDDEN, 1)
    pairs = list(itertools.pairwise(widths))
    weights = [rng.standard_normal((outer, inner)) / 20 for inner, outer in pairs]
    biases = [0.5 * rng.random(outer) for _, outer in pairs]
    as_floats = [tuple(each.astype(np.float32) for each in part) for part in (weights, biases)]
    model = Perceptron(encoding, *as_floats)
    return Fitted(kind, model, (Error(None, 1, 0.01, 0.5),))


@pytest.mark.parametrize("name", ["compofa", "ofa-resnet50"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_predictor_is_read_as_it_was_written(
    made: Made, tmp_path: Path, name: str, kind: ModelKind
) -> None:
    measured, path = made(name, 20), tmp_path / "p.npz"
    fitted = fitted_to(measured, kind)
    save_fitted(path, fitted, measured)
    found = read_predictor(path)
    assert (found.space, found.resolutions) == (name, (160, 224))
    assert found.rmse == fitted.rmse
    expected = fitted.model.predict(measured.choices)
    assert np.array_equal(found.top1(measured.choices), expected.clip(0, 1))
    assert np.array_equal(
        read_model(path, measured.space, (160, 224)).predict(measured.choices), expected
    )


def test_other_resolutions_are_not_known(made: Made, tmp_path: Path) -> None:
    measured, path = made("compofa", 20), tmp_path / "p.npz"
    save_fitted(path, fitted_to(measured, ModelKind.GAUSSIAN), measured)
    subnet = measured.subnets[0]
    top1 = read_predictor(path).top1(choices_of(measured.space, [subnet] * 2, [160, 192]))
    assert np.isnan(top1).tolist() == [False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_the_search_takes_a_fitted_predictor_for_accuracies(
    made: Made, tmp_path: Path, kind: ModelKind
) -> None:
    measured, path = made("compofa", 20), tmp_path / "p.npz"
    fitted = fitted_to(measured, kind)
    save_fitted(path, fitted, measured)
    space, source = measured.space, load_accuracy(path, measured.space)
    keys = [space.key(subnet) for subnet in measured.subnets]
    subnets = dict(zip(keys, measured.subnets, strict=True))
    cells = Cells(space, subnets, keys, np.array(measured.sizes))
    expected = fitted.model.predict(measured.choices).clip(0, 1)
    assert source.top1(cells) == pytest.approx(expected)
    assert source.deviations(cells) == pytest.approx(fitted.rmse)
    assert source.resolutions(space) == (160, 224)
    assert source.description == "predicted by p.npz, fitted to accuracies of 20 subnets"
    assert isinstance(source, FittedAccuracy)
    at_once = source.top1_of(space, space.arrays(measured.subnets), cells.sizes)
    assert at_once == pytest.approx(expected)


def test_the_search_refuses_a_predictor_of_another_space(made: Made, tmp_path: Path) -> None:
    measured, path = made("compofa", 20), tmp_path / "p.npz"
    save_fitted(path, fitted_to(measured, ModelKind.GAUSSIAN), measured)
    for space, message in (
        (SPACES["compofa-w1.2"], "it is of space compofa, not of compofa-w1.2"),
        (replace(SPACES["compofa"], classes=10), "another definition of space compofa"),
    ):
        cells = Cells(space, {}, [], np.array([], dtype=np.int64))
        with pytest.raises(UserError, match=message):
            load_accuracy(path, space).top1(cells)


def test_a_predictor_suits_its_space_as_a_checkpoint_tells_it_and_as_a_file_does(
    tmp_path: Path,
) -> None:
    """They write the same numbers as 3.0 and as 3."""
    space = replace(SPACES["ofa-mbv3"], name="mine", width=0.05, classes=3)
    save_checkpoint(tmp_path / "c.pt", Supernet(space), {})
    loaded = load_checkpoint(tmp_path / "c.pt").supernet.space
    assert loaded == space
    assert definition_of(loaded) == definition_of(space)


def test_the_search_reads_the_released_layout_that_is_written(made: Made, tmp_path: Path) -> None:
    measured, path = made("ofa-mbv3", 20), tmp_path / "p.pth"
    fitted = fitted_to(measured, ModelKind.PERCEPTRON)
    save_fitted(path, fitted, measured)
    space = measured.space
    found = searched.read_predictor(path).top1_of(
        space, space.arrays(measured.subnets), np.array(measured.sizes)
    )
    assert found == pytest.approx(fitted.model.predict(measured.choices), abs=1e-6)


def test_the_released_predictor_says_what_is_on_record(reference: Path) -> None:
    rows = json.loads((reference / "predictor_examples.json").read_text())["rows"]
    space = SPACES["ofa-mbv3"]
    digits = [
        [
            "".join(
                str(row[name][slot]) if slot - slots.start < depth else "0"
                for slots, depth in zip(space.slot_ranges, row["d"], strict=True)
                for slot in slots
            )
            for name in ("e", "ks")
        ]
        for row in rows
    ]
    keys = [
        f"d{''.join(map(str, row['d']))}-e{expands}-k{kernels}"
        for row, (expands, kernels) in zip(rows, digits, strict=True)
    ]
    subnets = [space.parse(key) for key in keys]
    choices = choices_of(space, subnets, [row["r"] for row in rows])
    found = read_released(reference / "acc_predictor.pth").predict(choices)
    assert found == pytest.approx([row["top1"] for row in rows], abs=2e-6)


UNFIT = {
    "another family": ("ofa-proxyless-w1.3", (160,), "not for ofa-proxyless-w1.3"),
    "resnet": ("compofa-resnet50", (160,), "not for compofa-resnet50"),
    "another resolution": ("compofa", (160, 168), "not used at resolution 168"),
}


@pytest.mark.parametrize(("name", "sizes", "message"), UNFIT.values(), ids=UNFIT.keys())
def test_the_released_layout_is_refused_where_it_cannot_express_the_cells(
    made: Made,
    tmp_path: Path,
    name: str,
    sizes: tuple[int, ...],
    message: str,
) -> None:
    measured = made(name, 12, sizes)
    fitted = fitted_to(measured, ModelKind.PERCEPTRON)
    with pytest.raises(UserError, match=message):
        save_fitted(tmp_path / "p.pth", fitted, measured)
    assert not list(tmp_path.iterdir())


def test_other_classes_are_refused(made: Made, tmp_path: Path) -> None:
    measured = made("compofa", 12)
    measured = replace(measured, space=replace(measured.space, classes=10))
    fitted = fitted_to(measured, ModelKind.PERCEPTRON)
    with pytest.raises(UserError, match="ImageNet's 1000 classes, but compofa has 10"):
        save_fitted(tmp_path / "p.pth", fitted, measured)


def archive(path: Path, made: Made, **changes: npt.ArrayLike) -> Path:
    """A good file with some of its arrays changed."""
    measured = made("compofa", 12)
    save_fitted(path, fitted_to(measured, ModelKind.GAUSSIAN), measured)
    with np.load(path) as good:
        arrays = {name: good[name] for name in good.files}
    np.savez(path, allow_pickle=True, **(arrays | changes))
    return path


ABOUT = {"format": "compofa accuracy predictor", "version": 1, "space": "compofa"}
DAMAGED = {
    "no archive": (lambda path, _: path.write_text("accuracy"), "not an archive of plain arrays"),
    "a pickle": (lambda path, _: path.write_bytes(pickle.dumps({})), "not an archive of plain"),
    "pickled objects": (
        lambda path, made: archive(path, made, weights=np.array([{}], dtype=object)),
        "not an archive of plain arrays",
    ),
    "half of it": (
        lambda path, made: path.write_bytes(archive(path, made).read_bytes()[:2000]),
        "not an archive of plain arrays, or it is damaged",
    ),
    "another format": (
        lambda path, made: archive(path, made, about=np.array('{"format": "x", "version": 1}')),
        "a x of version 1",
    ),
    "no description": (
        lambda path, made: archive(path, made, about=np.array(json.dumps(ABOUT))),
        "it lacks",
    ),
    "arrays that do not fit": (
        lambda path, made: archive(path, made, mean=np.zeros(3)),
        "do not fit together",
    ),
    "numbers that are none": (
        lambda path, made: archive(path, made, level=np.array(np.nan)),
        "'level' holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize(("write", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_told(
    made: Made, tmp_path: Path, write: Callable[[Path, Made], object], message: str
) -> None:
    path = tmp_path / "p.npz"
    write(path, made)
    with pytest.raises(UserError) as told:
        read_predictor(path)
    assert str(told.value).startswith(f"{path}: ")
    assert message in str(told.value)


def test_tensors_of_another_layout_are_told(tmp_path: Path) -> None:
    torch.save({"0.weight": torch.zeros(4, 128)}, tmp_path / "p.pth")
    with pytest.raises(UserError, match="layer '0' does not fit the one before"):
        read_released(tmp_path / "p.pth")
