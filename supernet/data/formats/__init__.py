"""The file formats that data sets come in, one file for each."""
