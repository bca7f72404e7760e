"""The agent for devices without Python, and how it is built."""
