"""Measuring on a device: plan, sessions, and what is done while a device is disturbed."""
