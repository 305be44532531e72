"""The tool: the command line, packaging, the local twin."""

import os

# ONNX Runtime, which checks what is packaged, reads it when it is imported: a tool that nobody asked to has nothing to report.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
