"""Protocols of profiles that only have to be made, not to be precise."""

from __future__ import annotations

from compofa.profiler.settings import Protocol

QUICK = Protocol(
    min_sessions=2,
    max_sessions=2,
    min_runs=3,
    run_s=1e-4,
    warmup_chunk=2,
    look_runs=0,
    reference_runs=2,
)
"""Two sessions of three runs a cell."""
