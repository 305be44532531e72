"""ONNX Runtime by its C interface, on a CPU: what opening a graph and computing by it needs of the library that its package carries.

Its Python module takes a tenth of a cold start to import, with the interpreter's lock held. This way the same work is done without the
lock, beside other imports (`docs/decisions/0029-onnx-runtime-by-its-c-interface.md`).
"""

import ctypes
import importlib.util
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handlers.engines import CPU
from handlers.engines.cancellation import Cancellation

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Of the interface that is asked for. Its structure `OrtApi` only grows from one version to the next.
_VERSION = 13
_P, _INT, _SIZE, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
# What takes long, called without the interpreter's lock. Who gives it up for a moment may wait 5 ms to have it again.
_LONG: Mapping[str, tuple[int, tuple[type, ...]]] = {
    "CreateEnv": (3, (_INT, _TEXT, _P)),
    "CreateSession": (7, (_P, _TEXT, _P, _P)),
    "Run": (9, (_P, _P, _P, _P, _SIZE, _P, _SIZE, _P)),
}
# The functions' places in OrtApi, and what they take (ONNX Runtime, onnxruntime_c_api.h, version 13): what they hand out, and arrays, by
# pointers too. Each returns a status, null where all is well.
_QUICK: Mapping[str, tuple[int, tuple[type, ...]]] = {
    "CreateSessionOptions": (10, (_P,)),
    "SetSessionLogSeverityLevel": (22, (_P, _INT)),
    "SetSessionGraphOptimizationLevel": (23, (_P, _INT)),
    "SetIntraOpNumThreads": (24, (_P, _INT)),
    "SetInterOpNumThreads": (25, (_P, _INT)),
    "SessionGetInputCount": (30, (_P, _P)),
    "SessionGetInputTypeInfo": (33, (_P, _SIZE, _P)),
    "SessionGetOutputTypeInfo": (34, (_P, _SIZE, _P)),
    "SessionGetInputName": (36, (_P, _SIZE, _P, _P)),
    "SessionGetOutputName": (37, (_P, _SIZE, _P, _P)),
    "CreateRunOptions": (39, (_P,)),
    "RunOptionsSetTerminate": (46, (_P,)),
    "CreateTensorWithDataAsOrtValue": (49, (_P, _P, _SIZE, _P, _SIZE, _INT, _P)),
    "GetTensorMutableData": (51, (_P, _P)),
    "CastTypeInfoToTensorInfo": (55, (_P, _P)),
    "GetTensorElementType": (60, (_P, _P)),
    "GetDimensionsCount": (61, (_P, _P)),
    "GetDimensions": (62, (_P, _P, _SIZE)),
    "GetTensorTypeAndShape": (65, (_P, _P)),
    "CreateCpuMemoryInfo": (69, (_INT, _INT, _P)),
    "AllocatorFree": (76, (_P, _P)),
    "GetAllocatorWithDefaultOptions": (78, (_P,)),
    "AddSessionConfigEntry": (130, (_P, _TEXT, _TEXT)),
}
_ERROR_MESSAGE = 2
# What gives an object back, null too.
_RELEASES = {
    "ReleaseStatus": 93,
    "ReleaseMemoryInfo": 94,
    "ReleaseSession": 95,
    "ReleaseValue": 96,
    "ReleaseRunOptions": 97,
    "ReleaseTypeInfo": 98,
    "ReleaseTensorTypeAndShapeInfo": 99,
    "ReleaseSessionOptions": 100,
}
# ONNXTensorElementDataType of the types that NumPy has too, by what it calls them where it describes memory.
_TYPES = {
    "<f4": 1, "|u1": 2, "|i1": 3, "<u2": 4, "<i2": 5, "<i4": 6, "<i8": 7, "|b1": 9, "<f2": 10, "<f8": 11, "<u4": 12, "<u8": 13,
}  # fmt: skip
_CODES = {number: code for code, number in _TYPES.items()}
# OrtLoggingLevel, GraphOptimizationLevel, OrtAllocatorType and OrtMemType.
_ERRORS, _AS_WRITTEN, _ALL, _ARENA, _DEFAULT = 3, 0, 99, 1, 0

THREAD = "model-library"


class OnnxError(Exception):
    """What ONNX Runtime says that is wrong."""


class Unsuited(OnnxError):
    """A graph that takes or gives what is no array of numbers, or a package without this library: for ONNX Runtime's Python module."""


class _Owned(ctypes.c_void_p):
    """A pointer to what is ours."""

    release: Callable[["_Owned"], None] | None = None

    def __del__(self) -> None:
        if self.release is not None:
            self.release(self)


class _Base(ctypes.Structure):
    _fields_ = (("api", ctypes.CFUNCTYPE(_P, ctypes.c_uint32)), ("version", ctypes.CFUNCTYPE(_TEXT)))


class _Library:
    """The functions above, which raise OnnxError. What sessions belong to is made in a thread, which `environment` waits for."""

    def __init__(self, path: Path) -> None:
        try:
            base = ctypes.CDLL(str(path)).OrtGetApiBase
        except (OSError, AttributeError) as error:
            raise Unsuited(f"{path} can't be opened: {error}") from error
        base.restype = ctypes.POINTER(_Base)
        api = base().contents.api(_VERSION)
        if not api:
            raise Unsuited(f"{path} has no version {_VERSION} of the C interface")
        places = ctypes.cast(api, ctypes.POINTER(_P))
        # One type for each kind of call: to make a type for each function takes longer than all of the rest.
        quick, long, releasing = ctypes.PYFUNCTYPE(_P), ctypes.CFUNCTYPE(_P), ctypes.CFUNCTYPE(None)
        for kind, functions in ((quick, _QUICK), (long, _LONG)):
            for name, (place, takes) in functions.items():
                self._add(name, kind(places[place]), takes).errcheck = self._check
        for name, place in _RELEASES.items():
            # A session that is given back ends its threads.
            self._add(name, (releasing if name == "ReleaseSession" else ctypes.PYFUNCTYPE(None))(places[place]), (_P,))
        self._message = ctypes.PYFUNCTYPE(_TEXT, _P)(places[_ERROR_MESSAGE])
        self._environment = _P()
        self._failure: Exception | None = None
        # No daemon, since it takes 40 ms: a process that ended in the middle of it would take its memory away under it.
        self._begun = threading.Thread(target=self._begin, name=THREAD)
        self._begun.start()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def _add(self, name: str, function: Any, takes: tuple[type, ...]) -> Any:
        function.argtypes = takes
        setattr(self, name, function)
        return function

    def _check(self, status: int | None, *_: object) -> None:
        if status is not None:
            message = self._message(status)
            self.ReleaseStatus(status)
            raise OnnxError(message.decode(errors="replace"))

    def _begin(self) -> None:
        try:
            self.CreateEnv(_ERRORS, b"pilotlight", ctypes.byref(self._environment))
        except Exception as error:  # noqa: BLE001  (told to whoever needs it)
            self._failure = error

    @property
    def environment(self) -> ctypes.c_void_p:
        """Raises OnnxError."""
        self._begun.join()
        if self._failure is not None:
            raise self._failure
        return self._environment

    def made(self, what: str, function: Any, *given: Any) -> "_Owned":
        """What a function hands out by its last argument, given back with the last reference to it."""
        out = _Owned()
        function(*given, ctypes.byref(out))
        out.release = getattr(self, f"Release{what}")
        return out

    def tensor(self, about: ctypes.c_void_p) -> tuple[int, tuple[int, ...]]:
        """Type and sizes of what an OrtTensorTypeAndShapeInfo is about, a size less than 0 where it is free."""
        kind, count = _INT(), _SIZE()
        self.GetTensorElementType(about, ctypes.byref(kind))
        self.GetDimensionsCount(about, ctypes.byref(count))
        sizes = (ctypes.c_int64 * count.value)()
        self.GetDimensions(about, sizes, count)
        return kind.value, tuple(sizes)


def find() -> Path | None:
    """The library in the package `onnxruntime`; None where there is none, more than one, or one that computes on a GPU as well."""
    spec = importlib.util.find_spec("onnxruntime")
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place, "capi")
        names = os.listdir(folder) if folder.is_dir() else ()
        found = [name for name in names if name.startswith("libonnxruntime.so")]
        if len(found) == 1 and "libonnxruntime_providers_cuda.so" not in names:
            return folder / found[0]
    return None


@cache
def _library() -> _Library:
    if (path := find()) is None:
        raise Unsuited("the package onnxruntime has no library for a CPU alone")
    return _Library(path)


def begin() -> bool:
    """Begin to open the library before anything uses it; whether there is one that can be.

    Nothing may be written to the environment until that is done: its thread reads it.
    """
    with suppress(Unsuited):
        _library()
        return True
    return False


def entries(*, packed: bool) -> Mapping[str, str]:
    """Settings of a session by ONNX Runtime's names (onnxruntime_session_options_config_keys.h)."""
    # Threads that wait for work sleep. By default they spin, a whole core while nothing is asked, which is worse than slow where there is
    # less than a core a thread: a Lambda function of 2048 MB has 1.2, and the twin's instances share the machine's.
    sleeping = {"session.intra_op.allow_spinning": "0"}
    return sleeping if packed else sleeping | {"session.disable_prepacking": "1"}


class _Output:
    """A tensor that ONNX Runtime made, as NumPy takes it without a copy; given back with the last array that looks at it."""

    def __init__(self, library: _Library, value: _Owned) -> None:
        self._value = value
        kind, shape = library.tensor(library.made("TensorTypeAndShapeInfo", library.GetTensorTypeAndShape, value))
        data = _P()
        library.GetTensorMutableData(value, ctypes.byref(data))
        self.at = data.value or 0
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": _CODES[kind], "data": (self.at, False)}


class LibrarySession:
    """A graph that is opened, for any number of threads: `inputs` are the sizes of each, less than 0 where one is free."""

    providers = (CPU,)

    def __init__(self, path: Path, threads: int, *, packed: bool, optimized: bool) -> None:
        """`packed` and `optimized` as in `onnx.py`. Raises OnnxError, and Unsuited where the Python module may have a way."""
        self._library = library = _library()
        options = library.made("SessionOptions", library.CreateSessionOptions)
        library.SetSessionLogSeverityLevel(options, _ERRORS)
        library.SetSessionGraphOptimizationLevel(options, _ALL if optimized else _AS_WRITTEN)
        library.SetIntraOpNumThreads(options, threads)
        library.SetInterOpNumThreads(options, 1)
        for name, value in entries(packed=packed).items():
            library.AddSessionConfigEntry(options, name.encode(), value.encode())
        self._session = library.made("Session", library.CreateSession, library.environment, os.fsencode(path), options)
        self._memory = library.made("MemoryInfo", library.CreateCpuMemoryInfo, _ARENA, _DEFAULT)
        count = _SIZE()
        library.SessionGetInputCount(self._session, ctypes.byref(count))
        told = [self._told(library.SessionGetInputName, library.SessionGetInputTypeInfo, at) for at in range(count.value)]
        self.inputs = {name: shape for name, shape, _ in told}
        self._codes = {name: code for name, _, code in told}
        output, _, _ = self._told(library.SessionGetOutputName, library.SessionGetOutputTypeInfo, 0)
        self._output = output.encode()

    def _told(self, name: Any, about: Any, at: int) -> tuple[str, tuple[int, ...], str]:
        """Name, sizes and type of an input, or of an output."""
        library = self._library
        allocator, text, tensor = _P(), _P(), _P()
        library.GetAllocatorWithDefaultOptions(ctypes.byref(allocator))
        name(self._session, at, allocator, ctypes.byref(text))
        told = ctypes.string_at(text).decode()
        library.AllocatorFree(allocator, text)
        kind = library.made("TypeInfo", about, self._session, at)
        # A part of it.
        library.CastTypeInfoToTensorInfo(kind, ctypes.byref(tensor))
        if not tensor:
            raise Unsuited(f"{told} is no tensor")
        number, shape = library.tensor(tensor)
        if number not in _CODES:
            raise Unsuited(f"{told} has elements of type {number}, which is none of numbers that NumPy has")
        return told, shape, _CODES[number]

    def run(self, feed: Mapping[str, Any], cancellation: Cancellation) -> Any:
        """The first output, which `np.asarray` makes an array of, for arrays, or what can be one, by their inputs' names.

        Raises OnnxError, also where it is given up meanwhile, and Cancelled where it was given up before.
        """
        # Not at a start, where the library is begun before it.
        import numpy as np

        library = self._library
        options = library.made("RunOptions", library.CreateRunOptions)
        arrays = {
            name: np.asarray(value, dtype=None if isinstance(value, (np.ndarray, np.generic)) else self._codes.get(name), order="C")
            for name, value in feed.items()
        }
        names = (_TEXT * len(feed))(*(name.encode() for name in feed))
        owned = [self._value(name, array) for name, array in arrays.items()]
        values = (_P * len(owned))(*owned)
        wanted = (_TEXT * 1)(self._output)
        with cancellation.stopping(lambda: library.RunOptionsSetTerminate(options)):
            output = library.made("Value", library.Run, self._session, options, names, values, len(owned), wanted, 1)
        answer = _Output(library, output)
        # An output that is an input is the caller's memory, which only the caller keeps.
        borrowed = any(0 <= answer.at - array.__array_interface__["data"][0] < array.nbytes for array in arrays.values())
        return np.array(answer) if borrowed else answer

    def _value(self, name: str, array: "Array") -> _Owned:
        """An array as it lies in memory, which is to stay there."""
        about = array.__array_interface__
        shape, number = about["shape"], _TYPES.get(about["typestr"])
        if number is None:
            raise OnnxError(f"{name} is an array of {array.dtype}: numbers of 8 to 64 bits are allowed.")
        sizes = (ctypes.c_int64 * len(shape))(*shape)
        make = self._library.CreateTensorWithDataAsOrtValue
        return self._library.made("Value", make, self._memory, about["data"][0], array.nbytes, sizes, len(shape), number)
