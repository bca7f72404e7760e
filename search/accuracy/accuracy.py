"""Where accuracies come from: a table of them, a predictor, or what this package ships."""

from __future__ import annotations

from pathlib import Path

from compofa.common.errors import UserError
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.search.accuracy.sources import AccuracySource
from compofa.supernet.evaluation.accuracy_file import ACCURACY_COLUMNS
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

SHIPPED_SPACE = "compofa"

PREDICTOR_SUFFIXES = (".pth", ".pt")
FITTED_SUFFIX = ".npz"


def load_accuracy(path: Path | None, space: Space) -> AccuracySource:
    """The accuracies in `path`, a table or a predictor; without a path, the shipped ones.

    Raises:
        UserError: the file is wrong, or none ship for this space.
    """
    # Predictors bring scipy or torch, which a table does without.
    if path is not None and path.suffix in PREDICTOR_SUFFIXES:
        from compofa.search.accuracy.released_predictor import read_predictor

        return read_predictor(path)
    if path is not None and path.suffix == FITTED_SUFFIX:
        from compofa.search.accuracy.fitted import read_fitted

        return read_fitted(path)
    if path is not None:
        return AccuracyTable.read(path)
    # By identity, not by name: a space file cannot borrow these accuracies.
    if space is not SPACES[SHIPPED_SPACE]:
        raise UserError(
            f"no accuracies ship for space {space.name}",
            hint="give --accuracy FILE: a table with the columns "
            f"{', '.join(ACCURACY_COLUMNS)}, or OFA's released acc_predictor.pth",
        )
    return AccuracyTable.read(shipped_table())


def shipped_table() -> Path:
    """Where the accuracies of `SHIPPED_SPACE` lie in this package."""
    return Path(__file__).parents[1] / "data" / "compofa_accuracy.csv"
