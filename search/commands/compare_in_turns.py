"""`compofa-report compare --device`: models, or set-ups, measured in turns and compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compofa.common.console import note
from compofa.common.errors import UserError, file_error

if TYPE_CHECKING:
    from compofa.profiler.comparison.changes import Changes
    from compofa.profiler.comparison.verdict import Report
    from compofa.profiler.models.collection.collection import Collection
    from compofa.profiler.side_by_side.model_pairs import SideBySideRequest
    from compofa.profiler.transports.device import Device

LONGEST_NAME = 60
"""Characters of a side in a journal's name."""


@dataclass(frozen=True)
class InTurnsOptions:
    """How models are measured in turns.

    Attributes:
        devices: names; none where tables are compared.
        force: whether to measure identical files.
        fresh: whether to discard earlier journals.
        journals: their folder.
        shapes, input_data: as --input-shape and --input-data give them.
        min_effect: the smallest change that counts, as a fraction.
        confidence: that nothing is falsely called slower or faster, over all devices.
        seconds: to spend on each device at most.
        pause: whether to wait while a device is busy or hot.
    """

    devices: Sequence[str]
    inventory: Path
    force: bool
    fresh: bool
    journals: Path
    shapes: Sequence[str]
    input_data: Path | None
    min_effect: float
    confidence: float
    seconds: float
    pause: bool

    @property
    def for_models(self) -> dict[str, object]:
        """What is given of the options that are about models alone."""
        return {
            "--force": self.force,
            "--fresh": self.fresh,
            "--input-shape": self.shapes,
            "--input-data": self.input_data,
        }


def check_sides(
    base: Path, new: Path | None, options: InTurnsOptions, for_tables: Mapping[str, object]
) -> None:
    """Refuses sides and options that do not go together.

    Args:
        base, new: what is compared.
        options: with devices if models are.
        for_tables: what the command line gives of the options that are about tables.

    Raises:
        UserError: they do not.
    """
    from compofa.profiler.side_by_side.model_files import is_model_file

    devices = options.devices
    misplaced = for_tables if devices else options.for_models
    given = [name for name, value in misplaced.items() if value]
    sides = [base] if new is None else [base, new]
    if devices:
        table = next((side for side in sides if side.suffix.lower() == ".csv"), None)
        if table is not None:
            raise UserError(
                f"--device measures model files, and {table} is a table",
                hint="leave --device out to compare two tables",
            )
        if given:
            raise UserError(f"{given[0]} is about tables, and with --device there are none")
        if new is None and len(devices) != 2:
            raise UserError(
                "one side is given", hint="give NEW as well, or two devices to compare one model on"
            )
        return
    model = next((side for side in sides if is_model_file(side)), None)
    if model is not None:
        raise UserError(
            f"{model} is a model file, which has to be measured",
            hint="name a device to measure it on, as in --device local",
        )
    if new is None:
        raise UserError("one table is given", hint="give the table to judge as NEW")
    if given:
        raise UserError(f"{given[0]} is about model files, which take --device NAME")


def compare_in_turns(base: Path, new: Path | None, options: InTurnsOptions) -> Report:
    """Measures models on each device, or one model on two; false alarms are shared out."""
    from compofa.profiler.comparison.verdict import Compared, Report
    from compofa.profiler.inventory import find_device
    from compofa.profiler.side_by_side.model_files import given_models

    names = list(dict.fromkeys(options.devices))
    if new is None and len(names) < 2:
        raise UserError(f"both sides are the device {names[0]}", hint="name another one")
    devices = [find_device(options.inventory, name) for name in names]
    before = _with_inputs(given_models(base), options)
    _make_folder(options.journals)
    if new is None:
        found = [_set_ups((devices[0], devices[1]), base, before, options)]
    else:
        after = _with_inputs(given_models(new), options)
        sides = (base, before), (new, after)
        found = [_models(device, sides, len(devices), options) for device in devices]
    return Report(tuple(Compared(changes, None) for changes in found))


def _with_inputs(collection: Collection, options: InTurnsOptions) -> Collection:
    from compofa.profiler.models.collection.find_models import parse_shapes

    return collection.with_options(parse_shapes(options.shapes), options.input_data)


def _models(
    device: Device,
    sides: tuple[tuple[Path, Collection], tuple[Path, Collection]],
    devices: int,
    options: InTurnsOptions,
) -> Changes:
    """Two sides on one device."""
    from compofa.profiler.measurement.progress import Display
    from compofa.profiler.side_by_side.compare_models import compare_models
    from compofa.profiler.side_by_side.model_files import paired_models

    (base, before), (new, after) = sides
    request = _request(
        options,
        (_journal(options.journals, f"{_short(base)}-{_short(new)}", device),),
        (base, new),
        devices,
    )
    with (
        paired_models((device, device), before, after, note) as models,
        Display(device.name) as display,
        _kept(request),
    ):
        return compare_models(device, models, request, display)


def _set_ups(
    devices: tuple[Device, Device], place: Path, given: Collection, options: InTurnsOptions
) -> Changes:
    """The same models on two devices."""
    from compofa.profiler.measurement.progress import Display
    from compofa.profiler.side_by_side.compare_set_ups import compare_set_ups
    from compofa.profiler.side_by_side.model_files import paired_models

    journals = tuple(_journal(options.journals, _short(place), device) for device in devices)
    names = Path(devices[0].name), Path(devices[1].name)
    request = _request(options, journals, names, 1)
    with (
        paired_models(devices, given, given, note) as models,
        Display(" and ".join(device.name for device in devices)) as display,
        _kept(request),
    ):
        return compare_set_ups(devices, models, request, display)


def _request(
    options: InTurnsOptions, journals: tuple[Path, ...], names: tuple[Path, Path], devices: int
) -> SideBySideRequest:
    from compofa.profiler.measurement.device_monitor import PATIENCE_S
    from compofa.profiler.side_by_side.model_pairs import SideBySideRequest

    return SideBySideRequest(
        journals,
        names,
        min_effect=options.min_effect,
        confidence=1 - (1 - options.confidence) / devices,
        max_time_s=options.seconds,
        patience_s=PATIENCE_S if options.pause else 0.0,
        fresh=options.fresh,
        force=options.force,
    )


@contextmanager
def _kept(request: SideBySideRequest) -> Iterator[None]:
    """Says on an interruption that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        places = ", ".join(map(str, request.journals))
        note(f"{places}: what was measured is kept; the same command continues from there")
        raise


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise file_error(error, folder, "cannot make the folder of the journals") from None


def _journal(folder: Path, models: str, device: Device) -> Path:
    """Where the runs of a comparison are kept: by what is compared, and on which device."""
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", device.name)[:LONGEST_NAME]
    return folder / f"{models}.{name}.compare.journal.jsonl"


def _short(place: Path) -> str:
    """A side's name as part of a file's name."""
    name = place.resolve().name if place.is_dir() else place.stem
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[:LONGEST_NAME] or "_"
