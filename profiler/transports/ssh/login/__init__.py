"""How to get into an SSH host: configuration, keys, and whether it is the host it was."""
