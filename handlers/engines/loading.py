"""From settings to a model that answers, with the slow steps side by side.

While the engine's libraries are imported, the files are fetched and hashed in a thread; a model is handed over only when
every file is proven.
"""

import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from handlers.engines import ON_GPU, fetching, placing, weights
from handlers.engines.bare_libraries import import_numpy, import_tokenizers
from handlers.engines.cancellation import Cancellation
from handlers.engines.manifest import (
    MANIFEST,
    PROGRAM,
    TRANSFORMERS,
    WEIGHTS,
    Manifest,
    ModelError,
    check_sizes,
    is_same,
    read_manifest,
    state_of,
    verify,
)
from handlers.functions.requests import PredictionRequest
from handlers.settings import DEFAULTS, HandlerSettings
from handlers.tasks import CUSTOM, GENERATION, IMAGE_TASKS, TASKS, TEXT_TASKS, TORCH_TASKS

_LIBRARIES = {"onnx": "onnxruntime", "torch": "torch"}
# What engine torch computes texts by, and which tasks by a forward pass of ours.
_MODULES = {WEIGHTS: "handlers.engines.torch", PROGRAM: "handlers.engines.program", TRANSFORMERS: "handlers.engines.transformers"}
_OF_WEIGHTS = ("feature-extraction", "sentence-embedding", "text-classification")
# A small file that decides what is run is proven before it is parsed; weights are only numbers, and take their time.
_WEIGHTS = (".data", ".safetensors")
# Threads that may be left when the files are there.
_LEFT_OVER = ("model-ahead", "model-parts", "model-library")
# A connection to a store stands still for 20 s at most; who asks once more then has the rest.
_LEFT_S = 30.0
# ONNX Runtime is imported by then. torch takes longer, and a platform's probe looks for the port.
_HEAD_START_S = 0.3

Mark = Callable[[str], None]


class Model(Protocol):
    """A loaded model: `predict` answers what goes into `outputs`, as JSON values and float32 arrays; `warm_up` is what a ping asks.

    One that has `predict_together` as well (`handlers/tasks/together.py`) computes several requests at once.
    """

    warm_up: PredictionRequest

    def predict(self, request: PredictionRequest, cancellation: Cancellation) -> Any: ...


class Loaded(NamedTuple):
    """The served model; `providers` are what its engine computes with, the first one first, `tier` is where its files were, and `warm` is
    whether it has computed something already."""

    manifest: Manifest
    model: Model
    providers: tuple[str, ...]
    tier: str = weights.LOCAL
    warm: bool = False


class Brought(NamedTuple):
    """A model's folder and manifest, the tier that it came from, and a running proof per file."""

    folder: Path
    manifest: Manifest
    tier: str
    proofs: Mapping[str, Future[tuple[int, ...]]]


def load(settings: HandlerSettings, mark: Mark) -> Loaded:
    """The served model. `mark` is told "import", "fetch" and "load" as each is done.

    Raises ModelError, which names the file, what was expected and what was found.
    """
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="model-files") as files:
        brought = _brought(settings, mark, files)
        for name, proof in brought.proofs.items():
            if not name.endswith(_WEIGHTS):
                proof.result()
        try:
            loaded = load_proven(brought, settings)
        finally:
            # Also when it can't be built: weights that were changed are the better explanation.
            for proof in brought.proofs.values():
                proof.result()
        if loaded.providers[0] in ON_GPU and brought.manifest.task != CUSTOM:
            placing.release(brought.folder)
        mark("load")
        return loaded


def begin(settings: HandlerSettings, mark: Mark) -> Callable[[HandlerSettings, Mark], Loaded]:
    """Begin to load in a thread of its own; what is returned waits for its end, as `load` called there and then.

    Returns when the engine's libraries are imported, after `_HEAD_START_S` at the latest. Imports of two threads only take turns, and
    what comes after them does not need the interpreter: so it is what the caller imports next that runs beside it.
    """
    imported, outcome = threading.Event(), Future[Loaded]()

    def marked(stage: str) -> None:
        mark(stage)
        imported.set()

    def run() -> None:
        try:
            outcome.set_result(load(settings, marked))
        except BaseException as error:  # noqa: BLE001  (handed to who waits for the model)
            outcome.set_exception(error)
        imported.set()

    threading.Thread(target=run, name="model-loading", daemon=True).start()
    imported.wait(_HEAD_START_S)
    return lambda _settings, _mark: outcome.result()


def prove(settings: HandlerSettings, mark: Mark) -> Brought:
    """The model's files, every one of them proven and its engine imported: what processes share before each loads it.

    No thread is left, unless its connection hangs time and again. Raises ModelError.
    """
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="model-files") as files:
        brought = _brought(settings, mark, files)
        for proof in brought.proofs.values():
            proof.result()
    # Those that read ahead, and a part that was asked for twice and is on its way to nobody.
    until = time.monotonic() + _LEFT_S
    for thread in threading.enumerate():
        if thread.name in _LEFT_OVER:
            thread.join(max(0.0, until - time.monotonic()))
    return brought


def load_proven(brought: Brought, settings: HandlerSettings, *, shared: bool = False) -> Loaded:
    """The served model of files that are proven, `shared` by processes that are forked from this one. Raises ModelError."""
    built = _built(brought.folder, brought.manifest, settings.model_threads, settings.batch_size, shared=shared)
    loaded = built._replace(tier=brought.tier)
    _require_same(brought)
    if settings.require_gpu:
        check_gpu(loaded)
    return loaded


def _require_same(brought: Brought) -> None:
    """Raises ModelError where a file that was opened is not the one that was proven. Returns when all of them are."""
    for name, proof in brought.proofs.items():
        proven, path = proof.result(), brought.folder / name
        try:
            found = state_of(path)
        except OSError as error:
            raise ModelError(f"{path} was there and is not any more ({error.strerror}): fetch the model again.") from error
        if not is_same(found, proven, far=brought.tier == weights.VOLUME):
            raise ModelError(f"{path} was replaced or written to while it was loaded: fetch the model again.")


def _brought(settings: HandlerSettings, mark: Mark, files: ThreadPoolExecutor) -> Brought:
    """The model's files, the engine imported meanwhile."""
    asked = _to_import(settings)
    # Before there are threads that look a name up, by the environment too: one that is written to meanwhile ends the process.
    _spare_threads(*asked[:2])
    found = files.submit(_found, settings, files)
    import_engine(*asked)
    mark("import")
    brought = found.result()
    mark("fetch")
    # For a model fetched into an image that carries several engines.
    import_engine(brought.manifest.engine, brought.manifest.task, brought.manifest.computed_by)
    return brought


def check_gpu(loaded: Loaded) -> None:
    """Raises ModelError where the model does not compute on the GPU that is paid for."""
    if loaded.providers[0] not in ON_GPU:
        came = f"engine {loaded.manifest.engine} computes with {', '.join(loaded.providers)}"
        mend = "run an image with that engine for CUDA where a GPU and its driver are, or leave endpoint.gpu out"
        raise ModelError(f"REQUIRE_GPU is set and {came}: {' or '.join(ON_GPU)} is needed first; {mend} (REQUIRE_GPU=0 serves on the CPU).")


def _found(settings: HandlerSettings, files: ThreadPoolExecutor) -> Brought:
    """The model's files, the proofs of small ones first."""
    fetched = fetching.fetch(settings)
    folder = fetched.folder
    with _kept_if_right(folder):
        manifest = read_manifest(folder)
        check_sizes(folder, manifest)
    names = sorted(manifest.files, key=lambda name: manifest.files[name].bytes)
    for name in names:
        if name.endswith(_WEIGHTS) and name not in fetched.hashes:
            weights.read_ahead(folder / name, fetched.tier)
    mapped = fetched.tier == weights.LOCAL
    proofs = {name: files.submit(_proven, folder, manifest, name, fetched.hashes.get(name), mapped) for name in names}
    return Brought(folder, manifest, fetched.tier, proofs)


def _proven(folder: Path, manifest: Manifest, name: str, found: str | None, mapped: bool) -> tuple[int, ...]:
    with _kept_if_right(folder):
        return verify(folder, manifest, name, found, mapped=mapped)


@contextmanager
def _kept_if_right(folder: Path) -> Iterator[None]:
    """What was damaged on its way, or where it is kept, is fetched again by the next start."""
    try:
        yield
    except ModelError:
        fetching.forget(folder)
        raise


def _to_import(settings: HandlerSettings) -> tuple[str | None, str | None, str]:
    """Engine, task and what computes the model by the manifest if it is here already, else the engine that this image carries, if it is one
    only."""
    if (settings.model_dir / MANIFEST).is_file():
        manifest = read_manifest(settings.model_dir)
        return manifest.engine, manifest.task, manifest.computed_by
    installed = [engine for engine, library in _LIBRARIES.items() if importlib.util.find_spec(library) is not None]
    return installed[0] if len(installed) == 1 else None, None, WEIGHTS


def import_engine(engine: str | None, task: str | None = None, computed_by: str = WEIGHTS) -> None:
    """Import what the engine needs for a task (None: a text task). Raises ModelError when the image does not carry it."""
    if engine is None or task == CUSTOM:  # whose code imports what it needs
        # Unless it was not known yet whose it is.
        if "torch" in sys.modules and (bare := sys.modules.get("handlers.engines.bare_torch")) is not None:
            bare.import_torch(whole=True)
        return
    _spare_threads(engine, task)
    try:
        if engine == "onnx":
            from handlers.engines import onnx_library

            if not onnx_library.begin():
                importlib.import_module("handlers.engines.onnx_module")
        if task is not None:  # a model that is not here yet may be one of one's own
            import_numpy()
            if task not in IMAGE_TASKS:
                import_tokenizers()
        if engine == "torch":
            from handlers.engines.bare_torch import import_torch

            import_torch(whole=computed_by == TRANSFORMERS)
        importlib.import_module(IMAGE_TASKS[task][0] if task in IMAGE_TASKS else "handlers.tasks.text")
        importlib.import_module(_module(engine, task, computed_by))
    except ModuleNotFoundError as error:
        raise ModelError(f"Engine {engine} needs {error.name}, which this image does not carry: build the target that has it.") from error


def _spare_threads(engine: str | None, task: str | None) -> None:
    """NumPy computes next to nothing here, and each thread of its BLAS takes processor time while it is imported.

    The other variable is NumPy's own, which it writes while it is imported, unless it is there.
    """
    if engine is not None and task != CUSTOM:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        os.environ.setdefault("OPENBLAS_MAIN_FREE", "1")


def _module(engine: str, task: str | None, computed_by: str) -> str:
    if engine != "torch":
        return f"handlers.engines.{engine}"
    return "handlers.engines.rows" if task == GENERATION else _MODULES[computed_by]


def build(folder: Path, manifest: Manifest, threads: int, most_texts: int = DEFAULTS.batch_size) -> Model:
    """The task over its engine, which computes as many texts at once. Raises ModelError for a task that is not served."""
    return _built(folder, manifest, threads, most_texts).model


def _built(folder: Path, manifest: Manifest, threads: int, most_texts: int, *, shared: bool = False) -> Loaded:
    if manifest.task not in TASKS:
        raise ModelError(f"manifest.json: task {manifest.task!r}, this server has {', '.join(TASKS)}.")
    if manifest.task == CUSTOM:
        from handlers.engines.own import OwnModel

        own = OwnModel(folder, manifest, threads)
        return Loaded(manifest, own, own.providers)
    if manifest.task == GENERATION:
        return _generating(folder, manifest, threads, most_texts)
    engine = _engine(folder, manifest, threads, shared=shared)
    module, name = (TEXT_TASKS | IMAGE_TASKS)[manifest.task]
    served = _text(folder, manifest, engine, most_texts) if manifest.task in TEXT_TASKS else engine
    model: Model = getattr(importlib.import_module(module), name)(served, manifest)
    return Loaded(manifest, model, engine.providers)


def _generating(folder: Path, manifest: Manifest, threads: int, most_texts: int) -> Loaded:
    if manifest.engine != "torch":
        raise ModelError(f"manifest.json: engine {manifest.engine} does not serve {manifest.task}: package it for torch.")
    from handlers.engines.rows import TorchGenerator
    from handlers.tasks.text import load_tokenizer
    from handlers.tasks.text_generation import TextGeneration

    generator = TorchGenerator(folder, threads)
    # Not cut where the context ends but behind it, so that a prompt which is too long is seen, and refused.
    tokenizer = load_tokenizer(folder / "tokenizer.json", manifest.max_tokens + 1)
    return Loaded(manifest, TextGeneration(generator, tokenizer, manifest, most_texts), generator.providers)


def _text(folder: Path, manifest: Manifest, engine: Any, most_texts: int) -> Any:
    from handlers.tasks.text import TextModel, load_tokenizer

    return TextModel(load_tokenizer(folder / "tokenizer.json", manifest.max_tokens), engine, most_texts)


def _engine(folder: Path, manifest: Manifest, threads: int, *, shared: bool) -> Any:
    if manifest.engine == "torch":
        if manifest.task not in TORCH_TASKS:
            raise ModelError(f"manifest.json: engine torch serves {', '.join(TORCH_TASKS)}, not {manifest.task}: package it for onnx.")
        return _torch(folder, manifest, threads)
    from handlers.engines.onnx import OnnxEngine

    # Convolutions as they are written take up to twice as long, and pictures are many numbers.
    return OnnxEngine(folder, threads, packed=shared or not manifest.plain, optimized=manifest.task in IMAGE_TASKS)


def _torch(folder: Path, manifest: Manifest, threads: int) -> Any:
    if manifest.computed_by == PROGRAM:
        from handlers.engines.program import ProgramEngine

        return ProgramEngine(folder, threads, pads=manifest.pads)
    if manifest.computed_by == TRANSFORMERS:
        from handlers.engines.transformers import TransformersEngine

        return TransformersEngine(folder, threads, manifest)
    if manifest.task not in _OF_WEIGHTS:
        raise ModelError(f"manifest.json: engine torch computes {manifest.task} by a program (computed_by): package the model again.")
    from handlers.engines.torch import TorchEngine

    return TorchEngine(folder, threads, classifies=manifest.task == "text-classification")
