"""Finds a few subnets that together serve many devices and limits."""
