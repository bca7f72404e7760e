"""The commands `compofa-search` and `compofa-report`."""
