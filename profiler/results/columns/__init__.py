"""Measured columns: what they cost, how they are predicted, and what they come to."""
