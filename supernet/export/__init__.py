"""Writes model files directly from a subnet's graph and weights, without tracing."""
