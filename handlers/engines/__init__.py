"""How a packaged model becomes something that computes: fetched, verified, loaded. Knows files and arrays, not HTTP."""

import os

# ONNX Runtime reads it when it is imported: its telemetry has no place in a server, and warns where it may write nothing.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# What a model computes with, by ONNX Runtime's names, and by torch's.
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
ON_GPU = (CUDA, "cuda")


class EngineLost(BaseException):
    """What computes answers nothing any more in this process, whatever is asked: the GPU gave it up. No answer to a request, so that nobody
    takes it for one and goes on."""
