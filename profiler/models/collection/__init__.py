"""Reads collections of the user's model files, and provides them to devices."""
