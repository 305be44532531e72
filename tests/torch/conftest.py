"""Outside of their own environment these tests are skipped, and say how to run them."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

_READY = find_spec("transformers") is not None and find_spec("torch") is not None and "PILOTLIGHT_TORCH_MODELS" in os.environ
# Those modules import torch: here they can't even be collected.
collect_ignore = (
    []
    if _READY
    else [
        "test_bare_torch.py",
        "test_generation_parity.py",
        "test_generation_server.py",
        "test_gpu.py",
        "test_image_parity.py",
        "test_image_pipeline_parity.py",
        "test_hostile_programs.py",
        "test_program_parity.py",
        "test_program_writer.py",
        "test_torch_parity.py",
        "test_torch_server.py",
        "test_weights.py",
    ]
)


@pytest.fixture(scope="session")
def models() -> Path:
    return Path(os.environ["PILOTLIGHT_TORCH_MODELS"])


@pytest.fixture(scope="session")
def sources() -> Path:
    return Path(os.environ["MODEL_SOURCES"])
