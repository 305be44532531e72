"""The image as Lambda runs it: nothing appended, events from the runtime API, answers posted back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.images.calls import SENTENCE
from tests.images.conftest import Ask, Derive, Serve
from tests.images.engines import Container, Launch
from tests.images.runtime_api import RuntimeApi

pytestmark = pytest.mark.images
PATIENCE_S = 60


@contextmanager
def as_lambda(serve: Serve, api: RuntimeApi, image: str | None = None) -> Iterator[Container]:
    launch = Launch(env={"AWS_LAMBDA_RUNTIME_API": api.address, "AWS_LAMBDA_FUNCTION_NAME": "model", "AWS_REGION": "us-east-1"})
    with serve(launch, **({"image": image} if image else {})) as (container, _):
        yield container


def rest_event(body: object) -> dict[str, object]:
    """What a REST API's proxy integration sends."""
    return {
        "resource": "/predict",
        "path": "/predict",
        "httpMethod": "POST",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": None,
        "requestContext": {"requestId": "gateway-1", "httpMethod": "POST", "path": "/predict", "stage": "live"},
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


def test_it_answers_gateway_events_and_bare_payloads(serve: Serve, on_the_host: Ask) -> None:
    with RuntimeApi() as api, as_lambda(serve, api):
        proxied = api.invoke(rest_event({"inputs": SENTENCE}), PATIENCE_S)
        bare = api.invoke({"inputs": SENTENCE}, PATIENCE_S)
    expected = on_the_host().outputs
    assert (proxied.kind, proxied.body["statusCode"]) == ("response", 200), proxied
    np.testing.assert_allclose(json.loads(proxied.body["body"])["outputs"], expected, atol=1e-5)
    assert bare.kind == "response"
    np.testing.assert_allclose(bare.body["outputs"], expected, atol=1e-5)


def test_bad_input_is_an_answer_and_not_an_error_of_the_function(serve: Serve) -> None:
    with RuntimeApi() as api, as_lambda(serve, api):
        refused = api.invoke(rest_event({"inputs": 3}), PATIENCE_S)
        served = api.invoke({"inputs": SENTENCE}, PATIENCE_S)
    assert (refused.kind, refused.body["statusCode"]) == ("response", 422)
    assert served.kind == "response"


def test_a_package_that_is_missing_is_reported_as_a_failed_init(serve: Serve, image_without: Derive) -> None:
    with RuntimeApi() as api, as_lambda(serve, api, image=image_without("tokenizers")) as container:
        failed = api.posted.get(timeout=PATIENCE_S)
        assert container.wait(30) != 0
    assert failed.kind == "init-error"
    assert "needs tokenizers, which this image does not carry" in failed.body["errorMessage"]
