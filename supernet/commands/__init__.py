"""The commands of this room: `compofa-train` and `compofa-export`."""
