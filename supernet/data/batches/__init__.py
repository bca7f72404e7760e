"""Turns labelled images into batches of tensors."""
