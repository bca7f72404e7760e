"""Reads and writes checkpoints of this toolkit, and reads those that OFA and CompOFA released."""
