"""Verification: finalists are measured on their device before one is named."""
