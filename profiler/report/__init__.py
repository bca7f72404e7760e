"""Reports on latency tables: what was measured, how well, and what it is worth."""
