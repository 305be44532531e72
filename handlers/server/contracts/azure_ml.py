"""Azure Machine Learning's contract of online endpoints: `POST /score` with our own body or with MLflow's `input_data`.

A table of MLflow's has a text in each row; to a model of one's own a row is an object with the names of the columns.
"""

from functools import partial
from typing import Any

from handlers.functions import wording
from handlers.functions.problems import InputRefused
from handlers.functions.requests import TEXTS, VALUES, PredictionRequest, from_value, of_kind, takes
from handlers.server.calls import Call
from handlers.server.contracts.fields import fields_of, object_in
from handlers.server.forms import Encoded, Form, dumped
from handlers.server.service import Answer

_FORM = Form("Azure Machine Learning's contract", lambda predicted: Encoded(dumped(predicted.outputs)))


async def score(call: Call) -> Answer:
    """Raises RequestProblem, ClientGone."""
    body, most, kind = await call.json(), call.service.settings.max_inputs, call.service.kind
    request, form = await call.read(partial(translated, max_inputs=most, kind=kind), body), _FORM
    if kind is None:
        # What a row is of is told by the model, which is not here yet.
        form = _FORM._replace(adapt=lambda _, manifest: translated(body, max_inputs=most, kind=takes(manifest.task)))
    answer = await call.answered(request, form)
    return answer._replace(headers={**answer.headers, "x-ms-request-id": call.request_id})


def translated(body: object, *, max_inputs: int, kind: str | None = TEXTS) -> PredictionRequest:
    """What is asked of a model that takes inputs of this `kind`, None while that is not known. Raises InputRefused."""
    if not isinstance(body, dict) or "input_data" not in body:
        return from_value(body, max_inputs=max_inputs, kind=kind)
    fields = fields_of(body, "The body", required=("input_data",), allowed=("params",))
    rows = _rows(fields["input_data"], kind)
    return of_kind(kind, rows, object_in(fields, "params"), max_inputs=max_inputs, name="input_data")


def _rows(data: Any, kind: str | None) -> list[Any]:
    """The inputs of a list, or of a table as pandas splits it; as they stand there while it is not known what they are."""
    columns = None
    if isinstance(data, dict):
        frame = fields_of(data, "'input_data'", required=("data",), allowed=("columns", "index"))
        columns, data = frame.get("columns"), frame["data"]
    if not isinstance(data, list):
        what = "values" if kind == VALUES else "texts"
        raise InputRefused(f"'input_data' is {wording.kind(data)}: send a list of {what}, or a table with 'columns' and 'data'.")
    if kind == VALUES:
        return data if columns is None else _objects(columns, data)
    if kind is None:
        return data
    if isinstance(columns, list) and len(columns) > 1:
        raise InputRefused(f"'input_data.columns' has {len(columns)}: send one column of texts.")
    return [row[0] if isinstance(row, list) and len(row) == 1 else row for row in data]


def _objects(columns: object, rows: list[Any]) -> list[Any]:
    """Of each row one, with the names of the columns."""
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise InputRefused("'input_data.columns' is no list of names, each of them once: send one, or rows without 'columns'.")
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(columns):
            raise InputRefused(f"'input_data.data[{index}]' is no list of {len(columns)} values, one for each of 'input_data.columns'.")
    return [dict(zip(columns, row, strict=True)) for row in rows]
