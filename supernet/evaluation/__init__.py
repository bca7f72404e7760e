"""Measures top-1 accuracy of subnets with their own batch norm statistics, and writes tables."""
