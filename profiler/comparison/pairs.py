"""Which tables to compare: two files, or the tables of the same name in two folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from compofa.common.errors import UserError, file_error

MOST_DEVICES = 100
"""Tables of a folder, at most: a folder with more does not hold one table for each device."""


@dataclass(frozen=True)
class Pairs:
    """Tables to compare.

    Attributes:
        paths: (base, new) of each device.
        only_base, only_new: names of tables without a counterpart.
    """

    paths: tuple[tuple[Path, Path], ...]
    only_base: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()


def find_pairs(base: Path, new: Path) -> Pairs:
    """Pairs up tables.

    Raises:
        UserError: one is a folder and the other is not, or two folders have no name in common.
    """
    if not base.is_dir() and not new.is_dir():
        return Pairs(((base, new),))
    if not (base.is_dir() and new.is_dir()):
        folder, other = (base, new) if base.is_dir() else (new, base)
        reason = "is a table" if other.exists() else "does not exist"
        raise UserError(
            f"{folder} is a folder, but {other} {reason}", hint="give two tables or two folders"
        )
    before, after = _tables(base), _tables(new)
    # By name: a folder of each side has one table for each device.
    shared = sorted(before.keys() & after.keys())
    if not shared:
        raise UserError(
            f"no table is in both folders: {base} has {_listed(before)}, {new} has {_listed(after)}"
        )
    return Pairs(
        tuple((before[name], after[name]) for name in shared),
        tuple(sorted(before.keys() - after.keys())),
        tuple(sorted(after.keys() - before.keys())),
    )


def _tables(folder: Path) -> dict[str, Path]:
    try:
        tables = {path.name: path for path in folder.iterdir() if path.suffix == ".csv"}
    except OSError as error:
        raise file_error(error, folder, "cannot list the folder") from None
    if len(tables) > MOST_DEVICES:
        raise UserError(
            f"the folder has {len(tables)} tables, and at most {MOST_DEVICES} are compared",
            path=folder,
        )
    return tables


def _listed(names: dict[str, Path]) -> str:
    return ", ".join(sorted(names)[:5]) or "none"
