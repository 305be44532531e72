"""Engine `onnx`: ONNX Runtime, on the CPU with weights mapped from the file, or on the GPU where its build and the machine have one."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from handlers.engines import CPU, CUDA, EngineLost
from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.manifest import ModelError, state_of
from handlers.functions import logs

Array = np.ndarray[Any, Any]
# A GPU from Ampere on multiplies numbers of 32 bits with 10 bits of their 23 unless told otherwise: answers of MiniLM were off by 1e-3.
_SETTINGS = {CUDA: {"use_tf32": "0"}}
# Between the first answer and the work for faster ones, so that the first is on its way.
_BEFORE_PACKING_S = 0.1


class OnnxEngine:
    """One session, used by one thread at a time; `providers` are what it computes with, the first one first.

    `batches`: whether the graph takes several texts or images at once; `pads`: whether it can be told what of a text is padding;
    `on_gpu`: whether it computes there.

    On a CPU the first answer comes from weights as they lie in the file, by the graph as it is written. Packed for this machine's
    instructions, and with operators joined, they compute a single text in half the time, but to get there takes longer than to compute
    the first one: that is done behind it.
    """

    def __init__(self, folder: Path, threads: int, *, packed: bool = False, optimized: bool = False) -> None:
        """`packed`: with packed weights from the start, as processes that share them need, and graphs whose answers would not stay the
        same; `optimized`: with the graph as ONNX Runtime makes it, where the first answer needs that. Raises ModelError when ONNX Runtime
        refuses the file."""
        self._folder, self._threads = folder, threads
        self._files = [folder / name for name in ("model.onnx", "model.onnx.data")]
        # Weights within the graph are read into memory, each time that it is opened; only those beside it are mapped.
        packed = packed or not self._files[1].is_file()
        wanted = wanted_of(ort.get_available_providers())
        if CUDA in wanted:
            # CUDA's libraries are packages of the image, where no loader looks by itself.
            ort.preload_dlls()
        try:
            # Whoever proves the files looks whether they are still these.
            self._opened_as = [] if packed else self._state()
            packed_now = packed or wanted[0] != CPU
            try:
                self._session = self._opened(wanted, packed=packed_now, optimized=optimized or packed_now)
            except Exception:
                if optimized or packed_now:
                    raise
                # What it has no way to compute may be gone once the graph is optimized.
                self._session = self._opened(wanted, packed=False, optimized=True)
        except Exception as error:  # ONNX Runtime has a class of its own for each code, all straight under Exception
            raise ModelError(f"{folder / 'model.onnx'} can't be loaded: {error}") from error
        self.providers = tuple(self._session.get_providers())
        if self.providers[0] != wanted[0]:
            logs.write("gpu_unused", level="WARNING", wanted=wanted, providers=self.providers, message="The model computes on the CPU.")
        nodes = self._session.get_inputs()
        self.inputs = [node.name for node in nodes]
        self.on_gpu = self.providers[0] == CUDA
        self._packs = not packed and wanted[0] == CPU
        # A size that is free has a name, or none; a fixed one is a number.
        self.batches = all(node.shape and not isinstance(node.shape[0], int) for node in nodes)
        self.pads = "attention_mask" in self.inputs
        self._output = self._session.get_outputs()[0].name

    def _opened(self, wanted: Sequence[str], *, packed: bool, optimized: bool) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Threads that wait for work sleep. By default they spin, a whole core while nothing is asked, which is worse than slow where
        # there is less than a core a thread: a Lambda function of 2048 MB has 1.2, and the twin's instances share the machine's.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if not packed:
            options.add_session_config_entry("session.disable_prepacking", "1")
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings = [_SETTINGS.get(provider, {}) for provider in wanted]
        return ort.InferenceSession(self._folder / "model.onnx", options, providers=wanted, provider_options=settings)

    def _state(self) -> list[tuple[int, ...]]:
        return [state_of(file) for file in self._files]

    def _pack(self) -> None:
        time.sleep(_BEFORE_PACKING_S)
        began = time.perf_counter()
        try:
            session = self._opened(self.providers, packed=True, optimized=True)
            if self._state() != self._opened_as:
                raise ModelError(f"{self._folder} was changed since it was proven.")
            self._session = session
            logs.write("weights_packed", ms=round((time.perf_counter() - began) * 1000, 1))
        except Exception as error:  # noqa: BLE001  (it answers as it is)
            _not_packed(error)

    def run(self, tokens: Array, types: Array, cancellation: Cancellation, mask: Array | None = None) -> Array:
        """The model's first output for texts of one length, shape (texts, …), float32; `mask` is 1 where a token is, 0 where padding.

        Raises Cancelled when it was given up.
        """
        known = {"input_ids": tokens, "attention_mask": np.ones_like(tokens) if mask is None else mask, "token_type_ids": types}
        return self.infer({name: known[name] for name in self.inputs}, cancellation)

    def infer(self, feed: Mapping[str, Array], cancellation: Cancellation) -> Array:
        """The same for inputs by their names in the graph. Raises EngineLost where the GPU computes nothing any more."""
        options, session = ort.RunOptions(), self._session
        with cancellation.stopping(lambda: setattr(options, "terminate", True)):
            try:
                (output,) = session.run([self._output], feed, options)
            except Exception as error:  # a terminated run has no class of its own either
                if cancellation.cancelled:
                    raise Cancelled from error
                if self.on_gpu:
                    _require_alive(error)
                raise
        if self._packs:
            self._packs = False
            try:
                # No daemon: a process that ended in the middle of it would take its memory away under it.
                threading.Thread(target=self._pack, name="model-packing").start()
            except RuntimeError as error:
                _not_packed(error)
        return np.asarray(output, dtype=np.float32)


def _not_packed(error: Exception) -> None:
    logs.write("weights_not_packed", level="WARNING", message=f"Answers stay as slow as the first: {error}")


def _require_alive(cause: Exception) -> None:
    """Raises EngineLost where a number can't even be brought to the GPU: after some errors no call of a process succeeds there (CUDA
    Runtime API, error handling)."""
    try:
        ort.OrtValue.ortvalue_from_numpy(np.zeros(1, dtype=np.float32), "cuda", 0)
    except Exception as error:  # noqa: BLE001  (a class of its own for each code, as above)
        if any(word in str(error).lower() for word in ("allocate", "out of memory")):
            return  # full, not lost
        raise EngineLost(f"the GPU computes nothing any more in this process: {error}") from cause


def wanted_of(available: Sequence[str]) -> list[str]:
    """The providers to ask for, of those that a build of ONNX Runtime has: CUDA where it is among them, then the CPU."""
    return [provider for provider in (CUDA, CPU) if provider in available]
