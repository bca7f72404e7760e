"""Ways to reach a device: put files there, start the agent there, talk to it."""

from __future__ import annotations

from compofa.profiler.transports.base import Channel, Transport
from compofa.profiler.transports.registry import open_transport

__all__ = ["Channel", "Transport", "open_transport"]
