"""Cog's contract, which Replicate runs: predictions with a state, told at once, later by webhooks, or again by their id.

An `input` has `inputs`, and beside it the parameters of the model's task, or those of a model of one's own. What is running is known to
this process alone, and is forgotten when it has ended, as Cog has it.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from handlers.functions import values, wording
from handlers.functions.problems import InputRefused, NotAcceptable, PredictionRuns, PredictionUnknown
from handlers.functions.requests import TEXTS, PredictionRequest, check, of_kind
from handlers.server.calls import Call
from handlers.server.contracts import webhooks
from handlers.server.contracts.cog_predictions import EVENTS, FORM, ID, Prediction, Predictions, Wanted
from handlers.server.contracts.fields import fields_of, text_in
from handlers.server.service import Answer

_JSON = {"content-type": "application/json"}
# The last two say nothing here: outputs are no files, and there is one version.
_FIELDS = ("id", "webhook", "webhook_events_filter", "created_at", "context", "output_file_prefix", "version")


async def create(call: Call) -> Answer:
    """`POST /predictions`: always a new one, which no other's state is told for. Raises RequestProblem, ClientGone."""
    return await _predict(call, None)


async def put(call: Call) -> Answer:
    """`PUT /predictions/{id}`: one that runs already is told, not begun again. Raises RequestProblem, ClientGone."""
    return await _predict(call, call.names["id"])


async def cancel(call: Call) -> Answer:
    """Raises PredictionUnknown for one that does not run, or that a client waits for."""
    running = _predictions(call).running.get(call.names["id"])
    if running is None or running.task is None:
        raise PredictionUnknown("There is no prediction of this id that runs without a client waiting for it.")
    running.task.cancel()
    return Answer(200, _JSON, b"{}")


async def health(call: Call) -> Answer:
    """Cog's own words for the state of the model; the status is 200 in any case."""
    service = call.service
    loaded = service.worker.loaded
    setup: dict[str, Any] = {"started_at": _stamp(service.began_at), "status": "starting", "logs": ""}
    if not loaded.done():
        return Answer(200, _JSON, orjson.dumps({"status": "STARTING", "setup": setup}))
    if not service.worker.ready:
        return Answer(200, _JSON, orjson.dumps({"status": "SETUP_FAILED", "setup": {**setup, "status": "failed"}}))
    setup |= {"status": "succeeded", "completed_at": _stamp(service.loaded_at)}
    most = service.settings.max_queue
    busy = service.worker.waiting >= most or len(_predictions(call).running) >= most
    return Answer(200, _JSON, orjson.dumps({"status": "BUSY" if busy else "READY", "setup": setup}))


def translated(body: object, *, max_inputs: int, webhooks_uri: str | None, kind: str | None = TEXTS) -> tuple[PredictionRequest, Wanted]:
    """What is asked of a model that takes inputs of this `kind`, None while that is not known. Raises InputRefused."""
    fields = fields_of(body, "The body", required=("input",), allowed=_FIELDS)
    given = fields["input"]
    if not isinstance(given, dict) or "inputs" not in given:
        raise InputRefused(f"'input' is {wording.kind(given)}: send an object with 'inputs' and the parameters of the task beside it.")
    _require_tellable(given)
    parameters = {name: value for name, value in given.items() if name != "inputs"}
    request = of_kind(kind, given["inputs"], parameters, max_inputs=max_inputs, name="input.inputs")
    chosen, webhook, events = fields.get("id"), text_in(fields, "webhook"), fields.get("webhook_events_filter")
    if chosen is not None and not (isinstance(chosen, str) and ID.fullmatch(chosen)):
        raise InputRefused("'id' is not 1 to 128 letters, digits, '.', '_' and '-'.")
    if webhook is not None:
        webhooks.check(webhook, webhooks_uri)
    if events is not None and not (isinstance(events, list) and all(isinstance(event, str) and event in EVENTS for event in events)):
        raise InputRefused(f"'webhook_events_filter' is no list of {', '.join(EVENTS)}.")
    created = text_in(fields, "created_at")
    return request, Wanted(chosen, webhook, frozenset(EVENTS if events is None else events), given, created)


def _require_tellable(given: Mapping[str, Any]) -> None:
    """Every state tells the input again. Raises InputRefused for one that JSON can't carry as it came."""
    try:
        orjson.dumps(given)
    except orjson.JSONEncodeError as error:
        values.check(given, "input")
        raise InputRefused(f"'input' can't be told again in the states of its prediction: {error}.") from error


async def _predict(call: Call, named: str | None) -> Answer:
    settings, body = call.service.settings, await call.json()
    kind, most = call.service.kind, settings.max_inputs
    request, wanted = await call.read(partial(translated, max_inputs=most, webhooks_uri=settings.webhooks_uri, kind=kind), body)
    if named is not None and (not ID.fullmatch(named) or wanted.id not in (None, named)):
        raise InputRefused("The path's id is not 1 to 128 letters, digits, '.', '_' and '-', or the body has another 'id'.")
    accepted = call.headers.get("accept", "")
    if "text/event-stream" in accepted and not any(each in accepted for each in ("application/json", "application/*", "*/*")):
        raise NotAcceptable("Accept is text/event-stream: this model does not stream, ask for application/json.")
    predictions, seconds = _predictions(call), call.seconds_left()
    chosen = named or wanted.id or uuid.uuid4().hex
    if (running := predictions.running.get(chosen)) is not None:
        if named is None:
            raise PredictionRuns("A prediction of this id runs: choose another, or send PUT /predictions/{id} to be told of that one.")
        return _told(running, 202)
    prediction = Prediction(chosen, request, call.form(FORM), wanted, call.request_id)
    alone = "respond-async" in _preferences(call.headers.get("prefer", ""))
    if alone and (manifest := call.service.manifest) is not None:
        # While somebody can still be told that the request is wrong. Where the model is not here yet, its state tells it.
        check(manifest.task, request)
    predictions.admit(prediction)
    if alone:
        first = _told(prediction, 202)
        predictions.begin_alone(prediction, call.handed_over())
        return first
    await call.while_there(predictions.run(prediction, seconds))
    return _told(prediction, 200)


def _preferences(told: str) -> list[str]:
    """The names of preferences (RFC 7240, section 2)."""
    return [part.partition(";")[0].partition("=")[0].strip().lower() for part in told.split(",")]


def _predictions(call: Call) -> Predictions:
    return call.lasting.kept(Predictions, lambda: Predictions(call.service, call.lasting))


def _told(prediction: Prediction, status: int) -> Answer:
    return Answer(status, {**prediction.headers, **_JSON}, prediction.document())


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
