"""The commands of this room: `compofa-search` and `compofa-report`."""
