"""What a cell costs besides its latency: passes of their own, because counting takes time."""
