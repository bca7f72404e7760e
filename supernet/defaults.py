"""Defaults and bounds of options that several commands have.

They are apart from spaces and graphs, so that a command can print its help without loading these.
"""

from __future__ import annotations

DEFAULT_SPACE = "compofa"

SMALLEST_RESOLUTION = 8
LARGEST_RESOLUTION = 4096
"""The bounds of the side of the square images that networks are built for, in pixels."""
