"""The commands `compofa-train` and `compofa-export`."""
