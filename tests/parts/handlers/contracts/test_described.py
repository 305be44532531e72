"""What the server says of itself, held against what it does: schemathesis asks every route what its description allows, and what not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from handlers.functions.deadline import TIMEOUT_HEADER
from handlers.server import openapi
from handlers.server.app import App
from handlers.server.contracts import CONTRACTS
from handlers.settings import HandlerSettings
from pilotlight.packaging import package_model
from tests.parts.handlers.conftest import _silent, unpacked
from tests.parts.handlers.contracts.conftest import address
from tests.parts.handlers.contracts.test_written_texts import MODEL, serving
from tests.parts.handlers.image_models import image_folder
from tests.parts.handlers.processes import running
from tests.parts.handlers.test_own_models import packaged
from tests.support.size import examples

ITEMS = openapi.document(HandlerSettings(), None)["paths"]
OPERATIONS = [(method, path) for path, item in ITEMS.items() for method in item]
# What has neither a body nor a part of its path to choose can't be asked wrongly.
MODES = [(*each, GenerationMode.POSITIVE) for each in OPERATIONS]
MODES += [(method, path, GenerationMode.NEGATIVE) for method, path in OPERATIONS if "requestBody" in ITEMS[path][method]]


def no_server_error(ctx, response, case):
    """As schemathesis looks at it, for whom time that is over, or too short for the model, would be the server's fault."""
    short = response.status_code in (503, 504) and tells_its_time(case)
    return None if short else not_a_server_error(ctx, response, case)


def tells_its_time(case):
    return TIMEOUT_HEADER in {name.lower() for name in case.headers}


def wrong_is_refused(ctx, response, case):
    """As schemathesis looks at it, for whom a body that is too large (413, as described) would not count as refused, nor a prediction of
    Cog's whose time was over before the model could look at it: that is a state."""
    late = case.path.startswith("/predictions") and response.status_code == 200 and tells_its_time(case)
    if response.status_code == 413 or (late and response.json()["status"] == "failed"):
        return None
    return checks.negative_data_rejection(ctx, response, case)


CHECKS = [
    no_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    wrong_is_refused,
]
# Of another task than the served one: described by every server, and refused by this one whatever comes.
WRITTEN = [route.partition(" ")[::2] for route in CONTRACTS["openai_texts"].routes]
OTHER_METHODS = ("get", "post", "put", "patch", "delete", "options", "trace", "query")


@pytest.fixture(scope="module")
def described(embedder):
    return schemathesis.openapi.from_url(f"{address(embedder)}/openapi.json")


@pytest.fixture(scope="module")
def writer():
    return schemathesis.openapi.from_asgi("/openapi.json", App(serving(sound=True)[0]))


def all_told(case):
    """Whether a schema can tell all that is asked: not what is text in a table, how many texts a tensor's shape stands for, that an
    id in the path is the one in the body, and which tasks a contract serves."""
    served = (case.method, case.path) not in WRITTEN
    return served and case.media_type in (None, "application/json") and not case.path.endswith(("/infer", "/{id}"))


@pytest.mark.parametrize(("method", "path", "mode"), MODES, ids=lambda value: getattr(value, "value", value))
@settings(max_examples=examples(4, 300), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_is_one_that_the_description_tells(embedder, described, method, path, mode, data):
    case = data.draw(described[path][method].as_strategy(generation_mode=mode))
    accepted = [checks.positive_data_acceptance] if all_told(case) else []
    case.call_and_validate(base_url=address(embedder), checks=[*CHECKS, *accepted])


@pytest.mark.parametrize(("method", "path"), WRITTEN, ids=lambda value: value)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@settings(max_examples=examples(8, 300), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_of_a_model_that_writes_is_one_that_the_description_tells(writer, method, path, mode, data):
    case = data.draw(writer[path][method].as_strategy(generation_mode=mode))
    if mode is GenerationMode.POSITIVE:
        # Of a name that is drawn nothing else would be looked at.
        case.body["model"] = MODEL
    case.call_and_validate(checks=CHECKS)


@pytest.fixture(scope="module")
def houses(workshop):
    with running(workshop, MODEL_DIR=str(packaged("house_price", workshop)), MAX_INPUTS="8") as started:
        yield started


@pytest.fixture(scope="module")
def colours(workshop):
    packed = package_model(str(image_folder(workshop / "coloured")), "image-classification", "onnx", workshop / "cache", progress=_silent)
    with running(workshop, MODEL_DIR=str(unpacked(packed.archive, workshop / "colours-described")), MAX_INPUTS="8") as started:
        yield started


@pytest.fixture(scope="module")
def other(request):
    """A server of another model than texts, and its description."""
    server = request.getfixturevalue(request.param)
    return server, schemathesis.openapi.from_url(f"{address(server)}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path", "mode"), [each for each in MODES if each[0] != "get"], ids=lambda value: getattr(value, "value", value)
)
@pytest.mark.parametrize("other", ["houses", "colours"], indirect=True)
@settings(max_examples=examples(4, 300), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_answer_of_another_model_is_one_that_the_description_tells(other, method, path, mode, data):
    server, described = other
    case = data.draw(described[path][method].as_strategy(generation_mode=mode))
    case.call_and_validate(base_url=address(server), checks=CHECKS)


@pytest.mark.parametrize("path", ITEMS)
def test_a_method_that_is_not_described_is_refused_with_those_that_are(embedder, path):
    known = set(ITEMS[path]) | ({"head"} if "get" in ITEMS[path] else set())
    for method in set(OTHER_METHODS) - known:
        answer = embedder.client.request(method, path.replace("{", "").replace("}", ""))
        assert answer.status_code == 405, method
        assert set(answer.headers["allow"].lower().split(", ")) == known
    assert all("405" in operation["responses"] for operation in ITEMS[path].values())
