"""The settings of the event pipeline, of asynchronous answers and of warming: what is taken, what a mistake is told, with its source."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import capabilities
from components.limits import LAMBDA_TIMEOUT_S, VISIBILITY_S
from components.timeouts import RECORD_S, VISIBILITY_TIMES, most_requests
from stacks.plan import NOW, now
from stacks.service import event_chain
from stacks.settings import parse
from tests.unit.stacks.test_settings import complaint, lines, ready

EVENTS, API = "aws-sagemaker-events", "aws-sagemaker-api"
SCHEDULED: dict[str, Any] = {"kind": "scheduled", "cron": "0 8 * * MON-FRI", "until": "0 18 * * MON-FRI", "timezone": "Europe/Berlin"}
FIVE_SHARES: dict[str, Any] = {"monthlyUsd": 9, "email": "a@b.example", "alertAt": [0.1, 0.3, 0.5, 0.7, 0.9]}

CASES: list[tuple[str, dict[str, Any], str]] = [
    # Values, what is allowed, and where that stands.
    (API, {"endpoint.memoryMb": 3000}, "6144 MB (SageMaker API reference, ProductionVariantServerlessConfig)"),
    (
        API,
        {"warming": [{"kind": "provisioned", "instances": 11}]},
        "warming.0.instances: 11: use 1 to 10, which is endpoint.maxConcurrency, or raise that: "
        "no more can be provisioned than the maximum (SageMaker API reference",
    ),
    (
        EVENTS,
        {"events.visibilitySeconds": 767},
        "events.visibilitySeconds: 767: shorter than the chain: use 768 to 43200 s, 6 times the function's 128 s and the window "
        "(Lambda developer guide",
    ),
    (
        EVENTS,
        {"events.resultsTable": "cosmos"},
        "events.resultsTable: 'cosmos': not in cloud 'aws': rows of results are in the cloud's own table, DynamoDB or Firestore: leave it "
        "out, or use cloud azure (Azure Cosmos DB for Table documentation, overview)",
    ),
    (
        EVENTS,
        {"events.visibilitySeconds": 43_200, "events.maxAttempts": 9},
        "events.maxAttempts: 9: a queue keeps a message for 96 hours, and each attempt may take 43200 s of them: use 1 to 8, or lower "
        "events.visibilitySeconds (SQS API reference, SetQueueAttributes)",
    ),
    (
        EVENTS,
        {"events.maxAttempts": 337},
        "events.maxAttempts: 337: a queue keeps a message for 96 hours, and each attempt may take 1028 s",
    ),
    (EVENTS, {"events.visibilitySeconds": 43201}, "events.visibilitySeconds: 43201: use 0 to 43200 s (SQS API reference"),
    (
        API,
        {"endpoint.maxBodyBytes": 4 * 1024**2 + 1},
        "endpoint.maxBodyBytes: 4194305 for 'aws-sagemaker': use 0 to 4194304 bytes (SageMaker developer guide",
    ),
    (
        EVENTS,
        {"events.maxObjectBytes": 64 * 1024**2 + 1},
        "67108865: the smallest hop's function.memoryMb is 512, an object may fill an eighth: use 1 to 67108864 bytes",
    ),
    (
        "aws-lambda-events",
        {"endpoint.memoryMb": 1024, "events.maxObjectBytes": 200 * 1024**2},
        "the smallest hop's endpoint.memoryMb is 1024, an object may fill an eighth: use 1 to 134217728 bytes, or raise endpoint.memoryMb",
    ),
    (
        API,
        {"answers": None, "endpoint.coldStartSeconds": 18},
        "endpoint: a cold start of 18 s and a prediction of 10 s take 28 s, but 27 s are left behind a gateway that waits 29 s",
    ),
    (API, {"answers.async": False, "endpoint.coldStartSeconds": 18}, "together, or answer later: answers: {async: true}"),
    (
        EVENTS,
        {"endpoint.predictSeconds": 60, "endpoint.coldStartSeconds": 840},
        "endpoint: the function behind the queue needs 904 s for a cold start and a prediction: use 1 to 900 s",
    ),
    (
        EVENTS,
        {"endpoint.predictSeconds": 60, "endpoint.coldStartSeconds": 700},
        "events.batchSize: 10: a cold start of 700 s and 10 requests of up to 60 s each need 1313 s, a function may run for 900 s: "
        "use 1 to 3, or lower endpoint.predictSeconds (Lambda developer guide, quotas)",
    ),
    (
        EVENTS,
        {"events.batchSize": 81, "events.batchWindowSeconds": 1},
        "events.batchSize: 81: a cold start of 15 s and 81 requests of up to 10 s each need 909 s, a function may run for 900 s: "
        "use 1 to 80, or lower endpoint.predictSeconds (Lambda",
    ),
    (EVENTS, {"events.requestsPerObject": 9}, "use 1 to 8, or lower endpoint.predictSeconds or events.requestsPerObject (Lambda"),
    (EVENTS, {"events.requestsPerObject": 81}, "events.requestsPerObject: 81: a cold start of 15 s and 810 requests of up to 10 s each"),
    (EVENTS, {"events.requestsPerObject": 0}, "events.requestsPerObject: 0: use 1 or more"),
    (
        "aws-lambda-events",
        {"endpoint.predictSeconds": 90},
        "events.batchSize: 10: a cold start of 12 s and 10 requests of up to 90 s each need 925 s, a function may run for 900 s: "
        "use 1 to 9, or lower endpoint.predictSeconds (Lambda",
    ),
    (
        API,
        {"endpoint.coldStartSeconds": 900},
        "endpoint: the function behind the queue needs 912 s for a cold start and a prediction: use 1 to 900 s",
    ),
    # What belongs to another pattern or platform.
    (API, {"events": {"prefix": "in/"}}, "events: {'prefix': 'in/'}: not with pattern 'api': objects start nothing in an API"),
    (EVENTS, {"auth": {"mode": "iam"}}, "auth: {'mode': 'iam'}: not with pattern 'events': nobody calls an event pipeline"),
    (EVENTS, {"accessLogs": {"accountRole": "create"}}, "accessLogs: {'accountRole': 'create'}: not with pattern 'events'"),
    (EVENTS, {"cors": {"allowOrigins": ["https://a.example"]}}, "cors: {'allowOrigins': ['https://a.example']}: not with pattern 'events'"),
    (EVENTS, {"answers": {"async": True}}, "answers: {'async': True}: not with pattern 'events': every answer of an event pipeline"),
    (EVENTS, {"events": None}, "events: missing: use a mapping with prefix, suffixes, minObjectBytes"),
    (
        "aws-lambda-api",
        {"answers": {"async": True}},
        "answers.async: true: not on 'aws-lambda': the model is the function and starts before its code can hand anything over: "
        "use endpoint.platform aws-sagemaker, keep it warm with warming, or use pattern events (Lambda developer guide",
    ),
    # The queue and what is behind it.
    (
        EVENTS,
        {"events.batchSize": 11},
        "events.batchSize: 11 without events.batchWindowSeconds: use 1 to 10 messages (Lambda API reference",
    ),
    (EVENTS, {"events.batchSize": 10_001, "events.batchWindowSeconds": 1}, "events.batchSize: 10001: use 1 to 10000 messages"),
    (EVENTS, {"events.batchWindowSeconds": 301}, "events.batchWindowSeconds: 301: use 0 to 300 s"),
    (EVENTS, {"events.maxConcurrency": 1}, "events.maxConcurrency: 1: use 2 to 1000 (Lambda API reference, ScalingConfig)"),
    (EVENTS, {"events.maxConcurrency": 11}, "events.maxConcurrency: 11: more than endpoint.maxConcurrency 10: use 2 to 10, or raise"),
    (
        EVENTS,
        {"endpoint.maxConcurrency": 1},
        "events.maxConcurrency: 5: more than endpoint.maxConcurrency 1: use endpoint.maxConcurrency 2",
    ),
    (
        EVENTS,
        {"function": {"reservedConcurrency": 3}},
        "events.maxConcurrency: 5: more than function.reservedConcurrency 3: use 2 to 3, or raise function.reservedConcurrency",
    ),
    (EVENTS, {"events.maxAttempts": 2}, "events.maxAttempts: 2: use 3 to 1000 times (SQS developer guide, dead-letter queues (1 to 1000))"),
    (EVENTS, {"events.suffixes": [".json", "n"]}, "events.suffixes.1: 'n': overlaps '.json': leave the longer one out (S3 user guide"),
    (EVENTS, {"events.prefix": "a b*"}, "events.prefix: 'a b*': use letters, digits and _ . / ! ' ( ) -"),
    (EVENTS, {"events.results": []}, "events.results: []: use 1 or more"),
    (EVENTS, {"events.results": ["tabel"]}, "events.results.0: 'tabel': did you mean table? use table or queue"),
    (EVENTS, {"events.results": ["queue", "queue"]}, "events.results: ['queue', 'queue']: name each once"),
    (
        EVENTS,
        {"events.minObjectBytes": 20 * 1024**2},
        "events.minObjectBytes: 20971520: more than events.maxObjectBytes: use 0 to 10485760",
    ),
    (API, {"answers.keepHours": 23}, "answers.keepHours: 23: use 24 to 168 hours"),
    (API, {"endpoint.maxConcurrency": 1}, "endpoint.maxConcurrency: 1: the worker of answers.async takes 2 at a time at least: use 2 or"),
    (API, {"answers": {"keepHours": 24}}, "answers.async: missing: use true or false"),
    # Pieces of an answer.
    (
        API,
        {"answers": {"stream": True}},
        "answers.stream: true: not in cloud 'aws' yet: REST APIs can stream, but the function behind this one does not yet: leave it out, "
        "an answer comes as a whole (API Gateway developer guide, response transfer mode)",
    ),
    ("aws-lambda-api", {"answers": {"stream": True}}, "answers.stream: true: not in cloud 'aws' yet: REST APIs can stream"),
    (
        API,
        {"auth": {"mode": "iam"}, "accessLogs": None, "answers": {"async": True, "stream": True}},
        "answers.stream: true: not in cloud 'aws' yet: HTTP APIs can't, REST APIs (auth.mode api-key) can, but the function behind them",
    ),
    (EVENTS, {"answers": {"stream": True}}, "answers: {'stream': True}: not with pattern 'events': every answer of an event pipeline"),
    (API, {"answers": {"stream": "perhaps"}}, "answers.stream: 'perhaps': use true or false"),
    # Entries of a list are named by their place.
    (
        API,
        {"warming": [SCHEDULED, {"kind": "pings"}]},
        "warming.1: {'kind': 'pings'}: use a mapping with kind ping or scheduled or provisioned",
    ),
    (
        API,
        {"warming": [{**SCHEDULED, "untl": "x"}]},
        "warming.0.untl: 'x': unknown key, did you mean until? allowed here: kind, cron, until",
    ),
    (API, {"warming": [{**SCHEDULED, "instances": "1"}]}, "warming.0.instances: '1': use a whole number"),
    (API, {"warming": [{**SCHEDULED, "leaseUntil": "2027-02-30"}]}, "warming.0.leaseUntil: '2027-02-30': use a date that exists"),
    (API, {"warming": [{**SCHEDULED, "leaseUntil": "9999-12-31"}]}, "warming.0.leaseUntil: '9999-12-31': use a date, 2027-01-31, say"),
    (
        API,
        {"warming": [{**SCHEDULED, "timezone": "Berlin"}]},
        "warming.0.timezone: 'Berlin': use UTC or the name of a place in the time zone database",
    ),
    # Money.
    (API, {"budget": {"monthlyUsd": 0, "email": "a@b.example"}}, "budget.monthlyUsd: 0: use an amount above 0"),
    (
        API,
        {"budget": {"monthlyUsd": 9, "email": "a@b.example", "onExceeded": "drop-warming"}},
        "budget.onExceeded: 'drop-warming': there is no warming to drop: use notify, or set warming",
    ),
    (
        API,
        {"warming": [SCHEDULED], "budget": {**FIVE_SHARES, "onExceeded": "drop-warming"}},
        "budget.alertAt: [0.1, 0.3, 0.5, 0.7, 0.9]: makes 6 notifications, with drop-warming's own at 1.0: use 1 to 5 notifications "
        "(Budgets API reference, CreateBudget)",
    ),
    (
        API,
        {"budget": {**FIVE_SHARES, "alertAt": [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]}},
        "budget.alertAt: [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]: makes 6 notifications: use 1 to 5 notifications (Budgets API reference",
    ),
]


@pytest.mark.parametrize("budget", [FIVE_SHARES, {**FIVE_SHARES, "alertAt": [0.1, 0.3, 0.5, 0.7, 1.0], "onExceeded": "drop-warming"}])
def test_a_budget_takes_as_many_shares_as_it_may_have_notifications(budget: dict[str, Any]) -> None:
    parse(ready(API) | {"warming": [SCHEDULED], "budget": budget}, API)


@pytest.mark.parametrize(("stack", "changes", "told"), CASES, ids=[told[:50] for _, _, told in CASES])
def test_one_mistake_is_one_sentence(stack: str, changes: dict[str, Any], told: str) -> None:
    found = lines(complaint(changes, stack))
    assert len(found) == 1, found
    assert told in found[0]


def test_every_setting_of_a_platform_or_a_pattern_says_what_to_use_instead() -> None:
    assert all(row.instead and row.source and row.without for row in capabilities.PLATFORM_SETTINGS)
    assert all(row.instead for row in capabilities.PATTERN_SETTINGS)


def test_mistakes_of_every_part_come_in_one_message() -> None:
    found = lines(
        complaint(
            {
                "endpoint.memoryMb": 3000,
                "events.batchSize": 11,
                "events.results": ["tabel"],
                "warming": [{**SCHEDULED, "cron": "8"}, {"kind": "provisioned", "instances": 0}],
                "budget": {"monthlyUsd": 9},
            },
            EVENTS,
        )
    )
    told = {each.split(":")[0] for each in found}
    assert told == {"endpoint.memoryMb", "events.batchSize", "events.results.0", "warming.0.cron", "warming.1.instances", "budget.email"}


def test_the_pipelines_defaults_are_those_of_a_queue_for_lambda() -> None:
    settings = parse(ready(EVENTS, {"events": {}}), "s")
    assert settings.events is not None
    assert (settings.events.batch_size, settings.events.max_attempts, settings.events.results) == (10, 5, ["table"])
    chain = event_chain(settings, settings.events)
    assert chain.visibility_s == VISIBILITY_TIMES * chain.function_s
    wider = event_chain(settings, settings.events.model_copy(update={"visibility_seconds": 9_000}))
    assert (wider.visibility_s, wider.function_s) == (9_000, chain.function_s)


@given(
    stack=st.sampled_from([EVENTS, "aws-lambda-events"]),
    size=st.integers(1, 1000),
    each=st.integers(1, 40),
    predict_s=st.integers(1, 60),
    cold_start_s=st.integers(0, 180),
)
def test_whatever_is_taken_has_time_for_every_request_and_what_is_told_instead_is_taken(
    stack: str, size: int, each: int, predict_s: int, cold_start_s: int
) -> None:
    asked = {"endpoint.predictSeconds": predict_s, "endpoint.coldStartSeconds": cold_start_s, "events.batchWindowSeconds": 1}
    asked |= {"events.batchSize": size, "events.requestsPerObject": each}
    try:
        settings = parse(ready(stack, asked), "s")
    except pulumi.RunError as error:
        [line] = lines(str(error))
        told = re.match(r"(events\.\w+): .*: use 1 to (\d+), or lower", line)
        assert told is not None, line
        most = most_requests(predict_s=predict_s, cold_start_s=cold_start_s, allowed=LAMBDA_TIMEOUT_S)
        if min(size, each) <= most:  # else both are too many, and are told one after the other
            parse(ready(stack, asked | {told[1]: int(told[2])}), "s")
        return
    assert settings.events is not None
    chain = event_chain(settings, settings.events)
    assert cold_start_s + size * each * predict_s + RECORD_S <= chain.function_s <= LAMBDA_TIMEOUT_S.high
    assert 6 * chain.function_s + 1 <= chain.visibility_s <= VISIBILITY_S.high


def test_a_chain_that_does_not_fit_is_taken_where_answers_may_come_later() -> None:
    assert parse(ready(API, {"endpoint.coldStartSeconds": 60}), "s").endpoint.cold_start_seconds == 60


def test_answers_that_are_switched_off_are_taken_on_every_platform() -> None:
    settings = parse(ready("aws-lambda-api", {"answers": {"async": False}}), "s")
    assert settings.answers is not None
    assert not settings.answers.async_


def test_the_instant_of_a_program_is_the_real_one_or_the_one_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NOW, raising=False)
    assert abs(now() - datetime.now(UTC)) < timedelta(minutes=1)
    monkeypatch.setenv(NOW, "2027-03-28T08:00:00+02:00")
    assert now() == datetime(2027, 3, 28, 8, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize("told", ["2027-03-28T08:00:00", "tomorrow", ""])
def test_an_instant_without_its_offset_is_refused(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(NOW, told)
    with pytest.raises(pulumi.RunError, match="use an ISO 8601 time with its offset"):
        now()
