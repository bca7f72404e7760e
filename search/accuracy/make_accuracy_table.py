"""Writes the accuracy table that ships with this package, from OFA's released predictor.

python -m compofa.search.accuracy.make_accuracy_table acc_predictor.pth [OUT.csv]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from compofa.common.console import run_command
from compofa.common.errors import UserError
from compofa.common.files import write_atomically
from compofa.search.accuracy.accuracy import SHIPPED_SPACE, shipped_table
from compofa.search.accuracy.released_predictor import FITTED_RESOLUTIONS, read_predictor
from compofa.search.accuracy.sources import Cells
from compofa.supernet.evaluation.accuracy_file import ACCURACY_COLUMNS
from compofa.supernet.spaces import SPACES

HEADER = """\
# Predicted ImageNet top-1 of every subnet of CompOFA's fixed-kernel space (width 1.0).
# Predicted by OFA's released accuracy predictor (acc_predictor.pth), not measured on CompOFA
# weights: the predictor was fitted on subnets of OFA's own supernet.
# Made by: python -m compofa.search.accuracy.make_accuracy_table acc_predictor.pth
"""

SOURCE = "predicted by OFA's released predictor"


def render_accuracy_table(predictor_file: Path) -> str:
    """The text of the shipped table.

    Raises:
        UserError: the file is not the predictor that OFA released.
    """
    # Twice the predictor's precision, so that the sixth decimal is the same on every machine.
    predictor = read_predictor(predictor_file, dtype=np.float64)
    if not predictor.released:
        raise UserError("these are not the weights that OFA released", path=predictor_file)
    space = SPACES[SHIPPED_SPACE]
    subnets = {space.key(subnet): subnet for subnet in space.enumerate()}
    cells = [(key, size) for size in FITTED_RESOLUTIONS for key in subnets]
    keys, sizes = [key for key, _ in cells], np.array([size for _, size in cells])
    top1 = predictor.top1(Cells(space, subnets, keys, sizes))
    lines = [
        f"{space.name},{key},{size},{value:.6f},{SOURCE}"
        for (key, size), value in zip(cells, top1, strict=True)
    ]
    return HEADER + "\n".join([",".join(ACCURACY_COLUMNS), *lines, ""])


def main() -> None:
    """Writes the table to the path in the second argument, or over the shipped table."""
    if len(sys.argv) not in (2, 3):
        raise UserError("usage: make_accuracy_table acc_predictor.pth [OUT.csv]")
    out = Path(sys.argv[2]) if len(sys.argv) == 3 else shipped_table()
    write_atomically(out, render_accuracy_table(Path(sys.argv[1])), "the accuracy table")


if __name__ == "__main__":
    run_command(main)
