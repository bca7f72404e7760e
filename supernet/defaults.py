"""What options of several commands are unless the user says otherwise, and the sizes they take.

Apart from spaces and graphs, so that a command can print its help without loading those.
"""

from __future__ import annotations

DEFAULT_SPACE = "compofa"

SMALLEST_RESOLUTION = 8
LARGEST_RESOLUTION = 4096
"""Sides of square images that networks are built for."""
