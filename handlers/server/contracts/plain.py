"""Our own contract and SageMaker's: `{"inputs", "parameters"}` in, `{"outputs"}` out, in JSON or in another of their formats."""

from handlers.server.calls import Call
from handlers.server.forms import FORMATS, PLAIN
from handlers.server.service import Answer

# Whoever says one of these gets JSON, as whoever says nothing.
_JSON_ACCEPTED = {"", "*/*", "application/json"}


async def predict(call: Call) -> Answer:
    """Raises RequestProblem, ClientGone."""
    body = await call.body()
    form = PLAIN
    if (accept := call.headers.get("accept", "").strip()) not in _JSON_ACCEPTED:
        from handlers.server.contracts.formats_written import form_of

        form = form_of(accept)
    if (call.content_type or "").partition(";")[0].strip().lower() in FORMATS:
        from handlers.server.contracts.formats_read import read

        request = read(body, call.content_type or "", max_inputs=call.service.settings.max_inputs)
    else:
        request = call.service.parse(body, call.content_type)
    if call.ping:
        return await call.while_there(call.service.ping(call.ping))
    return await call.answered(request, form)
