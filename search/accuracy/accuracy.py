"""Loads accuracies from a table, a predictor, or the table that ships with this package."""

from __future__ import annotations

from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.models.collection.collection import Collection
from compofa.search.accuracy.accuracy_table import AccuracyTable
from compofa.search.accuracy.metric import TOP1, Metric
from compofa.search.accuracy.sources import AccuracySource
from compofa.supernet.evaluation.accuracy_file import ACCURACY_COLUMNS
from compofa.supernet.space import Space
from compofa.supernet.spaces import SPACES

SHIPPED_SPACE = "compofa"

PREDICTOR_SUFFIXES = (".pth", ".pt")
FITTED_SUFFIX = ".npz"


def load_accuracy(
    path: Path | None, space: Space | Collection, metric: Metric = TOP1
) -> AccuracySource:
    """Loads the accuracies that a search of `space` uses.

    Args:
        path: an accuracy table (.csv), a predictor that `compofa-train predictor` has fitted
            (.npz), or OFA's released predictor (.pth, .pt); None for the shipped table.
        space: the space to search, or a collection of model files.
        metric: what the column with the accuracies says.

    Raises:
        UserError: the file is damaged or of another kind, or `path` is None and no accuracies ship
            for this space.
    """
    # Reading a predictor imports scipy or torch, which a table does not need.
    if path is not None and path.suffix in PREDICTOR_SUFFIXES:
        from compofa.search.accuracy.released_predictor import read_predictor

        return read_predictor(path)
    if path is not None and path.suffix == FITTED_SUFFIX:
        from compofa.search.accuracy.fitted import read_fitted

        return read_fitted(path)
    if path is not None:
        return AccuracyTable.read(path, metric)
    if isinstance(space, Collection) or not metric.is_share:
        columns = ", ".join(ACCURACY_COLUMNS).replace("top1", metric.column)
        raise UserError(
            f"nothing says the {metric.name} of {space.name}",
            hint=f"give --accuracy FILE, a table with the columns {columns}; or measure with a "
            f"manifest that has {metric.column} among its columns (docs/model-files.md)",
        )
    # Compared by identity, because a user's space file may have the same name.
    if space is not SPACES[SHIPPED_SPACE]:
        raise UserError(
            f"no accuracies ship for space {space.name}",
            hint="give them with --accuracy FILE: a table with the columns "
            f"{', '.join(ACCURACY_COLUMNS)}, or OFA's released acc_predictor.pth",
        )
    return AccuracyTable.read(shipped_table())


def shipped_table() -> Path:
    """The path of the accuracy table of `SHIPPED_SPACE` in this package."""
    return Path(__file__).parents[1] / "data" / "compofa_accuracy.csv"
