"""The same for the images that carry CUDA: no GPU is needed, but time and disk for gigabytes of packages, twice over."""

from collections.abc import Mapping
from typing import Any

from benchmarks import payload


def measure() -> Mapping[str, Any]:
    """The result, without a promise: what CUDA's libraries take is NVIDIA's."""
    return payload.measure(("gpu", "gpu-torch"))
