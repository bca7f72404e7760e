"""What every part of the toolkit uses: errors, the console, files, lines of CSV and YAML."""

import os

# ONNX Runtime from 1.29 on reports what it runs to its maker unless it is told not to before it is
# imported. Every process of ours imports this package first, and hands the setting on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
