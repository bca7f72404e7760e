"""Measures how fast subnets really run on devices, and predicts what was not measured."""
