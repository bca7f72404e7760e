"""Draws accuracy against latency."""
