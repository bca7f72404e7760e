"""Verification: the finalists of a search are measured before one of them becomes the answer."""
