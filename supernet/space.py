"""Search spaces: which subnets a supernet holds, what they are called, and how many there are.

A space is a product of units. Each unit chooses a depth (how many blocks), and for every block an
expand ratio and a kernel size. A *compound* space couples the expand ratio to the depth of the
unit (Sahni et al., CompOFA, ICLR 2021, section 3.1), which leaves three choices a unit.

Keys name subnets as text, one digit per choice:

* ``d23422``: coupled, kernels fixed: the depth of each unit;
* ``d23422-k35335...``: coupled, kernels free: one kernel digit per block that exists;
* ``d...-e...-k...``: everything free: one digit per block slot, 0 beyond a unit's depth.

ResNet spaces add ``-w``, one width digit per unit, where widths are free. Choices that are not
one-digit integers (ResNet's ratios) are written as their position, counted from 1.

Numbers of the spaces: the reference implementations' OFA_mbv3.py, OFA_proxyless.py and
OFA_resnet50.py (mit-han-lab/once-for-all).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from compofa.common.errors import UserError, suggestion

Family = Literal["mbv3", "proxyless", "resnet50"]
Activation = Literal["none", "relu", "relu6", "h_swish"]

N = TypeVar("N", int, float)

ENUMERABLE = 1_000_000
"""Spaces up to this size can be listed; larger ones can only be sampled."""

SEARCHED_RESOLUTIONS = (160, 176, 192, 208, 224)
"""The resolutions that the CompOFA reference searches."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """One choice of depths, expand ratios and kernels.

    Attributes:
        depths: per unit.
        expands: per block slot; 0 where the slot is beyond the unit's depth.
        kernels: per block slot; 0 likewise.
        widths: per unit, as a multiplier; empty outside ResNet spaces.
    """

    depths: tuple[int, ...]
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """What one unit of a subnet looks like; `expands` and `kernels` cover its active blocks."""

    depth: int
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    width: float = 1.0


@dataclass(frozen=True)
class Unit:
    """The choices of one unit, and the shape it gives its blocks.

    Attributes:
        width: output channels before the width multiplier.
        depths: values of the depth digit.
        base_blocks: blocks that exist whatever the depth (ResNet's depth counts extra blocks).
        expands, kernels, widths: choices of each block, each block and the unit.
        coupling: depth -> (expand, width), where the space is compound; else None.
    """

    width: int
    stride: int
    activation: Activation
    squeeze_excite: bool
    depths: tuple[int, ...]
    expands: tuple[float, ...]
    kernels: tuple[int, ...]
    base_blocks: int = 0
    widths: tuple[float, ...] = (1.0,)
    coupling: tuple[tuple[int, float, float], ...] | None = None

    @property
    def slots(self) -> int:
        """Most blocks this unit can have."""
        return self.base_blocks + max(self.depths)

    def coupled(self, depth: int) -> tuple[float, float]:
        """(expand, width) that `depth` brings with it in a compound space."""
        for at, expand, width in self.coupling or ():
            if at == depth:
                return expand, width
        raise KeyError(depth)

    @property
    def size(self) -> int:
        """Number of distinct choices of this unit."""
        kernels = len(self.kernels)
        if self.coupling is not None:
            return sum(int(kernels ** (self.base_blocks + d)) for d in self.depths)
        each = kernels * len(self.expands)
        powers: list[int] = [each ** (self.base_blocks + d) for d in self.depths]
        return len(self.widths) * sum(powers)

    def choices(self) -> Iterator[UnitChoice]:
        """All choices of this unit, smaller depths first."""
        for depth in self.depths:
            blocks = self.base_blocks + depth
            kernels = list(itertools.product(self.kernels, repeat=blocks))
            if self.coupling is not None:
                expand, width = self.coupled(depth)
                for ks in kernels:
                    yield UnitChoice(depth, (expand,) * blocks, ks, width)
                continue
            expands = itertools.product(self.expands, repeat=blocks)
            for width, es, ks in itertools.product(self.widths, expands, kernels):
                yield UnitChoice(depth, es, ks, width)

    def sample(self, rng: np.random.Generator) -> UnitChoice:
        """Depth, expands, kernels and width each drawn uniformly, as in training."""
        depth = self.depths[rng.integers(len(self.depths))]
        blocks = self.base_blocks + depth
        kernels = tuple(self.kernels[i] for i in rng.integers(len(self.kernels), size=blocks))
        if self.coupling is not None:
            expand, width = self.coupled(depth)
            return UnitChoice(depth, (expand,) * blocks, kernels, width)
        expands = tuple(self.expands[i] for i in rng.integers(len(self.expands), size=blocks))
        return UnitChoice(depth, expands, kernels, self.widths[rng.integers(len(self.widths))])


@dataclass(frozen=True)
class Space:
    """A named family of subnets and the network around their elastic units.

    Attributes:
        width: the width multiplier of every channel count.
        resolutions: the input sizes a table of this space covers unless told otherwise.
    """

    name: str
    family: Family
    units: tuple[Unit, ...]
    width: float = 1.0
    classes: int = 1000
    in_channels: int = 3
    stem_stride: int = 2
    resolutions: tuple[int, ...] = SEARCHED_RESOLUTIONS

    @cached_property
    def slots(self) -> int:
        """Block slots over all units: the length of a subnet's `expands` and `kernels`."""
        return sum(unit.slots for unit in self.units)

    @cached_property
    def slot_ranges(self) -> tuple[range, ...]:
        """For each unit, its positions among the block slots."""
        ends = list(itertools.accumulate((unit.slots for unit in self.units), initial=0))
        return tuple(range(a, b) for a, b in itertools.pairwise(ends))

    @property
    def compound(self) -> bool:
        """Whether expand ratios follow from depths."""
        return self.units[0].coupling is not None

    @property
    def fixed_kernels(self) -> bool:
        """Whether every unit has one kernel size only."""
        return all(len(unit.kernels) == 1 for unit in self.units)

    @property
    def elastic_widths(self) -> bool:
        """Whether units have widths of their own to choose from (ResNet spaces)."""
        return any(len(unit.widths) > 1 for unit in self.units)

    @cached_property
    def size(self) -> int:
        """How many subnets the space has."""
        return math.prod(unit.size for unit in self.units)

    def channels(self, base: float) -> int:
        """`base` channels under the width multiplier, rounded to a multiple of 8."""
        return divisible(base * self.width)

    def subnet(self, choices: Sequence[UnitChoice]) -> Subnet:
        """The subnet that takes `choices`, one per unit."""
        expands: list[float] = []
        kernels: list[int] = []
        for unit, choice in zip(self.units, choices, strict=True):
            rest = (0,) * (unit.slots - len(choice.kernels))
            expands += choice.expands + rest
            kernels += choice.kernels + rest
        widths = tuple(choice.width for choice in choices) if self.elastic_widths else ()
        depths = tuple(choice.depth for choice in choices)
        return Subnet(depths, tuple(expands), tuple(kernels), widths)

    def unit_choices(self, subnet: Subnet) -> tuple[UnitChoice, ...]:
        """`subnet` taken apart unit by unit; the inverse of `subnet`."""
        found = []
        for i, (unit, slots) in enumerate(zip(self.units, self.slot_ranges, strict=True)):
            depth = subnet.depths[i]
            end = slots.start + unit.base_blocks + depth
            width = subnet.widths[i] if subnet.widths else 1.0
            expands, kernels = subnet.expands[slots.start : end], subnet.kernels[slots.start : end]
            found.append(UnitChoice(depth, expands, kernels, width))
        return tuple(found)

    def enumerate(self) -> tuple[Subnet, ...]:
        """Every subnet of the space, in the order of their keys' digits.

        Raises:
            UserError: the space is too large to list.
        """
        return self._all

    @cached_property
    def _all(self) -> tuple[Subnet, ...]:
        if self.size > ENUMERABLE:
            raise UserError(f"space {self.name} has {self.size:.3g} subnets, too many to list")
        options = [list(unit.choices()) for unit in self.units]
        return tuple(self.subnet(choice) for choice in itertools.product(*options))

    def sample(self, rng: np.random.Generator) -> Subnet:
        """One subnet, each choice uniform and independent (the distribution of training)."""
        return self.subnet([unit.sample(rng) for unit in self.units])

    def extreme(self, largest: bool) -> Subnet:
        """The largest subnet of the space, or the smallest."""
        pick = max if largest else min
        chosen = []
        for unit in self.units:
            depth = pick(unit.depths)
            expand, width = pick(unit.expands), pick(unit.widths)
            if unit.coupling is not None:
                expand, width = unit.coupled(depth)
            blocks = unit.base_blocks + depth
            kernels = (pick(unit.kernels),) * blocks
            chosen.append(UnitChoice(depth, (expand,) * blocks, kernels, width))
        return self.subnet(chosen)

    def __contains__(self, subnet: object) -> bool:
        return isinstance(subnet, Subnet) and self.why_not(subnet) is None

    def why_not(self, subnet: Subnet) -> str | None:
        """Why `subnet` is not in this space; None when it is."""
        if len(subnet.depths) != len(self.units):
            return f"it has {len(subnet.depths)} units, {self.name} has {len(self.units)}"
        if len(subnet.expands) != self.slots or len(subnet.kernels) != self.slots:
            return f"it does not have the {self.slots} block slots of {self.name}"
        if len(subnet.widths) != (len(self.units) if self.elastic_widths else 0):
            return f"its widths do not belong to {self.name}"
        for i, (unit, slots) in enumerate(zip(self.units, self.slot_ranges, strict=True)):
            depth, where = subnet.depths[i], f"unit {i + 1}"
            if depth not in unit.depths:
                return f"{where}: depth {depth} is not one of {listed(unit.depths)}"
            end = slots.start + unit.base_blocks + depth
            inactive = range(end, slots.stop)
            if any(subnet.expands[s] or subnet.kernels[s] for s in inactive):
                return f"{where}: blocks beyond its depth {depth} must be 0"
            expands = tuple(unit.expands)
            widths = tuple(unit.widths)
            if unit.coupling is not None:
                expand, width = unit.coupled(depth)
                expands, widths = (expand,), (width,)
            for s in range(slots.start, end):
                if subnet.expands[s] not in expands:
                    return f"{where}: expand {subnet.expands[s]} is not one of {listed(expands)}"
                if subnet.kernels[s] not in unit.kernels:
                    kernels = listed(unit.kernels)
                    return f"{where}: kernel {subnet.kernels[s]} is not one of {kernels}"
            if subnet.widths and subnet.widths[i] not in widths:
                return f"{where}: width {subnet.widths[i]} is not one of {listed(widths)}"
        return None

    def key(self, subnet: Subnet) -> str:
        """The name of `subnet`; `parse` is its inverse.

        Raises:
            UserError: the subnet is not in this space.
        """
        reason = self.why_not(subnet)
        if reason is not None:
            raise UserError(f"not a subnet of space {self.name}: {reason}")
        return self._key(subnet)

    def _key(self, subnet: Subnet) -> str:
        parts = ["d" + "".join(map(str, subnet.depths))]
        if not self.compound:
            choices = [unit.expands for unit in self.units for _ in range(unit.slots)]
            chosen = zip(choices, subnet.expands, strict=True)
            parts.append("e" + "".join(_digit(each, e) if e else "0" for each, e in chosen))
        if not self.fixed_kernels:
            kernels = "".join(map(str, subnet.kernels))
            parts.append("k" + (kernels.replace("0", "") if self.compound else kernels))
        if subnet.widths and not self.compound:
            widths = zip(self.units, subnet.widths, strict=True)
            parts.append("w" + "".join(_digit(unit.widths, w) for unit, w in widths))
        return "-".join(parts)

    @property
    def key_form(self) -> str:
        """How a key of this space looks, for messages."""
        form = "d" + "N" * len(self.units)
        if not self.compound:
            form += f"-e({self.slots} digits)"
        if not self.fixed_kernels:
            form += "-k(one digit per block)" if self.compound else f"-k({self.slots} digits)"
        if self.elastic_widths and not self.compound:
            form += "-w" + "N" * len(self.units)
        return form

    def parse(self, key: str) -> Subnet:
        """The subnet that `key` names in this space.

        Raises:
            UserError: the key is malformed, or names no subnet of this space.
        """
        parts = re.fullmatch(r"d([0-9]+)(?:-e([0-9]+))?(?:-k([0-9]+))?(?:-w([0-9]+))?", key)
        bad = f"{_shown(key)} is not a subnet of space {self.name}"
        if parts is None or not key.isascii():
            raise UserError(f"{bad}: its keys look like {self.key_form}")
        d, e, k, w = parts.groups()
        depths = tuple(map(int, d))
        if len(depths) != len(self.units):
            raise UserError(f"{bad}: it has {len(depths)} depths, not {len(self.units)}")
        for i, (unit, depth) in enumerate(zip(self.units, depths, strict=True)):
            if depth not in unit.depths:
                known = listed(unit.depths)
                raise UserError(f"{bad}: unit {i + 1}: depth {depth} is not one of {known}")
        try:
            subnet = Subnet(
                depths,
                self._parsed_expands(depths, e),
                self._parsed_kernels(depths, k, slotted=e is not None),
                self._parsed_widths(depths, w),
            )
        except ValueError as error:
            raise UserError(f"{bad}: {error}") from None
        reason = self.why_not(subnet)
        if reason is not None:
            raise UserError(f"{bad}: {reason}")
        if self._key(subnet) != key:
            raise UserError(f"{bad} as written", hint=f"its key is {self._key(subnet)}")
        return subnet

    def _parsed_expands(self, depths: tuple[int, ...], digits: str | None) -> tuple[float, ...]:
        if digits is not None:
            choices = [unit.expands for unit in self.units for _ in range(unit.slots)]
            return _values(digits, choices, "expand")
        if not self.compound:
            raise ValueError(f"it lacks its -e digits; keys look like {self.key_form}")
        coupled = [u.coupled(d)[0] for u, d in zip(self.units, depths, strict=True)]
        return self._filled(depths, coupled)

    def _parsed_kernels(
        self, depths: tuple[int, ...], digits: str | None, slotted: bool
    ) -> tuple[int, ...]:
        if digits is None:
            if not self.fixed_kernels:
                raise ValueError(f"it lacks its -k digits; keys look like {self.key_form}")
            return self._filled(depths, [unit.kernels[0] for unit in self.units])
        if self.compound and not slotted:
            digits = self._spread(depths, digits)
        choices = [unit.kernels for unit in self.units for _ in range(unit.slots)]
        return _values(digits, choices, "kernel")

    def _parsed_widths(self, depths: tuple[int, ...], digits: str | None) -> tuple[float, ...]:
        if digits is not None:
            return _values(digits, [unit.widths for unit in self.units], "width")
        if not self.elastic_widths:
            return ()
        if not self.compound:
            raise ValueError(f"it lacks its -w digits; keys look like {self.key_form}")
        return tuple(u.coupled(d)[1] for u, d in zip(self.units, depths, strict=True))

    def _filled(self, depths: tuple[int, ...], values: Sequence[N]) -> tuple[N, ...]:
        """One value per slot: that of its unit where the block exists, else 0."""
        found: list[N] = []
        for unit, depth, value in zip(self.units, depths, values, strict=True):
            blocks = unit.base_blocks + depth
            found += [value] * blocks + [type(value)(0)] * (unit.slots - blocks)
        return tuple(found)

    def _spread(self, depths: tuple[int, ...], digits: str) -> str:
        """Kernel digits of the blocks that exist, moved to their slots."""
        blocks = [u.base_blocks + d for u, d in zip(self.units, depths, strict=True)]
        if len(digits) != sum(blocks):
            raise ValueError(
                f"it has {len(digits)} kernel digits for {sum(blocks)} blocks; "
                "give one for each block that exists"
            )
        rest = iter(digits)
        return "".join(
            "".join(itertools.islice(rest, n)).ljust(unit.slots, "0")
            for unit, n in zip(self.units, blocks, strict=True)
        )

    def arrays(self, subnets: Sequence[Subnet]) -> SubnetArrays:
        """`subnets` as arrays, for vectorised work."""
        return SubnetArrays(
            depths=np.array([s.depths for s in subnets], dtype=np.int64).reshape(
                len(subnets), len(self.units)
            ),
            expands=np.array([s.expands for s in subnets], dtype=np.float64).reshape(
                len(subnets), self.slots
            ),
            kernels=np.array([s.kernels for s in subnets], dtype=np.int64).reshape(
                len(subnets), self.slots
            ),
        )


@dataclass(frozen=True)
class SubnetArrays:
    """Many subnets at once: depths [n, units], expands and kernels [n, slots], 0 = no block."""

    depths: npt.NDArray[np.int64]
    expands: npt.NDArray[np.float64]
    kernels: npt.NDArray[np.int64]


def divisible(channels: float, divisor: int = 8) -> int:
    """`channels` rounded to a multiple of `divisor`, never down by more than 10 %.

    The rounding of MobileNet's reference code (tensorflow/models, mobilenet.py `_make_divisible`).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def _values(digits: str, choices: Sequence[Sequence[N]], name: str) -> tuple[N, ...]:
    """What `digits` stand for; position i may take `choices[i]`, or 0 where no block is."""
    if len(digits) != len(choices):
        raise ValueError(f"it has {len(digits)} {name} digits, not {len(choices)}")
    found: list[N] = []
    for digit, possible in zip(digits, choices, strict=True):
        named = {_digit(possible, choice): choice for choice in possible}
        if digit != "0" and digit not in named:
            raise ValueError(f"{name} digit {digit} is not one of {listed(list(named))}")
        found.append(named.get(digit, type(possible[0])(0)))
    return tuple(found)


def _digit(choices: Sequence[float], value: float) -> str:
    if all(float(choice).is_integer() and 0 < choice < 10 for choice in choices):
        return str(int(value))
    return str(choices.index(value) + 1)


def listed(values: Sequence[object]) -> str:
    """`values` as a message names them."""
    return ", ".join(map(str, values))


def _shown(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "...")


COMPOUND = {2: 3.0, 3: 4.0, 4: 6.0}
"""CompOFA's coupling: the expand ratio that goes with each depth (reference train_ofa_net.py)."""

COMPOUND_KERNELS = (3, 5, 3, 3, 5)
"""Kernels of the five units in a fixed-kernel space: those of MobileNetV3-Large."""


def _mbv3_units() -> tuple[Unit, ...]:
    rows: list[tuple[int, int, Activation, bool]] = [
        (24, 2, "relu", False),
        (40, 2, "relu", True),
        (80, 2, "h_swish", False),
        (112, 1, "h_swish", True),
        (160, 2, "h_swish", True),
    ]
    return tuple(_free_unit(*row) for row in rows)


def _proxyless_units() -> tuple[Unit, ...]:
    rows = [(24, 2), (40, 2), (80, 2), (96, 1), (192, 2)]
    units = [_free_unit(width, stride, "relu6", False) for width, stride in rows]
    last = replace(_free_unit(320, 1, "relu6", False), depths=(1,))
    return (*units, last)


def _free_unit(width: int, stride: int, activation: Activation, squeeze_excite: bool) -> Unit:
    return Unit(width, stride, activation, squeeze_excite, (2, 3, 4), (3, 4, 6), (3, 5, 7))


def _compound(units: tuple[Unit, ...], kernels: Sequence[int] | None) -> tuple[Unit, ...]:
    """`units` with CompOFA's coupling; a unit of one depth takes the largest expand."""
    found = []
    for i, unit in enumerate(units):
        single = len(unit.depths) == 1
        found.append(
            replace(
                unit,
                coupling=tuple(
                    (d, unit.expands[-1] if single else COMPOUND[d], 1.0) for d in unit.depths
                ),
                kernels=unit.kernels if kernels is None else (kernels[i],),
            )
        )
    return tuple(found)


def _resnet50_units(compound: bool) -> tuple[Unit, ...]:
    """The stem (its residual conv is elastic) and four stages of bottleneck blocks.

    The compound form couples depth, expand ratio and width level by level. CompOFA's argument for
    coupling depth and expand ratio is that networks grow best in all dimensions at once (Tan and
    Le, EfficientNet, ICML 2019); here a stage's width is a third dimension, so it joins in. What is
    left reaches from the smallest subnet of the free space to its largest (0.96 to 7.49 GMACs at
    224) in 162 steps, the median of which is 0.8 % and the largest 27 %. Free widths
    would make 39,366 subnets of them. The stem has one block to drop, so its depth is 0 only at the
    lowest level; the level is what the key's digit names.
    """
    widths, ratios = (0.65, 0.8, 1.0), (0.2, 0.25, 0.35)
    stem = Unit(64, 1, "relu", False, (0, 1), (1.0,), (3,), widths=widths)
    stages = [
        Unit(width, stride, "relu", False, (0, 1, 2), ratios, (3,), base, widths)
        for width, stride, base in ((256, 1, 2), (512, 2, 2), (1024, 2, 4), (2048, 2, 2))
    ]
    if not compound:
        return (stem, *stages)
    levels = tuple(zip((0, 1, 2), ratios, widths, strict=True))
    stem = replace(stem, widths=(0.65, 1.0), coupling=((0, 1.0, 0.65), (1, 1.0, 1.0)))
    return (stem, *(replace(stage, coupling=levels) for stage in stages))


def _named() -> dict[str, Space]:
    mbv3, proxyless = _mbv3_units(), _proxyless_units()
    fixed = (*COMPOUND_KERNELS, COMPOUND_KERNELS[-1])
    found: list[Space] = []
    for width, suffix in ((1.0, ""), (1.2, "-w1.2")):
        found += [
            Space("compofa" + suffix, "mbv3", _compound(mbv3, COMPOUND_KERNELS), width),
            Space("compofa-elastic" + suffix, "mbv3", _compound(mbv3, None), width),
            Space("ofa-mbv3" + suffix, "mbv3", mbv3, width),
        ]
    found += [
        Space("compofa-proxyless-w1.3", "proxyless", _compound(proxyless, fixed), 1.3),
        Space("ofa-proxyless-w1.3", "proxyless", proxyless, 1.3),
        Space("compofa-resnet50", "resnet50", _resnet50_units(True)),
        Space("ofa-resnet50", "resnet50", _resnet50_units(False)),
    ]
    return {space.name: space for space in found}


SPACES: dict[str, Space] = _named()
"""The spaces known by name."""

DEFAULT_SPACE = "compofa"


def get_space(name: str) -> Space:
    """The space called `name`, or the one that the YAML file of that path defines.

    Raises:
        UserError: no such space, or the file is not a valid space file.
    """
    if name in SPACES:
        return SPACES[name]
    if name.endswith((".yaml", ".yml")):
        from compofa.supernet.space_file import load_space

        return load_space(Path(name))
    raise UserError(f"unknown space {_shown(name)}", hint=suggestion(name, list(SPACES)))
