"""The headers that the server's description tells, held against what it reads and what it sends."""

import threading

import jsonschema
import pytest
import schemathesis
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import response_headers_conformance
from starlette.testclient import TestClient

from handlers.server import openapi
from handlers.server.app import App
from handlers.settings import HandlerSettings
from tests.parts.handlers.contracts.conftest import NAME
from tests.parts.handlers.contracts.test_written_texts import serving

DOCUMENT = openapi.document(HandlerSettings(), None)
ITEMS, HEADERS, PARAMETERS = DOCUMENT["paths"], DOCUMENT["components"]["headers"], DOCUMENT["components"]["parameters"]


def required():
    """Every header that an answer of some status must have, by what is told of the routes."""
    for path, item in ITEMS.items():
        for method, operation in item.items():
            for status, told in operation["responses"].items():
                for name, header in told["headers"].items():
                    always = HEADERS[header["$ref"].rpartition("/")[2]]["required"] if "$ref" in header else header["required"]
                    if always:
                        yield method, path, int(status), name


def refused():
    """The answer of a queue that is full."""
    made, _ = serving(pause_s=0.05, places=1, max_queue=1)
    client, answers = TestClient(App(made)), []
    threads = [threading.Thread(target=lambda: answers.append(client.post("/predict", json={"inputs": "a"}))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return next(answer for answer in answers if answer.status_code == 503)


# Where a header is told that not every answer has: how to come by one.
ANSWERS = {
    (405, "Allow"): lambda client: client.put("/predict"),
    (503, "Retry-After"): lambda client: refused(),
    (200, "X-Ms-Request-Id"): lambda client: client.post("/score", json={"inputs": "y"}),
}


def test_every_answer_is_said_to_have_a_request_id_and_what_else_it_must_have_is_tried_below():
    responses = [(method, path, int(status)) for path, item in ITEMS.items() for method in item for status in item[method]["responses"]]
    assert {each[:3] for each in required() if each[3] == "X-Request-Id"} == set(responses)
    assert {each[2:] for each in required() if each[3] != "X-Request-Id"} == ANSWERS.keys()


@pytest.mark.parametrize(("status", "name"), ANSWERS)
def test_an_answer_has_the_headers_that_it_must_have(status, name):
    answer = ANSWERS[status, name](TestClient(App(serving(sound=True)[0])))
    assert answer.status_code == status
    assert {"x-request-id", name.lower()} <= set(answer.headers)
    jsonschema.validate(int(answer.headers[name]) if name == "Retry-After" else answer.headers[name], HEADERS[name]["schema"])


@pytest.mark.parametrize(
    ("path", "body", "status", "lacking"),
    [("/predict", {"inputs": "y"}, 200, "x-request-id"), ("/score", {"inputs": "y"}, 200, "x-ms-request-id")],
)
def test_an_answer_that_lacks_a_header_it_must_have_does_not_pass(path, body, status, lacking):
    app = App(serving(sound=True)[0])

    async def stripped(scope, receive, send):
        async def send_without(message):
            headers = [each for each in message.get("headers", ()) if each[0].decode() != lacking]
            await send({**message, "headers": headers} if "headers" in message else message)

        await app(scope, receive, send_without)

    schema = schemathesis.openapi.from_asgi("/openapi.json", stripped)
    case = schema[path]["post"].Case(body=body, media_type="application/json")
    assert case.call().status_code == status
    with pytest.raises(FailureGroup, match=f"(?i){lacking}"):
        case.call_and_validate(checks=[response_headers_conformance])


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ASKED = {"inputs": "cold"}
# A header that a request may have: where it is sent, with which value, and how the answer or the log tells that it was read.
WISHES = {
    "X-Request-Id": ("/predict", ASKED, "mine", lambda answer, log: answer.headers["x-request-id"] == "mine"),
    "X-Ms-Client-Request-Id": ("/predict", ASKED, "mine", lambda answer, log: answer.headers["x-request-id"] == "mine"),
    "traceparent": ("/predict", ASKED, TRACE, lambda answer, log: TRACE[3:35] in log),
    "X-Request-Timeout-Ms": ("/predict", ASKED, "0", lambda answer, log: answer.status_code == 504),
    "X-Amzn-Sagemaker-Custom-Attributes": ("/invocations", ASKED, "timeout-ms=0", lambda answer, log: answer.status_code == 504),
    "Prefer": ("/predictions", {"input": ASKED}, "respond-async", lambda answer, log: answer.status_code == 202),
    "Inference-Header-Content-Length": (f"/v2/models/{NAME}/infer", {}, "99", lambda answer, log: "99" in answer.json()["detail"]),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_header_that_a_request_may_have_is_read(embedder, name):
    path, body, value, is_read = WISHES[name]
    answer = embedder.client.post(path, json=body, headers={name: value})
    # Answered behind the line of the log.
    embedder.client.get("/ping")
    assert is_read(answer, embedder.log)
