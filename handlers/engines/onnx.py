"""Engine `onnx`: ONNX Runtime, on the CPU with weights mapped from the file, or on the GPU where its build and the machine have one."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handlers.engines import CPU, CUDA, onnx_library, weights
from handlers.engines.cancellation import Cancellation, Cancelled
from handlers.engines.manifest import ModelError, is_same, state_of
from handlers.functions import logs

Array = np.ndarray[Any, Any]
# Between the first answer and the work for faster ones, so that the first is on its way.
_BEFORE_PACKING_S = 0.1


class Session(Protocol):
    """A graph that is opened: each input's sizes, less than 0 where one is free, and what it computes with, the first one first."""

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]: ...
    @property
    def providers(self) -> tuple[str, ...]: ...
    def run(self, feed: Mapping[str, Array], cancellation: Cancellation) -> Any: ...


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
        wanted = _wanted()
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
        except Exception as error:  # ONNX Runtime's module has a class of its own for each code, all straight under Exception
            raise ModelError(f"{folder / 'model.onnx'} can't be loaded: {error}") from error
        self.providers = self._session.providers
        if self.providers[0] != wanted[0]:
            logs.write("gpu_unused", level="WARNING", wanted=wanted, providers=self.providers, message="The model computes on the CPU.")
        self.inputs = list(self._session.inputs)
        self.on_gpu = self.providers[0] == CUDA
        self._packs = not packed and wanted[0] == CPU
        self.batches = all(sizes and sizes[0] < 0 for sizes in self._session.inputs.values())
        self.pads = "attention_mask" in self.inputs

    def _opened(self, wanted: Sequence[str], *, packed: bool, optimized: bool) -> Session:
        path = self._folder / "model.onnx"
        if CUDA not in wanted:
            try:
                return onnx_library.LibrarySession(path, self._threads, packed=packed, optimized=optimized)
            except onnx_library.Unsuited:
                pass
        from handlers.engines.onnx_module import ModuleSession

        return ModuleSession(path, self._threads, wanted, packed=packed, optimized=optimized)

    def _state(self) -> list[tuple[int, ...]]:
        return [state_of(file) for file in self._files]

    def _pack(self) -> None:
        time.sleep(_BEFORE_PACKING_S)
        began = time.perf_counter()
        try:
            session = self._opened(self.providers, packed=True, optimized=True)
            far = weights.tier(self._folder) == weights.VOLUME
            if not all(is_same(*states, far=far) for states in zip(self._state(), self._opened_as, strict=True)):
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
        try:
            output = self._session.run(feed, cancellation)
        except Exception as error:  # a terminated run has no class of its own either
            if cancellation.cancelled and not isinstance(error, Cancelled):
                raise Cancelled from error
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


def _wanted() -> Sequence[str]:
    """The providers to ask for, the first one first."""
    if onnx_library.find() is not None:
        return [CPU]
    from handlers.engines import onnx_module

    return onnx_module.wanted()
