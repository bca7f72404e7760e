"""The formats a comparison is reported in, one file for each."""
