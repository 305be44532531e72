"""Processes of functions that have no HTTP server: those that take messages until they are told to leave, and those that end by themselves.

Exit status: 0 after a signal, 1 when the settings can't be used, else what the run says.
"""

import importlib
import os
import signal
import sys
import threading
from typing import Any

from handlers.functions import logs, spans
from handlers.functions.environment import SettingsError
from handlers.web.process import leave_on_signals

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_WORDS_S = 1.0


def once(module: str) -> int:
    """A job: one run of what `make` of the module gives. A signal ends it at once."""
    leave_on_signals()
    try:
        role = importlib.import_module(module).make(os.environ)
    except SettingsError as error:
        logs.write("settings_refused", level="ERROR", message=str(error))
        return 1
    status: int = role.run()
    # Not Python's own way out, which waits for threads that outlive their time.
    _exit(status)
    return status


def until_told(module: str) -> int:
    """A consumer: `run` of what `make` of the module gives, until a signal."""
    leave_on_signals()
    try:
        role = importlib.import_module(module).make(os.environ)
    except SettingsError as error:
        logs.write("settings_refused", level="ERROR", message=str(error))
        return 1
    leaving, failed = threading.Event(), threading.Event()
    # Waited for rather than handled: a handler runs within what the main thread does, whatever locks that holds. Threads inherit it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    running = threading.Thread(target=_run, args=(role, leaving, failed), name="consumer")
    running.start()
    logs.write("taking_messages")
    signal.sigwait(_SIGNALS)
    leaving.set()
    running.join()
    spans.flush(_LAST_WORDS_S)
    status = int(failed.is_set())
    _exit(status)
    return status


def _run(role: Any, leaving: threading.Event, failed: threading.Event) -> None:
    try:
        role.run(leaving)
    except Exception as error:  # noqa: BLE001  (a process that takes nothing any more must end, so that another one is started)
        logs.write_fault("consumer_fault", error)
        failed.set()
        os.kill(os.getpid(), signal.SIGTERM)


def _exit(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
