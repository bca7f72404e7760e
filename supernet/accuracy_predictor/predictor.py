"""A fitted accuracy predictor with facts about it, and its file.

The file is an `.npz` archive of plain arrays, so that reading it never runs code. It contains the
model's arrays and `about`: JSON with the format, the space, the resolutions, the kind of model and
its held-out error.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compofa.common.arrays import FloatArray, read_npz
from compofa.common.errors import UserError
from compofa.common.files import sha256, write_atomically
from compofa.supernet.accuracy_predictor.choices import Choices, OneHot
from compofa.supernet.accuracy_predictor.gaussian import GaussianProcess
from compofa.supernet.accuracy_predictor.perceptron import Perceptron
from compofa.supernet.space import Space

FORMAT = "compofa accuracy predictor"
VERSION = 1
LARGEST = 500_000_000
"""Bytes, packed or unpacked. Larger files are refused."""

AccuracyModel = GaussianProcess | Perceptron


@dataclass(frozen=True)
class AccuracyPredictor:
    """Predicts the accuracies of the subnets of one space.

    Attributes:
        space: the name of the space.
        definition: a digest of the definition of the space; see `definition_of`.
        resolutions: the resolutions that it was fitted on, ascending.
        model: the fitted model.
        rmse: the root mean square error on held-out subnets, as a fraction of one.
        source: the measurements that it was fitted to, as text for people.
    """

    space: str
    definition: str
    resolutions: tuple[int, ...]
    model: AccuracyModel
    rmse: float
    source: str

    def top1(self, choices: Choices) -> FloatArray:
        """The accuracies of n cells as fractions of one, [n]; NaN at other resolutions."""
        top1 = np.clip(self.model.predict(choices), 0.0, 1.0)
        top1[~np.isin(choices.sizes, self.resolutions)] = np.nan
        return top1

    def why_not(self, space: Space) -> str | None:
        """The reason why it cannot predict subnets of `space`; None if it can."""
        if space.name != self.space:
            return f"it is of space {self.space}, not of {space.name}"
        if definition_of(space) != self.definition:
            return f"it is of another definition of space {space.name}"
        return None


def definition_of(space: Space) -> str:
    """A hexadecimal digest of the networks of a space, without its name and usual resolutions."""
    plain = json.dumps(asdict(replace(space, name="", resolutions=())))
    # The same number may be 3 in a space file and 3.0 in a checkpoint.
    return sha256(repr(json.loads(plain, parse_int=float)).encode())


def write_predictor(path: Path, predictor: AccuracyPredictor) -> None:
    """Writes a predictor to a file.

    Raises:
        UserError: the file cannot be written.
    """
    about: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "space": predictor.space,
        "definition": predictor.definition,
        "resolutions": predictor.resolutions,
        "rmse": predictor.rmse,
        "source": predictor.source,
    }
    model = predictor.model
    arrays: dict[str, npt.NDArray[Any]]
    if isinstance(model, GaussianProcess):
        about["model"] = "gaussian process"
        arrays = {name: np.asarray(getattr(model, name)) for name in _GAUSSIAN}
    else:
        about |= {"model": "perceptron", "encoding": vars(model.encoding)}
        arrays = {f"weight{i}": each for i, each in enumerate(model.weights)}
        arrays |= {f"bias{i}": each for i, each in enumerate(model.biases)}
    arrays["about"] = np.array(json.dumps(about))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
    write_atomically(path, buffer.getvalue(), "the predictor")


_GAUSSIAN = ("mean", "scaling", "inputs", "groups", "scales", "weights", "level")


def read_predictor(path: Path) -> AccuracyPredictor:
    """Reads a file that `write_predictor` wrote.

    Raises:
        UserError: the file cannot be read, is damaged, or is not such a predictor.
    """
    arrays = _arrays(path)
    try:
        about = json.loads(str(arrays.pop("about")))
        if about["format"] != FORMAT or about["version"] != VERSION:
            raise ValueError(f"a {about['format']} of version {about['version']}")
        model = (
            _gaussian(arrays)
            if about["model"] == "gaussian process"
            else _perceptron(arrays, about["encoding"])
        )
        return AccuracyPredictor(
            str(about["space"]),
            str(about["definition"]),
            tuple(int(size) for size in about["resolutions"]),
            model,
            float(about["rmse"]),
            str(about["source"]),
        )
    except Exception as error:
        # The arrays of a damaged file can have any type and shape, so any error may occur here.
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"it is not an accuracy predictor: {reason[:200]}", path=path) from error


def _gaussian(arrays: Mapping[str, npt.NDArray[Any]]) -> GaussianProcess:
    """The Gaussian process in a file; raises ValueError if its arrays do not fit together."""
    model = GaussianProcess(
        mean=np.asarray(arrays["mean"], dtype=np.float64),
        scaling=np.asarray(arrays["scaling"], dtype=np.float64),
        inputs=np.asarray(arrays["inputs"], dtype=np.float64),
        groups=np.asarray(arrays["groups"], dtype=np.int64),
        scales=np.asarray(arrays["scales"], dtype=np.float64),
        weights=np.asarray(arrays["weights"], dtype=np.float64),
        level=float(arrays["level"]),
    )
    m, features = model.inputs.shape
    of_features = (model.mean, model.scaling, model.groups)
    if any(each.shape != (features,) for each in of_features) or model.weights.shape != (m,):
        raise ValueError("its arrays do not fit together")
    if not features or model.groups.min() < 0:
        raise ValueError("it has no features")
    if model.scales.shape != (2 * (model.groups.max() + 1) + 2,):
        raise ValueError("its scales do not fit its features")
    return model


def _perceptron(arrays: Mapping[str, npt.NDArray[Any]], encoding: Mapping[str, Any]) -> Perceptron:
    """The network in a file; raises ValueError if its layers do not fit together."""
    layers = range(len(arrays) // 2)
    weights = tuple(np.asarray(arrays[f"weight{i}"], dtype=np.float32) for i in layers)
    biases = tuple(np.asarray(arrays[f"bias{i}"], dtype=np.float32) for i in layers)
    outer = [weight.shape[0] for weight in weights]
    if [weight.shape[1] for weight in weights[1:]] + [1] != outer:
        raise ValueError("its layers do not fit together")
    if [bias.shape for bias in biases] != [(width,) for width in outer]:
        raise ValueError("its biases do not fit its layers")
    values = {name: tuple(each) for name, each in encoding.items()}
    return Perceptron(OneHot(**values), weights, biases)


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an archive, which may contain finite numbers and text only."""
    arrays = read_npz(path, "the predictor", LARGEST)
    for name, values in arrays.items():
        if values.dtype.kind in "fi" and not np.isfinite(values).all():
            raise UserError(f"its array {name!r} holds numbers that are not finite", path=path)
    return arrays
