"""Accuracy against latency as a picture."""
