"""Model files, or set-ups, measured in turns: what differs, told in a minute."""
