"""Azure Machine Learning's contract of online endpoints: `POST /score` with our own body or with MLflow's `input_data`."""

from typing import Any

from handlers.functions.problems import InputRefused
from handlers.functions.requests import PredictionRequest, from_value, of_texts
from handlers.functions.wording import kind
from handlers.server.calls import Call
from handlers.server.contracts.fields import fields_of, object_in
from handlers.server.forms import Encoded, Form, dumped
from handlers.server.service import Answer

_FORM = Form("Azure Machine Learning's contract", lambda predicted: Encoded(dumped(predicted.outputs)))


async def score(call: Call) -> Answer:
    """Raises RequestProblem, ClientGone."""
    request = translated(await call.json(), max_inputs=call.service.settings.max_inputs)
    answer = await call.answered(request, _FORM)
    return answer._replace(headers={**answer.headers, "x-ms-request-id": call.request_id})


def translated(body: object, *, max_inputs: int) -> PredictionRequest:
    """What is asked. Raises InputRefused."""
    if not isinstance(body, dict) or "input_data" not in body:
        return from_value(body, max_inputs=max_inputs)
    fields = fields_of(body, "The body", required=("input_data",), allowed=("params",))
    rows = _rows(fields["input_data"])
    return of_texts(rows, object_in(fields, "params"), max_inputs=max_inputs, name="input_data")


def _rows(data: Any) -> list[Any]:
    """The texts of a list, or of a table of one column as pandas splits it."""
    if isinstance(data, dict):
        frame = fields_of(data, "'input_data'", required=("data",), allowed=("columns", "index"))
        columns = frame.get("columns")
        if isinstance(columns, list) and len(columns) > 1:
            raise InputRefused(f"'input_data.columns' has {len(columns)}: send one column of texts.")
        data = frame["data"]
    if not isinstance(data, list):
        raise InputRefused(f"'input_data' is {kind(data)}: send a list of texts, or a table with 'columns' and 'data'.")
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]
