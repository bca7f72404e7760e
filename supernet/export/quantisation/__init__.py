"""Quantises models: reads the calibration images, and calls the libraries that quantise."""
