"""ONNX Runtime by its Python module: on a GPU, and for graphs and packages that its library alone does not serve (`onnx_library.py`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from handlers.engines import CPU, CUDA, EngineLost
from handlers.engines.cancellation import Cancellation
from handlers.engines.onnx_library import entries

Array = np.ndarray[Any, Any]
# A GPU from Ampere on multiplies numbers of 32 bits with 10 bits of their 23 unless told otherwise: answers of MiniLM were off by 1e-3.
_SETTINGS = {CUDA: {"use_tf32": "0"}}
_ERRORS = 3


def wanted() -> Sequence[str]:
    """The providers to ask for, as `wanted_of`; their libraries are ready."""
    providers = wanted_of(ort.get_available_providers())
    if CUDA in providers:
        # CUDA's libraries are packages of the image, where no loader looks by itself.
        ort.preload_dlls()
    return providers


def wanted_of(available: Sequence[str]) -> list[str]:
    """The providers to ask for, of those that a build of ONNX Runtime has: CUDA where it is among them, then the CPU."""
    return [provider for provider in (CUDA, CPU) if provider in available]


class ModuleSession:
    """A graph that is opened, as `LibrarySession`."""

    def __init__(self, path: Path, threads: int, providers: Sequence[str], *, packed: bool, optimized: bool) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS
        for name, value in entries(packed=packed).items():
            options.add_session_config_entry(name, value)
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings = [_SETTINGS.get(provider, {}) for provider in providers]
        self._session = ort.InferenceSession(path, options, providers=providers, provider_options=settings)
        self.providers = tuple(self._session.get_providers())
        # A size that is free has a name, or none; a fixed one is a number.
        self.inputs = {
            node.name: tuple(size if isinstance(size, int) else -1 for size in node.shape) for node in self._session.get_inputs()
        }
        self._output = self._session.get_outputs()[0].name

    def run(self, feed: Mapping[str, Array], cancellation: Cancellation) -> Any:
        """As `LibrarySession.run`. Raises EngineLost where a GPU computes nothing any more."""
        options = ort.RunOptions()
        with cancellation.stopping(lambda: setattr(options, "terminate", True)):
            try:
                (output,) = self._session.run([self._output], dict(feed), options)
            except Exception as error:  # ONNX Runtime has a class of its own for each code, all straight under Exception
                if self.providers[0] == CUDA and not cancellation.cancelled:
                    _require_alive(error)
                raise
        return output


def _require_alive(cause: Exception) -> None:
    """Raises EngineLost where a number can't even be brought to the GPU: after some errors no call of a process succeeds there (CUDA
    Runtime API, error handling)."""
    try:
        ort.OrtValue.ortvalue_from_numpy(np.zeros(1, dtype=np.float32), "cuda", 0)
    except Exception as error:  # noqa: BLE001  (a class of its own for each code, as above)
        if any(word in str(error).lower() for word in ("allocate", "out of memory")):
            return  # full, not lost
        raise EngineLost(f"the GPU computes nothing any more in this process: {error}") from cause
