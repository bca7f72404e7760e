"""Measures finalists on the devices of the tables, for `verify`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from compofa.common.errors import UserError
from compofa.profiler.inventory import find_device
from compofa.profiler.measurement.device_access import TimeLimits
from compofa.profiler.measurement.device_monitor import PATIENCE_S
from compofa.profiler.measurement.handshake import as_measured
from compofa.profiler.measurement.progress import Display
from compofa.profiler.measurement.remeasure import Remeasurement, remeasure
from compofa.profiler.results.analysis import Analysis
from compofa.profiler.results.table import Cell
from compofa.profiler.settings import Protocol
from compofa.profiler.transports.device import Device
from compofa.search.candidates import Candidates
from compofa.search.verification.acceptance import decided
from compofa.search.verification.verify import Finalists

MOST_SESSIONS = Protocol.max_sessions
"""The most new sessions of a cell in one round."""


@dataclass(frozen=True)
class FinalistMeasurement:
    """Measures finalists on the device of every table, and reads the tables again.

    Attributes:
        devices: the devices, one per table.
        tables: the files of the tables, which are updated.
        again: reads the candidates again from the updated tables.
        until: when to stop at the latest, as `time.monotonic` counts seconds.
        patience_s: how many seconds to wait at most while a device is busy or hot.
    """

    devices: Sequence[Device]
    tables: Sequence[Path]
    again: Callable[[], Candidates]
    until: float = math.inf
    patience_s: float = PATIENCE_S

    def __call__(self, candidates: Candidates, wanted: Finalists) -> Candidates:
        """Measures each cell on the devices for which one of its questions has a limit."""
        for t, (device, table) in enumerate(zip(self.devices, self.tables, strict=True)):
            limits = {
                cell: [asked[t] for asked in questions if math.isfinite(asked[t])]
                for cell, questions in wanted.items()
            }
            cells = [cell for cell, here in limits.items() if here]
            # With several tables, a question may have a limit for one of them only.
            if not cells:
                continue

            def settled(
                analysis: Analysis, cell: Cell, limits: dict[Cell, list[float]] = limits
            ) -> bool:
                estimate = analysis.estimate(cell)
                return estimate is not None and decided(estimate, limits[cell])

            with Display(device.name) as display:
                again = Remeasurement(table, candidates.space, cells, settled, MOST_SESSIONS)
                remeasure(device, again, display, TimeLimits(self.until, self.patience_s))
        return self.again()


def devices_of(candidates: Candidates, inventory: Path) -> list[Device]:
    """The device of each table, with the settings that the table was measured with.

    Raises:
        UserError: a table is a folder of block tables, or its device is not in the inventory.
    """
    devices = []
    for each in candidates.tables:
        if each.path.is_dir():
            message = "a folder of block tables names no device that could be measured"
            raise UserError(message, path=each.path)
        devices.append(as_measured(find_device(inventory, each.device), each.table.setup))
    return devices
