"""Our own contract and SageMaker's: `{"inputs", "parameters"}` in, `{"outputs"}` out, in JSON or in another of their formats."""

from handlers.functions.requests import PredictionRequest
from handlers.server.calls import Call
from handlers.server.forms import FORMATS, JSON, PLAIN, Form

# Whoever says one of these gets JSON, as whoever says nothing.
_JSON_ACCEPTED = {"", "*/*", "application/json"}


def predict(call: Call, body: bytes) -> tuple[PredictionRequest, Form]:
    """What is asked, and how it is answered. Raises RequestProblem."""
    form = PLAIN
    if (accept := call.headers.get("accept", "").strip()) not in _JSON_ACCEPTED:
        from handlers.server.contracts.formats_written import form_of

        form = form_of(accept)
    content_type = call.headers.get("content-type") or ""
    if content_type != JSON and content_type.partition(";")[0].strip().lower() in FORMATS:
        from handlers.server.contracts.formats_read import read

        request = read(body, content_type, max_inputs=call.service.settings.max_inputs)
    else:
        request = call.service.parse(body, content_type)
    return request, form
