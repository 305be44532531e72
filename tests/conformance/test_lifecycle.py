"""Every ready stack, from nothing to nothing, with the real engine: what a user does in its life."""

import contextlib
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pilotlight.planned import ready_stacks
from tests.conformance.observed import Observed, observed_of
from tests.conformance.pipeline import pipeline_of
from tests.conformance.stacks import STACKS, ReadyStack
from tests.conformance.use import AnswerTooLarge, EventsUse, Use, assert_right, use_of
from tests.support.deployment import Deployment, followed, post
from tests.support.size import ALL
from tests.support.vectors import TEXTS

# The use goes on for a while, so that the new one is used too.
AFTERWARDS_S = 6 if ALL else 3
# What every stack gives, by pattern, by cloud, and where answers come later; `endpointName` only where the endpoint is a resource of its
# own.
COMMON_OUTPUTS = {"functionName", "pattern", "platform", "region"}
OUTPUTS = {
    "api": {"apiKey", "apiKeyCommand", "authMode", "url"},
    "events": {"deadLetterQueueUrl", "objectsBucket", "resultsBucket", "resultsTable"},
}
CLOUD_OUTPUTS = {
    "aws": {"api": {"functionAlias", "logGroups"}, "events": {"functionAlias", "logGroups", "queueUrl"}},
    "azure": {"api": {"project"}, "events": {"objectsUrl", "project", "queueUrl", "resultsDatabase"}},
    "gcp": {"api": {"project"}, "events": {"project", "replayTopic", "resultsDatabase"}},
}
# What executions of the model are called in faults; on Google Cloud and Azure by its own name.
MODELS = {
    "aws-sagemaker": "sagemaker",
    "aws-lambda": "lambda",
    "gcp-cloud-run": "run:{endpointName}",
    "azure-container-apps": "app:{endpointName}",
}
# Two calls, so far apart as those of a stack that mostly rests. Attempts need their own time besides what the twin's clock skips, and an
# alarm half an hour to end.
FAILING, APART_S, GIVEN_UP_S, OVER_S, ENDED_S = 2, 600, 180, 600, 2400
# Azure counts what waits once a day, and an alert is over after three checks by the hour at which that is none.
# Longer than every alarm on the age of events waits, and what brings events to their function.
WAITS_S, BRINGS = 7200, {"aws": "lambda", "gcp": "eventarc"}
DAILY_S, DAILY_OVER_S = 86_400, 86_400 + 4 * 3600
# What no model sees. Where the gateway has the schema of a request, it looks itself, and has one status for all that does not fit.
UNREADABLE = (b"{", b"\xff\xfe", b'{"inputs": NaN}', b"[" * 100_000)
MISSHAPEN = (b"[]", b"{}", b'{"inputs": 7}', b'{"inputs": []}')
BY_GATEWAY = {"aws": 400}
ANSWERS_OUTPUTS = {
    "aws": {"answersTable", "answersQueueUrl", "deadLetterQueueUrl"},
    "azure": {"answersDatabase", "answersTable", "answersQueueUrl", "deadLetterQueueUrl"},
    "gcp": {"answersDatabase", "answersTable", "deadLetterQueueUrl", "replayTopic"},
}


@dataclass(frozen=True, kw_only=True)
class Up:
    """A stack that is up."""

    deployment: Deployment
    ready: ReadyStack
    outputs: dict[str, Any]

    @property
    def stack(self) -> str:
        return self.ready.name

    @property
    def use(self) -> Use:
        return use_of(self.ready.pattern, self.deployment, self.outputs)

    def state(self) -> list[dict[str, Any]]:
        """Every resource of the exported state."""
        exported = json.loads(self.deployment.pulumi("stack", "export", "-s", self.stack))
        found: list[dict[str, Any]] = exported["deployment"].get("resources", [])
        return found

    def changed_under_use(self) -> None:
        """`up` while the stack is used at a steady rate: no use fails."""
        assert self.use.answer("warm")
        with self.use.steadily(self.ready.steady) as done:
            report = self.deployment.up(self.stack)
            time.sleep(AFTERWARDS_S)
        assert report["result"] == "succeeded"
        assert done.failed == [], f"{done}\n{self.deployment.run('logs', self.stack, '--tail', '200').stdout}"
        assert done.right >= 8


# Of the parts that they are made of every run brings up each, in a stack that rolls, or in other tests of whole stacks (the REST API of
# AWS: test_refusals.py; event stacks: test_events.py); `make test-all` brings up every stack here.
TRIED = [ready for ready in STACKS if ALL or ready.rolls]


@pytest.fixture(scope="module", params=TRIED, ids=[ready.name for ready in TRIED])
def up(request: pytest.FixtureRequest, deployment: Deployment) -> Up:
    ready: ReadyStack = request.param
    report = deployment.up(ready.name)
    assert report["result"] == "succeeded"
    return Up(deployment=deployment, ready=ready, outputs=deployment.outputs(ready.name))


@pytest.fixture
def first(up: Up) -> Up:
    """By default the first stack of its cloud."""
    if not (ALL or up.ready == next(ready for ready in TRIED if ready.cloud == up.ready.cloud)):
        pytest.skip("PILOTLIGHT_ALL=1 tries it on every stack")
    return up


def changed(report: dict[str, Any]) -> dict[str, int]:
    return {operation: count for operation, count in report["changes"].items() if operation not in ("same", "unchanged") and count}


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status


def test_every_ready_stack_is_held_to_this_suite() -> None:
    assert set(ready_stacks()) == {ready.name for ready in STACKS}


def test_a_preview_of_what_is_up_changes_nothing(up: Up) -> None:
    assert changed(up.deployment.report("preview", up.stack, "--local")) == {}


@pytest.mark.parametrize("name", [name for name, entry in TEXTS.items() if entry["text"]])
def test_answers_agree_with_transformers(up: Up, name: str) -> None:
    with contextlib.suppress(AnswerTooLarge):
        assert_right(up.ready, name, up.use.answer(TEXTS[name]["text"]))


def requests_of(observed: Observed, up: Up, request_id: str) -> list[dict[str, Any]]:
    """The lines of one request, waited for: the function's and the model server's, or the one of both where they are one."""
    wanted = 2 if up.ready.facts.separate_function else 1

    def found() -> list[dict[str, Any]]:
        told = [line for line in observed.lines() if (line.get("event"), line.get("request_id")) == ("request", request_id)]
        return told if len(told) >= wanted else []

    lines: list[dict[str, Any]] = observed.wait(found, f"{wanted} lines of the request {request_id}")
    assert len(lines) == wanted
    return lines


def test_one_id_goes_from_the_gateway_or_the_event_to_the_model(up: Up) -> None:
    observed = observed_of(up.deployment, up.outputs)
    if up.ready.pattern == "events":
        _, version = EventsUse(up.deployment, up.outputs).put(TEXTS["english"]["text"])
        told = observed.line(event="object", version=version, outcome="recorded")
        if up.ready.facts.separate_function:
            model = "Endpoints" if up.ready.cloud == "aws" else "endpointName"
            assert observed.line(model, event="request", request_id=told["request_id"])["status"] == 200
        return
    for own in (None, "own-1"):
        headers = {"x-api-key": up.outputs["apiKey"], **({} if own is None else {"x-request-id": own})}
        answer = httpx.post(up.outputs["url"], json={"inputs": TEXTS["english"]["text"]}, headers=headers, timeout=60)
        request_id = answer.headers["x-request-id"]
        [gateways] = [line["gateway_request_id"] for line in requests_of(observed, up, request_id) if "gateway_request_id" in line]
        assert request_id == (own or gateways)
        if up.ready.cloud == "aws":
            assert gateways == answer.headers["x-amzn-requestid"]
            assert observed.line("apigateway", requestId=gateways)["status"] == str(answer.status_code)


def test_what_is_wrong_with_a_request_is_told_as_a_problem(up: Up) -> None:
    if up.ready.pattern != "api":
        pytest.skip("nobody calls an event stack")
    for body in UNREADABLE:
        assert_problem(post(up.outputs, body), 400)
    for body in MISSHAPEN:
        assert_problem(post(up.outputs, body), BY_GATEWAY.get(up.ready.cloud, 422))
    assert_problem(post(up.outputs, {"inputs": "x", "parameters": {"no_such": 1}}), 422)


def test_a_body_at_the_limit_is_answered_and_one_byte_more_is_refused(up: Up) -> None:
    if up.ready.pattern != "api":
        pytest.skip("nobody calls an event stack")
    # White space, which is no work for the model.
    whole = json.dumps({"inputs": TEXTS["english"]["text"]}).encode().ljust(up.ready.facts.max_body_bytes)
    at = followed(up.outputs, post(up.outputs, whole))
    assert at.status_code == 200, at.text[:300]
    assert_right(up.ready, "english", at.json()["outputs"])
    assert_problem(post(up.outputs, whole + b" "), 413)


def test_the_command_uses_the_stack_and_prints_the_answer_and_nothing_else(up: Up, tmp_path: Path) -> None:
    text = TEXTS["english"]["text"]
    if up.ready.pattern == "api":
        printed = up.deployment.run("invoke", up.stack, "--json", json.dumps({"inputs": text})).stdout
        assert_right(up.ready, "english", json.loads(printed)["outputs"])
    else:
        (tmp_path / "english.txt").write_text(text)
        printed = up.deployment.run("upload", up.stack, str(tmp_path / "english.txt"), "--wait", "--json").stdout
        [uploaded] = json.loads(printed)["objects"]
        assert uploaded["state"] == "done"
        assert_right(up.ready, "english", uploaded["result"]["outputs"])


def test_the_outputs_are_those_of_the_pattern_on_every_platform(up: Up) -> None:
    pattern, cloud = up.ready.pattern, up.ready.cloud
    expected = COMMON_OUTPUTS | OUTPUTS[pattern] | CLOUD_OUTPUTS[cloud][pattern]
    if up.ready.facts.separate_function:
        expected |= {"endpointName"}
    if up.ready.service.get("answers"):
        expected |= ANSWERS_OUTPUTS[cloud]
    assert set(up.outputs) == expected


def test_a_second_up_changes_nothing_also_from_another_checkout(up: Up, tmp_path: Path) -> None:
    if up.ready != TRIED[0] and not ALL:
        assert changed(up.deployment.up(up.stack)) == {}
        return
    shutil.copytree(up.deployment.checkout, tmp_path / "another", ignore=shutil.ignore_patterns("__pycache__"))
    other = Deployment(checkout=tmp_path / "another", home=up.deployment.home)
    assert changed(other.up(up.stack)) == {}
    assert changed(up.deployment.up(up.stack)) == {}


def test_a_refresh_finds_no_drift_on_what_nobody_touched(up: Up) -> None:
    assert changed(up.deployment.report("refresh", up.stack)) == {}


def test_the_exported_state_has_every_resource_and_no_secret_in_clear(up: Up) -> None:
    resources = up.state()
    assert len(resources) == len({resource["urn"] for resource in resources})
    assert len(resources) > 30
    if "apiKey" in up.outputs:
        assert up.outputs["apiKey"] not in json.dumps(resources)
    for resource in resources:
        for registry in resource.get("inputs", {}).get("registries", []) or []:
            assert "password" not in registry or isinstance(registry["password"], dict), "a registry password lies in clear text"


def test_a_changed_size_rolls_without_a_failed_request(first: Up) -> None:
    def sized() -> list[Any]:
        """What the platform calls the endpoint of this size: a configuration or a revision of its own, or a function's size."""
        told = {
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "id",
            "aws:lambda/function:Function": "memorySize",
            "gcp:cloudrunv2/service:Service": "latestReadyRevision",
            "azure-native:app:ContainerApp": "latestReadyRevisionName",
        }
        return [{"id": found["id"], **found["outputs"]}[told[found["type"]]] for found in first.state() if found["type"] in told]

    before = sized()
    first.deployment.configure(first.stack, first.ready.resized())
    first.changed_under_use()
    assert before != sized()


def test_a_changed_handler_changes_the_digest_and_rolls_without_a_failed_request(up: Up) -> None:
    def digest() -> str:
        return next(str(resource["outputs"]["digest"]) for resource in up.state() if resource["type"] == "docker-build:index:Image")

    before = digest()
    source = up.deployment.checkout / "handlers" / "server" / "__init__.py"
    source.write_bytes(source.read_bytes() + f"# changed for {up.stack}\n".encode())
    up.changed_under_use()
    assert digest() != before


def test_a_version_that_does_not_start_fails_the_up_and_takes_no_traffic(first: Up) -> None:
    source = first.deployment.checkout / "handlers" / "server" / "service.py"
    good = source.read_bytes()
    source.write_bytes(good + b'raise RuntimeError("this version does not start")\n')
    assert first.use.answer("warm")
    try:
        with first.use.steadily(first.ready.steady) as done:
            said = first.deployment.run("up", first.stack, "--local", code=1).stderr
            time.sleep(AFTERWARDS_S)
    finally:
        source.write_bytes(good)
    assert done.failed == [], f"{done}\n{first.deployment.run('logs', first.stack, '--tail', '200').stdout}"
    assert done.right >= 8
    # The others say where the reason is.
    assert first.ready.service["endpoint"]["platform"] != "aws-lambda" or "this version does not start" in said
    assert first.deployment.up(first.stack)["result"] == "succeeded"
    assert first.use.answer("mended")


def test_alarms_go_off_while_the_model_fails_and_while_dead_letters_wait(up: Up) -> None:
    def goes_on(seconds: float) -> None:
        up.deployment.twin("clock", {"advance_s": seconds})

    observed, events = observed_of(up.deployment, up.outputs), up.ready.pattern == "events"
    model, daily = MODELS[up.ready.service["endpoint"]["platform"]].format(**up.outputs), up.ready.cloud == "azure"
    goes_on(OVER_S)
    assert observed.alarms() == set()
    up.deployment.twin("faults", {"executions": {model: {"error": 1}}})
    uploaded = []
    for call in range(FAILING):
        goes_on(APART_S if call else 0.001)
        if events:
            uploaded.append(EventsUse(up.deployment, up.outputs).put("it fails"))
        else:
            assert post(up.outputs, {"inputs": "it fails"}).status_code in (202, 500, 502, 503)
        goes_on(60)
    wrong = {"endpoint-errors" if up.ready.facts.separate_function else "function-errors"}
    # An answer that comes later is no failure of the gateway's.
    wrong |= set() if events or up.ready.service.get("answers") else {"gateway-errors"}
    assert wrong <= observed.alarms()
    if events:
        pipeline, deadline = pipeline_of(up.deployment, up.outputs), time.monotonic() + GIVEN_UP_S
        while not set(uploaded) <= set(pipeline.dead()):
            assert time.monotonic() < deadline, f"not all are given up within {GIVEN_UP_S} s"
            # Longer than most of the times after which one is tried again.
            goes_on(OVER_S)
            time.sleep(1)
        goes_on(DAILY_S if daily else OVER_S)
        assert ("events-dead-letters-waiting" if daily else "events-dead-letters") in observed.alarms()
    up.deployment.twin("faults", {"executions": None})
    if events:
        up.deployment.run("replay", up.stack)
        assert all(pipeline_of(up.deployment, up.outputs).row(identity) for identity in uploaded)
    goes_on(DAILY_OVER_S if events and daily else ENDED_S)
    assert observed.alarms() == set()


def test_an_alarm_tells_of_events_that_wait_for_long(up: Up) -> None:
    if up.ready.pattern != "events":
        pytest.skip("events alone wait in a queue that nobody asks after")
    if up.ready.cloud == "azure":
        # Nothing there tells of it but a line when a message is taken at last (tests/planned/azure/test_log_alerts.py) and a daily count.
        pytest.skip("Azure has no metric of how long messages wait")

    def goes_on(seconds: float) -> None:
        up.deployment.twin("clock", {"advance_s": seconds})

    observed = observed_of(up.deployment, up.outputs)
    assert observed.alarms() == set()
    up.deployment.twin("faults", {"outages": [BRINGS[up.ready.cloud]]})
    try:
        identity = EventsUse(up.deployment, up.outputs).put("it waits")
        for _ in range(4):
            goes_on(WAITS_S / 4)
        assert "events-age" in observed.alarms()
    finally:
        up.deployment.twin("faults", {"outages": None})
    pipeline, deadline = pipeline_of(up.deployment, up.outputs), time.monotonic() + GIVEN_UP_S
    while pipeline.look(identity) is None:
        assert time.monotonic() < deadline, f"it is not taken within {GIVEN_UP_S} s"
        goes_on(60)
        time.sleep(0.5)
    goes_on(ENDED_S)
    assert observed.alarms() == set()


def test_destroy_leaves_neither_a_resource_nor_an_object(up: Up) -> None:
    assert up.deployment.report("destroy", up.stack)["result"] == "succeeded"
    assert up.deployment.run("status", up.stack, code=None).returncode == 3
    assert up.state() == []
    up.use.assert_gone()
