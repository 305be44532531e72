"""Where engine `torch` computes: the first GPU that CUDA shows, else the CPU."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from handlers.engines import EngineLost, weights
from handlers.engines.manifest import ModelError

Array = np.ndarray[Any, Any]
GPU = "cuda"
# Asked so, CUDA is not begun: a process that has begun it can't be forked (PyTorch's notes on CUDA, `PYTORCH_NVML_BASED_CUDA_CHECK`).
_ASK = "PYTORCH_NVML_BASED_CUDA_CHECK"


def found() -> torch.device:
    """What a model that is loaded now computes on. Raises ModelError where there is a GPU that can't be used."""
    if not is_there():
        return torch.device("cpu")
    try:
        torch.cuda.init()
        return torch.device(GPU, torch.cuda.current_device())
    except (RuntimeError, AssertionError) as error:
        raise ModelError(f"There is a GPU, which CUDA can't use: {error}. CUDA_VISIBLE_DEVICES= serves on the CPU.") from error


def is_there() -> bool:
    """Whether CUDA shows a GPU; without a thread or a context of CUDA's being made in this process."""
    before = os.environ.get(_ASK)
    os.environ[_ASK] = "1"
    try:
        return bool(torch.cuda.is_available())
    finally:
        if before is None:
            del os.environ[_ASK]
        else:
            os.environ[_ASK] = before


@contextmanager
def computing(device: torch.device) -> Iterator[None]:
    """A computation on it. Raises what that raises, EngineLost where nothing can be computed there from now on.

    After what CUDA calls a sticky error (an address out of range, a memory fault of the card) every call of a process fails, also those
    that have nothing to do with it; memory that does not suffice is none (CUDA Runtime API, error handling).
    """
    try:
        with torch.inference_mode():
            yield
    except Exception as error:
        if device.type == GPU:
            require_alive(device, error)
        raise


def require_alive(device: torch.device, cause: Exception) -> None:
    """Raises EngineLost where the GPU does not finish what it was asked."""
    try:
        torch.cuda.synchronize(device)
    except RuntimeError as error:
        raise EngineLost(f"the GPU computes nothing any more in this process: {error}") from cause


def weights_of(path: Path, device: torch.device) -> dict[str, Tensor]:
    """The weights of a file, there. Raises ModelError where they can't be loaded."""
    try:
        return weights.load(path, device)
    except (OSError, SafetensorError, RuntimeError) as error:  # the last one is CUDA's: memory, its own or pinned, or a GPU in other hands
        raise ModelError(f"{path} can't be loaded: {error}") from error


def in_one_type(loaded: Mapping[str, Tensor], table: str) -> dict[str, Tensor]:
    """The weights as they are computed with, all of them alike: on a CPU, which is no faster with narrower ones, in float32; on a GPU as
    the `table` is, the largest one mostly. Raises KeyError where it is missing."""
    dtype = loaded[table].dtype if loaded[table].device.type == GPU else torch.float32
    return {name: weight.to(dtype) for name, weight in loaded.items() if weight.is_floating_point()}


def numbers(output: Tensor) -> Array:
    """A model's output as float32, in this process's memory."""
    return np.asarray(output.float().cpu().numpy(), dtype=np.float32)
