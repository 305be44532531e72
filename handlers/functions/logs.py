"""Structured logs: one JSON object a line on standard output, where every platform picks it up.

On Cloud Run a line has the names as well that Cloud Logging takes out of it ("Structured logging", special fields in a JSON payload).
"""

import functools
import json
import os
import re
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from handlers.functions import traces
from handlers.functions.traces import Trace

# What a caller may choose as its correlation id: enough for UUIDs, ULIDs, trace ids and API Gateway's own.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:=/+-]{1,128}")
# Azure's own, which a proxy of a container app leaves alone where it changes an `x-request-id` (microsoft/azure-container-apps issue 1673).
CLIENT_REQUEST_ID_HEADER = "x-ms-client-request-id"
_CHOSEN, _GIVEN = (CLIENT_REQUEST_ID_HEADER, "x-request-id"), "x-amzn-requestid"
# InvokeEndpoint lets a caller hand one free line to the container: that is how the id crosses SageMaker.
CUSTOM_ATTRIBUTES_HEADER = "x-amzn-sagemaker-custom-attributes"
REQUEST_ID_ATTRIBUTE = "request-id="
# Headers that tell one.
TELLING = frozenset({*_CHOSEN, _GIVEN, CUSTOM_ATTRIBUTES_HEADER})
# As short as it can be: clouds take money for each byte of a log.
_ENCODER = json.JSONEncoder(default=repr, separators=(",", ":"))
# Of a pipe what is written with one call is not mixed with others' up to here (pipe(7), PIPE_BUF), nor parted by a signal.
_WHOLE_BYTES = 4096
# Characters of a traceback, so that its line is not longer than that.
_MOST_TRACE = 3000
# A faster encoder, where whoever writes many lines has one, and whether it is on Cloud Run, which it is not asked for each line then.
_faster: list[Callable[[object], bytes]] = []
_there: list[bool] = []
# Why a line could not be written.
_unwritten: list[str | None] = []


def encode_by(encode: Callable[[object], bytes]) -> None:
    """Write lines by this from now on, in an environment that stays as it is; what it raises TypeError for, or makes no ASCII of, is
    written as before."""
    _faster[:] = [encode]
    _there[:] = [on_cloud_run()]


def write(event: str, *, level: str = "INFO", **fields: object) -> None:
    """Write one log line. `fields` must be JSON values; a value that is not is written as its repr."""
    _written([_line(event, level, time.time(), traces.current.get(), fields)])


def write_together(event: str, told: Iterable[tuple[float, Trace | None, Mapping[str, object]]]) -> None:
    """Write a line each for what happened then (seconds since 1970), within that trace, with these fields: each line by itself would take
    a call of the system."""
    _written([_line(event, "INFO", *one) for one in told])


def _written(lines: Sequence[str]) -> None:
    """As few calls of the system as can be, each of whole lines, which the system does not part, nor mix with those of other processes.

    A log that can't be written fails no request; that it can't is told on standard error, once.
    """
    piece: list[str] = []
    length = 0
    try:
        for line in lines:
            if length + len(line) > _WHOLE_BYTES and piece:
                sys.stdout.write("".join(piece))
                sys.stdout.flush()
                piece, length = [], 0
            piece.append(line)
            # They are ASCII.
            length += len(line)
        sys.stdout.write("".join(piece))
        sys.stdout.flush()
    except OSError as error:
        if not _unwritten:
            _unwritten.append(error.strerror)
            with suppress(OSError):
                sys.stderr.write(f"The log can't be written: {error.strerror}. This is told once.\n")
                sys.stderr.flush()


def _line(event: str, level: str, at: float, trace: Trace | None, fields: Mapping[str, object]) -> str:
    second = int(at)
    stamp = f"{_second(second)}.{int((at - second) * 1000):03d}Z"
    line: dict[str, object] = {"timestamp": stamp, "level": level, "event": event}
    if trace is not None:
        line.update(_ids(trace))
    if _there[0] if _there else on_cloud_run():
        line.update({"severity": level, "time": stamp, **_cloud_trace(trace)})
    line.update(fields)
    return f"{_encoded(line)}\n"


def _encoded(line: dict[str, object]) -> str:
    if _faster:
        try:
            encoded = _faster[0](line)
        except TypeError:
            return _ENCODER.encode(line)
        # Characters that end a line for some readers, or that a terminal obeys, are escaped by the other one alone.
        if encoded.isascii():
            return encoded.decode()
    return _ENCODER.encode(line)


@functools.lru_cache(maxsize=1)
def _second(since_1970: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since_1970))


def write_fault(event: str, error: BaseException, **fields: object) -> None:
    """Write an unexpected error with its traceback, in one line."""
    trace = "".join(traceback.format_exception(error))
    if len(trace) > _MOST_TRACE:
        # Where it was raised is at its end.
        trace = f"… {trace[-_MOST_TRACE:]}"
    write(event, level="ERROR", error=type(error).__name__, message=str(error), traceback=trace, **fields)


def on_cloud_run() -> bool:
    """By the variable that tells an instance its service (Cloud Run, "Container runtime contract")."""
    return _there[0] if _there else "K_SERVICE" in os.environ


def on_container_apps() -> bool:
    """By the variables that tell a replica its app or its job (Container Apps, "Environment variables", built-in ones)."""
    return "CONTAINER_APP_NAME" in os.environ or "CONTAINER_APP_JOB_NAME" in os.environ


def _ids(trace: Trace) -> dict[str, str]:
    """What lets a line stand beside the span that it belongs to (OpenTelemetry, "Trace context in non-OTLP log formats")."""
    return {"trace_id": trace.id, "span_id": trace.span} if trace.span else {"trace_id": trace.id}


def _cloud_trace(trace: Trace | None) -> dict[str, object]:
    """What lets a line stand beside the request that it belongs to, in Cloud Logging."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if trace is None or not project:
        return {}
    span = {"logging.googleapis.com/spanId": trace.span} if trace.span else {}
    whole = {"logging.googleapis.com/trace": f"projects/{project}/traces/{trace.id}"}
    return {**whole, **span, "logging.googleapis.com/trace_sampled": trace.sampled}


def request_id(headers: Mapping[str, str], fallback: str | None = None) -> str:
    """The request's correlation id.

    Taken from the headers (lower-case names), then from SageMaker's custom attributes, then `fallback`, else a new one.
    A value that could break a log line or a header is passed over.
    """
    if TELLING.isdisjoint(headers) and fallback and _REQUEST_ID.fullmatch(fallback):
        return fallback
    for name in _CHOSEN:
        # Most who tell one tell it so.
        if (value := headers.get(name)) and _REQUEST_ID.fullmatch(value):
            return value
    for value in (_handed_on(headers), headers.get(_GIVEN), fallback):
        if value and _REQUEST_ID.fullmatch(value):
            return value
    return str(uuid.uuid4())


def _handed_on(headers: Mapping[str, str]) -> str | None:
    attributes = headers.get(CUSTOM_ATTRIBUTES_HEADER)
    if attributes is None:
        return None
    parts = attributes.split(";")
    return next((part.removeprefix(REQUEST_ID_ATTRIBUTE) for part in parts if part.startswith(REQUEST_ID_ATTRIBUTE)), None)
