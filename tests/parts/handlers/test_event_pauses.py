"""When a message whose object has no result is seen again: by its attempt, as far as SQS and the time let the function say so."""

import json

import pytest
from botocore.awsrequest import AWSResponse
from moto.core.models import botocore_stubber

from handlers.functions.aws import events
from handlers.functions.aws.clients import Clients
from handlers.functions.environment import SettingsError
from handlers.functions.problems import ModelFailed
from tests.parts.handlers.event_world import KEYS, UNSEEN_S, Context, batch, failed, message, unseen_s, world

OPERATION = "AmazonSQS.ChangeMessageVisibilityBatch"
# What a test may take between a pause's beginning and the look at it.
SLOW_S = 5
REFUSED, BROKEN = "bad", "broken"


@pytest.fixture
def aws():
    with world() as made:
        yield made


@pytest.fixture
def in_lambda(monkeypatch):
    """The variables that clients are made by."""
    keys = {name.upper(): value for name, value in KEYS.items() if name.startswith("aws")}
    for name, value in (keys | {"AWS_DEFAULT_REGION": KEYS["region_name"]}).items():
        monkeypatch.setenv(name, value)


def told_of(aws, *texts):
    """The bodies of S3's messages about an object with each text."""
    return [json.dumps({"Records": [aws.put(f"{place}.txt", text)]}) for place, text in enumerate(texts)]


def pause_failures(capsys):
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line["message"] for line in lines if line.get("event") == "pause_failed"]


class Answering:
    """SQS answers every request for pauses with this, for as long as the block lasts; counts them."""

    def __init__(self, sqs, status=None, code=None):
        self._events, self._status, self._code = sqs.meta.events, status, code
        self.asked = 0

    def __enter__(self):
        self._events.register("before-send", self._answer)
        if self._status is not None:
            # It would work on the request before it is answered otherwise. Nothing else may be asked by this client then.
            self._events.unregister("before-send", botocore_stubber)
        return self

    def __exit__(self, *_):
        self._events.unregister("before-send", self._answer)

    def _answer(self, request, **_):
        if OPERATION not in str(request.headers["X-Amz-Target"]):
            return None
        self.asked += 1
        if self._status is None:
            return None
        body = json.dumps({"__type": f"com.amazonaws.sqs#{self._code}", "message": "slower"}).encode()
        response = AWSResponse(request.url, self._status, {"Content-Type": "application/x-amz-json-1.0"}, None)
        response._content = body
        return response


@pytest.mark.parametrize("text", [REFUSED, BROKEN], ids=["refused", "failed"])
@pytest.mark.parametrize(
    ("attempt", "least_s", "most_s"), [(1, 5, 10), (2, 20, 40), (3, 80, 160), (4, 320, 640), (5, 0, 0), (6, 0, 0)], ids=str
)
def test_a_message_is_seen_again_after_the_pause_of_its_attempt_and_at_once_after_the_last(aws, text, attempt, least_s, most_s):
    records = aws.taken(*told_of(aws, text), attempt=attempt)
    assert failed(aws.function().handle(batch(*records), Context())) == [records[0]["messageId"]]
    assert least_s - SLOW_S <= unseen_s()[records[0]["messageId"]] <= most_s


def test_a_message_that_is_done_keeps_its_time_until_it_is_deleted(aws):
    records = aws.taken(*told_of(aws, "good", REFUSED))
    [left] = failed(aws.function().handle(batch(*records), Context()))
    waits = unseen_s()
    assert waits.pop(left) <= 10
    assert all(wait > UNSEEN_S - SLOW_S for wait in waits.values())


def test_a_message_that_is_no_event_of_s3_has_its_pause_too(aws):
    records = aws.taken("not JSON", attempt=2)
    aws.function().handle(batch(*records), Context())
    assert 20 - SLOW_S <= unseen_s()[records[0]["messageId"]] <= 40


def test_no_pause_is_longer_than_the_queue_would_hide_the_message_anyway(aws):
    records = aws.taken(*told_of(aws, REFUSED), attempt=4)
    aws.function(EVENTS_UNSEEN_S="90").handle(batch(*records), Context())
    assert 45 - SLOW_S <= unseen_s()[records[0]["messageId"]] <= 90


def test_messages_that_failed_together_do_not_come_back_together(aws):
    aws.model.failing = ModelFailed("down")
    records = aws.taken(*told_of(aws, *map(str, range(21))), attempt=4)
    with Answering(aws.sqs) as sqs:
        assert len(failed(aws.function().handle(batch(*records), Context()))) == 21
    assert sqs.asked == 3, "ten at a time"
    waits = unseen_s().values()
    assert all(320 - SLOW_S <= wait <= 640 for wait in waits)
    assert max(waits) - min(waits) > 60


@pytest.mark.parametrize(("status", "code"), [(400, "RequestThrottled"), (503, "ServiceUnavailable"), (403, "AccessDenied")])
def test_a_pause_that_sqs_does_not_take_is_told_and_changes_nothing(aws, in_lambda, capsys, status, code):
    records = aws.taken(*told_of(aws, "good", REFUSED))
    capsys.readouterr()
    clients = Clients.make(sends=False)
    with Answering(clients.pauses, status, code) as sqs:
        [left] = failed(aws.function(clients=clients).handle(batch(*records), Context()))
    assert sqs.asked == 1, "it neither waits nor tries again"
    assert unseen_s()[left] > UNSEEN_S - SLOW_S
    [told] = pause_failures(capsys)
    assert code in told
    assert {key for key, _ in aws.rows()} == {"0.txt"}


def test_one_pause_that_sqs_refuses_leaves_the_others_theirs(aws, capsys):
    records = aws.taken(*told_of(aws, REFUSED))
    gone = message(aws.put("gone.txt", REFUSED))
    capsys.readouterr()
    assert len(failed(aws.function().handle(batch(gone, *records), Context()))) == 2
    assert unseen_s()[records[0]["messageId"]] <= 10
    [told] = pause_failures(capsys)
    assert told.startswith("ReceiptHandleIsInvalid")


@pytest.mark.parametrize(("remaining_ms", "asked"), [(2_400, 0), (2_600, 1)])
def test_a_pause_is_only_asked_for_in_time_that_the_answer_does_not_need(aws, capsys, remaining_ms, asked):
    records = aws.taken(*told_of(aws, REFUSED))
    capsys.readouterr()
    with Answering(aws.sqs) as sqs:
        assert len(failed(aws.function().handle(batch(*records), Context(remaining_ms)))) == 1
    assert sqs.asked == asked
    assert pause_failures(capsys) == [] if asked else ["No time was left to set 1 pauses."]


def test_the_handler_takes_queue_and_attempts_from_its_variables(aws, in_lambda, monkeypatch):
    endpoint = {"ENDPOINT_NAME": "mine", "MODEL_TASK": "sentence-embedding", "MAX_ATTEMPTS": "4"}
    for name, value in (aws.variables() | endpoint).items():
        monkeypatch.setenv(name, value)
    events._function.cache_clear()
    try:
        for attempt, most_s in ((3, 160), (4, 0)):
            # Not UTF-8: refused before any endpoint is asked.
            [record] = aws.taken(*told_of(aws, b"\xff\xfe"), attempt=attempt)
            assert failed(events.handler(batch(record), Context())) == [record["messageId"]]
            assert most_s / 2 - SLOW_S <= unseen_s()[record["messageId"]] <= most_s
            aws.sqs.delete_message(QueueUrl=aws.events_url, ReceiptHandle=record["receiptHandle"])
    finally:
        events._function.cache_clear()


@pytest.mark.parametrize("missing", ["EVENTS_QUEUE_URL", "EVENTS_UNSEEN_S"])
def test_what_the_pauses_need_must_be_told(aws, missing):
    with pytest.raises(SettingsError, match=f"{missing} is not set: set it to the "):
        aws.function(**{missing: ""})
