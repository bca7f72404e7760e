"""The files that a training run leaves, and from which it goes on."""
