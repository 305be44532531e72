"""What the functions in front of an endpoint make of inputs that are no texts: images, and values of a model of one's own."""

import base64
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions import merging
from handlers.functions.aws.api import GatewayFunction
from handlers.functions.aws.settings import LambdaSettings
from handlers.functions.endpoint import EndpointAnswer
from handlers.functions.merging import Asked, Limits
from handlers.functions.objects import Content, ObjectInputs, read
from handlers.functions.outcomes import Refused
from handlers.functions.requests import IMAGES, TEXTS, VALUES
from tests.parts.handlers.events import rest_event
from tests.parts.handlers.test_api_function import Context

PNG = b"\x89PNG\r\n\x1a\n\xff"
AS_TEXT = base64.b64encode(PNG).decode()
HOUSE = {"rooms": 4}


class Endpoint:
    """Remembers what it was asked."""

    def invoke(self, body, *, request_id, budget_s):
        self.asked = body
        return EndpointAnswer(b'{"outputs":1}', {})


def function_of(task, endpoint):
    variables = {"ENDPOINT_NAME": "service", "MODEL_TASK": task, "ENDPOINT_TIMEOUT_S": "2", "MAX_BODY_BYTES": "1000000"}
    return GatewayFunction(LambdaSettings.from_environment(variables), endpoint, init_ms=1)


@pytest.mark.parametrize(
    "body", [{"inputs": HOUSE}, {"inputs": [HOUSE, 7, None]}, {"inputs": "text", "parameters": {"nearest": 5}}], ids=str
)
def test_values_reach_a_model_of_ones_own_as_they_came(body):
    endpoint = Endpoint()
    assert function_of("custom", endpoint).handle(rest_event(body), Context())["statusCode"] == 200
    assert json.loads(endpoint.asked) == body


def test_an_image_that_is_a_body_reaches_the_model_as_base64_and_a_model_of_texts_not_at_all():
    event = rest_event(None) | {"body": AS_TEXT, "isBase64Encoded": True}
    event["headers"] = {**event["headers"], "content-type": "image/png"}
    event["multiValueHeaders"] = {name: [value] for name, value in event["headers"].items()}
    endpoint = Endpoint()
    assert function_of("image-classification", endpoint).handle(event, Context())["statusCode"] == 200
    assert json.loads(endpoint.asked) == {"inputs": AS_TEXT}
    assert function_of("text-classification", Endpoint()).handle(event, Context())["statusCode"] == 415


def test_a_task_that_needs_a_parameter_is_not_asked_without_it():
    for task, status in (("zero-shot-classification", 422), ("token-classification", 200)):
        assert function_of(task, Endpoint()).handle(rest_event({"inputs": "a"}), Context())["statusCode"] == status


VALUES_ = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
)


@given(VALUES_, st.sampled_from(["custom", "image-classification", "zero-shot-classification"]))
def test_any_request_body_gets_an_answer_of_the_function(value, task):
    answer = function_of(task, Endpoint()).handle(rest_event({"inputs": value}), Context())
    assert answer["statusCode"] in (200, 400, 413, 422)


@pytest.mark.parametrize("depth", [32, 33, 900, 100_000])
def test_depth_is_bounded_before_anything_writes_the_value_again(depth):
    event = rest_event(None) | {"body": '{"inputs": {"a": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}}"}
    assert function_of("custom", Endpoint()).handle(event, Context())["statusCode"] == (
        200 if depth == 32 else 422 if depth < 1000 else 400
    )


@pytest.mark.parametrize(
    ("body", "content_type", "key", "kind", "inputs"),
    [
        (PNG, "image/png", "a", IMAGES, ObjectInputs((AS_TEXT,), False, {})),
        (PNG, None, "a.PNG", IMAGES, ObjectInputs((AS_TEXT,), False, {})),
        (PNG, "image/jpeg", "a", None, ObjectInputs((AS_TEXT,), False, {})),
        (b'["aGk="]', "application/json", "a", IMAGES, ObjectInputs(("aGk=",), True, {})),
        (b'{"rooms": 4}', None, "a.json", VALUES, ObjectInputs((HOUSE,), False, {})),
        (b'{"inputs": {"rooms": 4}, "parameters": {"n": 1}}', None, "a.json", VALUES, ObjectInputs((HOUSE,), False, {"n": 1})),
        (b'[{"rooms": 4}, 7]', None, "a.json", VALUES, ObjectInputs((HOUSE, 7), True, {})),
        (b'{"rooms": 4}\n{"inputs": 7}\n', None, "a.jsonl", VALUES, ObjectInputs((HOUSE, 7), True, {})),
        (b"a text", None, "a.txt", VALUES, ObjectInputs(("a text",), False, {})),
    ],
)
def test_an_object_is_read_for_its_task(body, content_type, key, kind, inputs):
    assert read(Content(body, content_type), key, kind) == inputs


@pytest.mark.parametrize(("body", "kind"), [(PNG, TEXTS), (PNG, VALUES)])
def test_an_image_is_no_input_of_another_task(body, kind):
    with pytest.raises(Refused, match="not UTF-8"):
        read(Content(body, "image/png"), "a.png", kind)


def test_values_of_several_objects_share_a_request():
    asked = [Asked(owner, ObjectInputs((HOUSE,), False, {}), False, "", "") for owner in range(2)]
    (request,) = merging.plan(asked, Limits(inputs=8, body_bytes=1000, merged_bytes=1000))
    assert orjson.loads(request.body()) == {"inputs": [HOUSE, HOUSE]}
