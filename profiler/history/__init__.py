"""Latency over commits: a folder of tables, and what changed when."""
