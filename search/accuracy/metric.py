"""What accuracies are called and how they are shown: top-1 in percent, others as they are."""

from __future__ import annotations

import re
from dataclasses import dataclass

from compofa.common.csv_lines import shown
from compofa.common.errors import UserError


@dataclass(frozen=True)
class Metric:
    """A figure of merit; more of it is better.

    Attributes:
        column: its name in tables.
    """

    column: str = "top1"

    @property
    def is_share(self) -> bool:
        """Whether it is a fraction of one, which people read in percent."""
        return self.column == "top1"

    @property
    def name(self) -> str:
        """As people call it."""
        return "top-1" if self.is_share else self.column

    @property
    def unit(self) -> str:
        """What follows a value that is shown, with the space before it; empty without a unit."""
        return " %" if self.is_share else ""

    def in_full(self, value: float) -> str:
        """A value within a sentence."""
        return f"{value:.2%}" if self.is_share else f"{value:.5g}"

    def shown(self, value: float) -> str:
        """A value without its unit."""
        return f"{100 * value:.2f}" if self.is_share else f"{value:.5g}"


TOP1 = Metric()


def parse_metric(text: str) -> Metric:
    """What --metric names.

    Raises:
        UserError: no column can be called so.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}", text):
        hint = "the name of a column, as in --metric mAP"
        raise UserError(f"--metric cannot be {shown(text)}", hint=hint)
    return Metric(text)
