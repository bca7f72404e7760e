"""The program that runs on the device, and nothing else: it imports nothing of this package."""

from pathlib import Path

AGENT = Path(__file__).with_name("compofa_agent.py")
"""The Python agent's file, as it is sent to devices."""
