"""Search spaces: the subnets of a supernet, their keys, and their number.

A space is a product of units. A *compound* space couples the expand ratio to the depth of the unit
(Sahni et al., CompOFA, ICLR 2021, section 3.1), which leaves three choices per unit. The form of
keys is defined in `subnet_keys`, and the built-in spaces are in `spaces`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from compofa.common.csv_lines import shown
from compofa.common.errors import UserError
from compofa.supernet.subnet import Subnet, SubnetArrays, Unit, UnitChoice, divisible
from compofa.supernet.subnet_keys import SubnetKeys, listed

if TYPE_CHECKING:
    import numpy as np

ENUMERABLE = 1_000_000
"""The most subnets of a space that can be listed. Larger spaces can only be sampled."""

SEARCHED_RESOLUTIONS = (160, 176, 192, 208, 224)
"""The resolutions that CompOFA's reference implementation searches."""


@dataclass(frozen=True)
class Space:
    """A named family of subnets and the network around their elastic units.

    Attributes:
        name: the name of the space.
        family: the name of the `Family` of its networks.
        units: the elastic units.
        width: the multiplier of every channel count.
        classes: the number of classes.
        in_channels: the number of channels of the input.
        stem_stride: the stride of the stem.
        resolutions: the resolutions that a table of this space has by default, in pixels.
    """

    name: str
    family: str
    units: tuple[Unit, ...]
    width: float = 1.0
    classes: int = 1000
    in_channels: int = 3
    stem_stride: int = 2
    resolutions: tuple[int, ...] = SEARCHED_RESOLUTIONS

    @cached_property
    def slots(self) -> int:
        """The number of block slots in all units, the length of a subnet's `expands`."""
        return sum(unit.slots for unit in self.units)

    @cached_property
    def slot_ranges(self) -> tuple[range, ...]:
        """The range of each unit's positions among the block slots."""
        ends = list(itertools.accumulate((unit.slots for unit in self.units), initial=0))
        return tuple(range(a, b) for a, b in itertools.pairwise(ends))

    @property
    def compound(self) -> bool:
        """Whether expand ratios are coupled to depths."""
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
        """The number of subnets in the space."""
        return math.prod(unit.size for unit in self.units)

    def channels(self, base: float) -> int:
        """`base` channels under the width multiplier, rounded to a multiple of 8."""
        return divisible(base * self.width)

    def subnet(self, choices: Sequence[UnitChoice]) -> Subnet:
        """The subnet with these `choices`, one per unit."""
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
        """The choices of a subnet, one per unit; the inverse of the method `subnet`."""
        choices = []
        for i, (unit, slots) in enumerate(zip(self.units, self.slot_ranges, strict=True)):
            depth = subnet.depths[i]
            end = slots.start + unit.base_blocks + depth
            width = subnet.widths[i] if subnet.widths else 1.0
            expands, kernels = subnet.expands[slots.start : end], subnet.kernels[slots.start : end]
            choices.append(UnitChoice(depth, expands, kernels, width))
        return tuple(choices)

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
        """Draws a subnet; each choice is uniform and independent, as in training."""
        return self.subnet([unit.sample(rng) for unit in self.units])

    def extreme(self, largest: bool) -> Subnet:
        """The largest subnet of the space if `largest`, else the smallest."""
        return self.subnet([unit.extreme(largest) for unit in self.units])

    def __contains__(self, subnet: object) -> bool:
        return isinstance(subnet, Subnet) and self.why_not(subnet) is None

    def why_not(self, subnet: Subnet) -> str | None:
        """The reason why `subnet` is not in this space; None if it is."""
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
            # Otherwise two subnets that differ only in unused choices would be the same network.
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
        """The key of `subnet`; the inverse of `parse`.

        Raises:
            UserError: the subnet is not in this space.
        """
        reason = self.why_not(subnet)
        if reason is not None:
            raise UserError(f"not a subnet of space {self.name}: {reason}")
        return self._keys.render(subnet)

    @cached_property
    def _keys(self) -> SubnetKeys:
        return SubnetKeys(self.units, self.compound, self.fixed_kernels, self.elastic_widths)

    @property
    def key_form(self) -> str:
        """The form of this space's keys, for messages."""
        return self._keys.form

    def parse(self, key: str) -> Subnet:
        """The subnet of this space that has the key `key`.

        Raises:
            UserError: `key` is malformed, or is not the key of a subnet of this space.
        """
        bad = f"{shown(key)} is not a subnet of space {self.name}"
        try:
            subnet = self._keys.parse(key)
        except ValueError as error:
            raise UserError(f"{bad}: {error}") from None
        reason = self.why_not(subnet)
        if reason is not None:
            raise UserError(f"{bad}: {reason}")
        # A subnet must have only one key. This one is another spelling, for example with -e digits
        # that follow from the depths.
        if self._keys.render(subnet) != key:
            raise UserError(f"{bad} as written", hint=f"its key is {self._keys.render(subnet)}")
        return subnet

    def arrays(self, subnets: Sequence[Subnet]) -> SubnetArrays:
        """`subnets` as arrays, for vectorised computation."""
        import numpy as np

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
