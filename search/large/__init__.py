"""Searches spaces that have too many subnets to list."""
