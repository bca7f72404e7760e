"""Readers of the file formats of data sets, one file for each format."""
