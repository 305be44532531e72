"""Several processes behind one port, each with a model, a queue and an event loop of its own, all begun from one that is loaded.

A model that computes in one thread is loaded before the processes are begun, which then share its memory and answer after some 50 ms.
Threads of an engine do not live on in a process that is forked from theirs (docs/decisions/0018): a model with several, on a GPU, or of
one's own, is loaded by each process itself, out of files that were fetched, proven and read already.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import wait
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from handlers.engines import CUDA, EngineLost
from handlers.engines.cancellation import Cancellation
from handlers.engines.loading import Loaded, Mark, load_proven, prove
from handlers.engines.manifest import Manifest, ModelError
from handlers.functions import logs
from handlers.server.board import Board
from handlers.server.http_server import serve
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from handlers.tasks import CUSTOM
from handlers.web.listening import listener, require_free
from handlers.web.process import hold, leave_on_signals

Loader = Callable[[HandlerSettings, Mark], Loaded]
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# After the drain a process says why it gives up what is left, and is gone.
_LAST_WORDS_S = 0.9
# One that ends sooner has not served; so many in a row, and none will.
_LEAST_LIFE_S, _MOST_FAILURES = 5.0, 5
# The exit status of one whose model can't be served: it has not served either, however long it took to load.
_UNSERVABLE = 3


def serve_several(settings: HandlerSettings, stages: Stages) -> int:
    """Serve until SIGTERM or SIGINT. Exit status: 0 after one, 1 when the model or the port can't be used, or no process stays."""
    try:
        # Processes that share a port would not notice that somebody listens already, and get half of the other's calls.
        require_free(settings.bind_host, settings.port)
    except OSError as error:
        logs.write("port_taken", level="ERROR", message=str(error))
        return 1
    try:
        loader = _loader(settings, stages.mark)
    except ModelError as error:
        logs.write("model_refused", level="ERROR", message=str(error))
        return 1
    except Exception as error:  # noqa: BLE001  (whatever it is, it is told as one process alone tells it)
        logs.write_fault("model_failed", error)
        return 1
    return _Processes(settings, stages, loader).run()


def _loader(settings: HandlerSettings, mark: Mark) -> Loader:
    """What gives each process its model. Raises ModelError."""
    brought = prove(settings, mark)
    if not _shared(settings, brought.manifest):
        return lambda settings, mark: _marked(load_proven(brought, settings), mark, "load")
    loaded = _marked(_warmed(load_proven(brought, settings, shared=True)), mark, "load")
    return lambda _, mark: _marked(loaded, mark, "fork")


def _warmed(loaded: Loaded) -> Loaded:
    """The model after its first answer, so that it is not each process's own. Where it has none each tries by itself, and tells of it."""
    try:
        loaded.model.predict(loaded.model.warm_up, Cancellation())
    except (KeyboardInterrupt, SystemExit, ModelError):
        raise
    except BaseException:  # noqa: BLE001  (as above; a panic below Python is no Exception)
        if (reset := getattr(loaded.model, "reset", None)) is not None:
            reset()
        return loaded
    return loaded._replace(warm=True)


def _marked(loaded: Loaded, mark: Mark, stage: str) -> Loaded:
    mark(stage)
    return loaded


def _shared(settings: HandlerSettings, manifest: Manifest) -> bool:
    """Whether a process may be forked from one that has loaded the model."""
    if settings.model_threads > 1 or manifest.task == CUSTOM:
        return False
    if manifest.engine == "onnx":
        from handlers.engines import onnx_library

        if onnx_library.find() is not None:
            return True
        import onnxruntime

        return CUDA not in onnxruntime.get_available_providers()
    from handlers.engines import device

    return not device.is_there()


@dataclass
class _Process:
    """One that runs: the slot of its figures, and when it began."""

    slot: int
    began: float


class _Processes:
    """The first process, which serves nothing itself: it begins the others, again where one ends, and ends them."""

    def __init__(self, settings: HandlerSettings, stages: Stages, loader: Loader) -> None:
        self._settings = settings
        self._stages: Stages | None = stages
        self._loader = loader
        self._board = Board(settings.workers)
        self._running: dict[int, _Process] = {}
        self._leaving = False
        self._failures = 0
        # Only this process has its other end, which is closed with it whatever ends it.
        self._alive, self._held = os.pipe()

    def run(self) -> int:
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self._leave())
        signal.signal(signal.SIGALRM, lambda *_: self._send(signal.SIGKILL))
        # What is loaded stays where it is: a collector that went through it would copy every page that it touches into each process.
        gc.collect()
        gc.freeze()
        for slot in range(self._settings.workers):
            self._begin(slot)
        self._stages = None
        while self._running:
            pid, status = os.wait()
            # Others are children too: what whoever started this server began before, and in a container whatever lost its parent.
            if (process := self._running.pop(pid, None)) is not None:
                self._ended(process, os.waitstatus_to_exitcode(status))
        return 1 if self._failures >= _MOST_FAILURES else 0

    def _ended(self, process: _Process, status: int) -> None:
        if self._leaving:
            return
        failed = status == _UNSERVABLE or time.monotonic() - process.began < _LEAST_LIFE_S
        self._failures = self._failures + 1 if failed else 0
        logs.write("worker_ended", level="ERROR", status=status, slot=process.slot, message="A process of the server ended by itself.")
        if self._failures >= _MOST_FAILURES:
            self._leave()
        else:
            self._begin(process.slot)

    def _begin(self, slot: int) -> None:
        # A signal between the fork and its note would end all but this one.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            if not self._leaving:
                sys.stdout.flush()
                began = time.monotonic()
                if (pid := os.fork()) == 0:
                    self._serve(slot)
                self._running[pid] = _Process(slot, began)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)

    def _serve(self, slot: int) -> NoReturn:
        status = 1
        try:
            leave_on_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(self._held)
            # One that is begun again has its own start alone.
            service = Service(self._settings, self._stages or Stages.since_process_start(), self._loader)
            service.board = self._board.slot(slot)
            service.start()
            if self._stages is None:
                # Others serve: on the port it would be dealt its share of the requests, which would wait for this model.
                wait((service.worker.loaded,))
            hold()
            failure = serve(service, listener(self._settings.bind_host, self._settings.port, shared=True), alive=self._alive)
            if failure is not None:
                logs.write_fault("model_failed", failure)
            # A model that was lost was served: the next process has its own.
            status = 0 if failure is None else 1 if isinstance(failure, EngineLost) else _UNSERVABLE
        except BaseException as error:  # noqa: BLE001  (whatever it is, this process may not go on as the first one)
            logs.write_fault("worker_failed", error)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _leave(self) -> None:
        if not self._leaving:
            self._leaving = True
            signal.setitimer(signal.ITIMER_REAL, self._settings.drain_s + _LAST_WORDS_S)
        self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for pid in list(self._running):
            # A signal may come just when one was waited for.
            with suppress(ProcessLookupError):
                os.kill(pid, number)
