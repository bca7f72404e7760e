"""The program that runs on the device, and nothing else: it imports nothing of this package."""
