"""What every benchmark says of the machine it ran on, and where its results go."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "numpy", "scipy", "onnx", "onnxruntime", "torch", "ai-edge-litert", "ai-edge-quantizer",
    "openvino", "coremltools", "paramiko", "typer", "rich",
)  # fmt: skip


def machine_facts() -> dict[str, Any]:
    """Processor, system, load and the versions that matter."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "processor": names[0] if names else platform.processor(),
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
        "packages": versions,
    }


def save(name: str, results: dict[str, Any]) -> Path:
    """Writes results/NAME.json, the machine's facts first, and returns its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine_facts(), **results}, indent=1) + "\n")
    return path
