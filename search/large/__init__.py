"""Search of spaces that are too large to list."""
