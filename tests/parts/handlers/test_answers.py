"""Answers that come later, at the function: what is handed over, in which order, and who is given what."""

import json
import threading
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from handlers.functions import settings
from handlers.functions.answers import Answers
from handlers.functions.aws import callers
from handlers.functions.aws.settings import LambdaSettings
from handlers.functions.deferral import wants_later
from handlers.functions.environment import SettingsError
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import (
    AnswerUnknown,
    DeadlineExceeded,
    InputRefused,
    ModelFailed,
    NotReady,
    Overloaded,
    Throttled,
)
from tests.parts.handlers.answering import ATTEMPTS, BUCKET, DAY_S, OUTPUTS, QUEUE, TABLE, Cloud, Held, Model, event, looked, mocked
from tests.parts.handlers.events import REQUEST_ID, http_event
from tests.parts.handlers.test_api_function import PLAIN, Context, assert_problem

LATER = [
    DeadlineExceeded("late"),
    NotReady("asleep", retry_after_s=2),
    Throttled("busy", retry_after_s=2),
    Overloaded("full", retry_after_s=2),
]
HOST = "abc.execute-api.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def clients():
    with mocked() as made:
        yield made


@pytest.fixture
def aws(clients):
    return Cloud(clients)


def accepted(answer):
    """The id out of a 202."""
    assert answer["statusCode"] == 202, answer
    told = json.loads(answer["body"])
    assert told.keys() == {"id", "status", "result"}
    assert (told["status"], answer["headers"]["location"]) == ("pending", told["result"])
    assert int(answer["headers"]["retry-after"]) >= 1
    return told["id"]


def test_an_answer_in_time_is_the_answer_and_nothing_is_kept(aws):
    answer = aws.function(Model()).handle(event(), Context())
    assert (answer["statusCode"], answer["body"]) == (200, OUTPUTS.decode())
    assert (aws.rows(), aws.keys(), aws.waiting()) == ([], [], 0)


@pytest.mark.parametrize("problem", LATER, ids=lambda problem: type(problem).__name__)
def test_an_answer_that_is_not_there_in_time_is_handed_over(aws, problem):
    answer = aws.function(Model(problem)).handle(event({"inputs": " schläft ", "parameters": {}}), Context())
    answer_id = accepted(answer)
    row = aws.row(answer_id)
    assert (row["status"]["S"], row["owner"]["S"], row["requestId"]["S"]) == ("pending", "key:key-1", REQUEST_ID)
    assert abs(int(row["expires"]["N"]) - time.time() - DAY_S) < 10
    body = aws.s3.get_object(Bucket=BUCKET, Key=f"requests/{answer_id}")["Body"].read()
    assert body == '{"inputs":" schläft "}'.encode()
    (message,) = aws.receive()["Records"]
    assert json.loads(message["body"]) == {"id": answer_id, "requestId": REQUEST_ID}


@pytest.mark.parametrize("problem", [ModelFailed("broken"), InputRefused("no")], ids=lambda problem: type(problem).__name__)
def test_a_refusal_that_time_does_not_mend_is_told_at_once(aws, problem):
    answer = aws.function(Model(problem)).handle(event(), Context())
    assert answer["statusCode"] in (502, 422)
    assert (aws.rows(), aws.keys(), aws.waiting()) == ([], [], 0)


@pytest.mark.parametrize("body", ["{", {"inputs": []}, {"inputs": "a", "parameters": {"x": 1}}], ids=str)
def test_a_request_that_can_only_fail_is_not_handed_over(aws, body):
    answer = aws.function(Model()).handle(event(body, Prefer="respond-async"), Context())
    assert answer["statusCode"] in (400, 422)
    assert (aws.rows(), aws.keys(), aws.waiting()) == ([], [], 0)


@pytest.mark.parametrize("prefer", ["respond-async", "Respond-Async, wait=10", "return=minimal; respond-async"])
def test_a_caller_who_prefers_it_is_answered_later_at_once(aws, prefer):
    model = Model()
    answer = aws.function(model).handle(event(Prefer=prefer), Context())
    accepted(answer)
    assert answer["headers"]["preference-applied"] == "respond-async"
    assert model.calls == []


@given(st.text())
def test_any_preference_is_read(text):
    assert wants_later(text) in (True, False)
    assert not wants_later("respond-asynchronously")


@pytest.mark.parametrize(
    ("proto", "path", "base"),
    [
        ("https", "/live/predict", f"https://{HOST}/live"),
        ("http", "/predict", f"http://{HOST}"),
        ("ftp", "/v1/mine/predict", f"https://{HOST}/v1/mine"),
    ],
)
def test_the_address_is_where_the_caller_came_from(aws, proto, path, base):
    asked = event(Prefer="respond-async", **{"X-Forwarded-Proto": proto})
    asked["requestContext"]["path"] = path
    answer = aws.function(Model()).handle(asked, Context())
    assert answer["headers"]["location"] == f"{base}/results/{accepted(answer)}"
    # Who looks there is told the same address.
    asked = looked(accepted(answer))
    asked["requestContext"]["path"] = f"{path.removesuffix('/predict')}/results/{accepted(answer)}"
    asked["headers"]["X-Forwarded-Proto"] = proto
    assert aws.function(Model()).handle(asked, Context())["headers"]["location"] == answer["headers"]["location"]


def test_the_events_of_an_http_api_are_understood_too(aws):
    def http(method, path):
        made = http_event(
            {"inputs": "cold"}, method=method, prefer="respond-async", host="api.example.com", **{"x-forwarded-proto": "https"}
        )
        made["rawPath"] = made["requestContext"]["http"]["path"] = path
        made["requestContext"]["authorizer"] = {"jwt": {"claims": {"iss": "https://issuer", "sub": "someone"}}}
        return made

    function = aws.function(Model())
    answer = function.handle(http("POST", "/predict"), Context())
    answer_id = accepted(answer)
    assert answer["headers"]["location"] == f"https://api.example.com/results/{answer_id}"
    assert aws.row(answer_id)["owner"]["S"] == "token:https://issuer#someone"
    assert function.handle(http("GET", f"/results/{answer_id}"), Context())["statusCode"] == 202


ROLE = "arn:aws:sts::123456789012:assumed-role/Batch"


@pytest.mark.parametrize(
    ("context", "owner"),
    [
        ({"identity": {"apiKeyId": "k1", "userArn": None}}, "key:k1"),
        ({"authorizer": {"jwt": {"claims": {"iss": "i", "sub": "s"}}}}, "token:i#s"),
        ({"authorizer": {"jwt": {"claims": {"iss": "i", "client_id": "c"}}}}, "client:i#c"),
        ({"authorizer": {"jwt": {"claims": {"iss": "i", "sub": "s", "client_id": "c"}}}}, "token:i#s"),
        ({"authorizer": {"jwt": {"claims": {"iss": "i"}}}}, None),
        ({"authorizer": {"iam": {"userArn": f"{ROLE}/one"}}}, f"iam:{ROLE}"),
        ({"authorizer": {"iam": {"userArn": f"{ROLE}/two"}}}, f"iam:{ROLE}"),
        ({"identity": {"userArn": "arn:aws:iam::123456789012:user/path/someone"}}, "iam:arn:aws:iam::123456789012:user/path/someone"),
        ({}, None),
    ],
)
def test_the_owner_is_who_the_gateway_says(context, owner):
    assert callers.owner({"requestContext": context}) == owner


def test_a_caller_who_can_not_be_told_from_others_is_answered_now_or_not_at_all(aws):
    asked = event(Prefer="respond-async", owner=None)
    assert aws.function(Model()).handle(asked, Context())["statusCode"] == 200
    assert_problem(aws.function(Model(DeadlineExceeded("late"))).handle(asked, Context()), 504, "deadline-exceeded")
    assert aws.rows() == []


def test_a_waiting_answer_is_202_with_longer_and_longer_times(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    for age, least, most in ((0, 2, 3), (40, 9, 12), (3600, 30, 30)):
        aws.change(answer_id, at=time.time() - age)
        answer = function.handle(looked(answer_id), Context())
        assert accepted(answer) == answer_id
        assert least <= int(answer["headers"]["retry-after"]) <= most


def test_an_answer_is_nobodys_but_its_owners(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    for other in (looked(answer_id, owner="key-2"), looked(answer_id, owner=None)):
        assert_problem(function.handle(other, Context()), 404, "answer-unknown")
    assert function.handle(looked(answer_id), Context())["statusCode"] == 202


@pytest.mark.parametrize(
    "answer_id",
    ["", "x", "../requests/a", "key#" + "0" * 64, "0" * 36, "00000000-0000-0000-0000-000000000000", "%2e%2e", "a" * 5000, "é", "\x00"],
)
def test_an_id_that_is_none_is_404_whatever_it_holds(aws, answer_id):
    assert_problem(aws.function(Model()).handle(looked(answer_id), Context()), 404, "answer-unknown")


@given(st.text(max_size=60))
def test_no_store_is_asked_for_what_is_no_id(text):
    answers = Answers(store=None, keep_s=DAY_S, attempts=ATTEMPTS)
    with pytest.raises(AnswerUnknown):
        answers.result(text, owner="key:key-1", request_id="r", url="")


def test_a_row_that_is_over_is_unknown_although_the_table_still_has_it(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    aws.change(answer_id, expires=int(time.time()) - 1)
    assert_problem(function.handle(looked(answer_id), Context()), 404, "answer-unknown")


def test_a_row_whose_body_expired_is_unknown(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    aws.work(aws.worker(Model()))
    assert function.handle(looked(answer_id), Context())["statusCode"] == 200
    aws.s3.delete_object(Bucket=BUCKET, Key=f"answers/{answer_id}")
    assert_problem(function.handle(looked(answer_id), Context()), 404, "answer-unknown")


def test_a_base_path_of_the_same_name_is_none_of_an_answers(aws):
    assert aws.function(Model()).handle(event(path="/results/predict"), Context())["statusCode"] == 200


@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_an_answer_takes_no_other_method(aws, method):
    answer = aws.function(Model()).handle(event(path="/results/abc", method=method), Context())
    assert_problem(answer, 405, "method-not-allowed")
    assert answer["headers"]["allow"] == "GET"


def test_a_body_of_four_megabytes_is_handed_over_and_answered(aws):
    text = "a" * (4_194_304 - len('{"inputs": ""}'))
    answer = aws.function(Model(DeadlineExceeded("late"))).handle(event({"inputs": text}), Context())
    answer_id = accepted(answer)
    large = b'{"outputs":"' + b"b" * 6_000_000 + b'"}'
    worker = Model(large)
    aws.work(aws.worker(worker))
    assert len(worker.calls[0][0]["inputs"]) == len(text)
    answer = aws.function(Model()).handle(looked(answer_id), Context())
    assert (answer["statusCode"], answer["body"]) == (200, large.decode())


class Failing:
    """A store of which one method does not answer; what is done before it is done."""

    def __init__(self, store, method):
        self._store, self._method = store, method

    def __getattr__(self, name):
        if name != self._method:
            return getattr(self._store, name)

        def fail(*_, **__):
            raise Unavailable("secret host is down")

        return fail


@pytest.mark.parametrize(("method", "left"), [("put_request", (0, 0, 0)), ("put_row", (1, 0, 0)), ("send", (1, 1, 0))])
def test_a_hand_over_that_fails_is_503_and_leaves_at_worst_what_expires(aws, method, left):
    function = aws.function(Model(DeadlineExceeded("late")), store=Failing(aws.store, method))
    answer = function.handle(event(), Context())
    assert "secret" not in assert_problem(answer, 503, "answers-unavailable")
    assert int(answer["headers"]["retry-after"]) > 0
    assert (len(aws.keys()), len(aws.rows()), aws.waiting()) == left


def test_body_row_and_message_are_written_in_this_order(aws):
    seen = []

    class Watched(Failing):
        def __getattr__(self, name):
            seen.append(name)
            return getattr(self._store, name)

    accepted(aws.function(Model(), store=Watched(aws.store, None)).handle(event(Prefer="respond-async"), Context()))
    assert seen == ["put_request", "put_row", "send"]


def test_an_answer_that_can_not_be_read_is_503(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    broken = aws.function(Model(), store=Failing(aws.store, "row"))
    answer = broken.handle(looked(answer_id), Context())
    assert_problem(answer, 503, "answers-unavailable")
    assert int(answer["headers"]["retry-after"]) > 0


def test_the_model_has_what_the_hand_over_leaves_of_the_functions_time(aws):
    model = Model()
    aws.function(model, wait_s=25).handle(event(), Context(28_000))
    aws.function(model, wait_s=25).handle(event(), Context(10_000))
    assert model.budgets == pytest.approx([25, 10 - 0.5 - 2], abs=0.2)


def test_without_time_for_the_model_the_request_is_handed_over_at_once(aws):
    model = Model()
    accepted(aws.function(model).handle(event(), Context(2400)))
    assert model.calls == []


def test_a_hand_over_that_does_not_end_is_503_before_the_functions_time_is_over(aws, capsys):
    class Stuck(Failing):
        def __getattr__(self, name):
            return (lambda *_: gate.wait(20)) if name == "put_row" else getattr(self._store, name)

    gate = threading.Event()
    started = time.monotonic()
    answer = aws.function(Model(), store=Stuck(aws.store, None)).handle(event(Prefer="respond-async"), Context(1500))
    assert_problem(answer, 503, "answers-unavailable")
    assert 0.8 < time.monotonic() - started < 1.5
    gate.set()
    # Here, and not in the log of the next test.
    said, until = "", time.monotonic() + 5
    while "handed_over" not in said and time.monotonic() < until:
        time.sleep(0.01)
        said += capsys.readouterr().out
    assert "handed_over" in said


def test_a_fault_of_the_model_call_is_an_answer_and_stays_inside(aws, capsys):
    answer = aws.function(Model(RuntimeError("secret"))).handle(event(), Context())
    assert "secret" not in assert_problem(answer, 500, "internal-fault")
    assert "secret" in capsys.readouterr().out


def test_one_correlation_id_goes_from_the_gateway_over_the_queue_to_the_model(aws, capsys):
    model = Model()
    answer_id = accepted(aws.function(Model(NotReady("asleep"))).handle(event(**{"X-Request-Id": "caller-7"}), Context()))
    aws.work(aws.worker(model))
    assert [request_id for _, request_id in model.calls] == ["caller-7"]
    assert aws.row(answer_id)["requestId"]["S"] == "caller-7"
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["request_id"] for line in lines} == {"caller-7"}
    assert [line["event"] for line in lines] == ["deferred", "handed_over", "request", "answer_done"]
    aws.function(Model()).handle(looked(answer_id), Context())
    (told, _) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (told["event"], told["answer"], told["answers_request"]) == ("result", answer_id, "caller-7")


def test_what_is_handed_over_is_counted_for_the_service(aws, capsys):
    accepted(aws.function(Model(), SERVICE="mine").handle(event(Prefer="respond-async"), Context()))
    (counted,) = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "_aws" in line]
    assert (counted["AnswersHandedOver"], counted["Service"]) == (1, "mine")


@pytest.mark.parametrize("operation", ["GetItem", "PutItem", "UpdateItem"])
def test_errors_of_the_table_are_unavailable(aws, operation, monkeypatch):
    def fail(*_, **__):
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow down"}}, operation)

    for name in ("get_item", "put_item", "update_item"):
        monkeypatch.setattr(aws.dynamodb, name, fail)
    calls = {
        "GetItem": lambda: aws.store.row("a"),
        "PutItem": lambda: aws.function(Model(), store=aws.store).handle(event(Prefer="respond-async"), Context()),
        "UpdateItem": lambda: aws.store.put_end("a", 1.0, last=True),
    }
    if operation == "PutItem":
        assert_problem(calls[operation](), 503, "answers-unavailable")
        return
    with pytest.raises(Unavailable, match="DynamoDB: ProvisionedThroughputExceeded"):
        calls[operation]()


def test_a_host_that_is_not_there_is_unavailable(aws, monkeypatch):
    def fail(*_, **__):
        raise EndpointConnectionError(endpoint_url="https://host")

    monkeypatch.setattr(aws.s3, "get_object", fail)
    monkeypatch.setattr(aws.sqs, "send_message", fail)
    with pytest.raises(Unavailable, match="S3"):
        aws.store.answer("a")
    with pytest.raises(Unavailable, match="SQS"):
        aws.store.send("a", "b")


def test_without_the_variables_nothing_of_it_is_there_and_a_key_is_refused():
    from handlers.functions.aws.api import GatewayFunction

    model = Model(DeadlineExceeded("late"))
    function = GatewayFunction(LambdaSettings.from_environment(PLAIN), model, init_ms=1.0)
    assert_problem(function.handle(event(Prefer="respond-async"), Context()), 504, "deadline-exceeded")
    assert_problem(function.handle(looked("x"), Context()), 405, "method-not-allowed")
    told = assert_problem(function.handle(event(**{"Idempotency-Key": "k"}), Context()), 400, "idempotency-key-refused")
    assert "answers" in told


ANSWERS = {
    "ANSWERS_TABLE": TABLE,
    "ANSWERS_BUCKET": BUCKET,
    "ANSWERS_QUEUE_URL": f"https://sqs/{QUEUE}",
    "ANSWERS_KEEP_HOURS": "48",
    "ANSWERS_UNSEEN_S": "168",
}


def test_the_variables_of_answers_are_read_all_or_none():
    assert LambdaSettings.from_environment(PLAIN).answers is None
    read = LambdaSettings.from_environment(PLAIN | ANSWERS | {"ENDPOINT_TIMEOUT_S": "27"}).answers
    assert (read.table, read.bucket, read.queue_url, read.keep_s) == (TABLE, BUCKET, f"https://sqs/{QUEUE}", 48 * 3600)
    assert (read.attempts.most, read.attempts.unseen_s) == (5, 168)
    for name in ANSWERS:
        with pytest.raises(SettingsError, match=name):
            LambdaSettings.from_environment(PLAIN | {"ENDPOINT_TIMEOUT_S": "27"} | {key: ANSWERS[key] for key in ANSWERS if key != name})


@pytest.mark.parametrize("hours", ["0", "23", "1.5", str(settings.MOST_KEEP_HOURS + 1)])
def test_hours_out_of_bounds_are_refused(hours):
    with pytest.raises(SettingsError, match="ANSWERS_KEEP_HOURS"):
        LambdaSettings.from_environment(PLAIN | ANSWERS | {"ENDPOINT_TIMEOUT_S": "27", "ANSWERS_KEEP_HOURS": hours})


def test_a_time_of_the_endpoint_that_the_hand_over_would_use_up_is_refused():
    with pytest.raises(SettingsError, match="ENDPOINT_TIMEOUT_S is '2'"):
        LambdaSettings.from_environment(PLAIN | ANSWERS)


def test_requests_side_by_side_do_not_wait_for_a_stuck_one(aws):
    held = Held()
    function = aws.function(Model(held, OUTPUTS))
    slow = threading.Thread(target=lambda: function.handle(event(), Context()))
    slow.start()
    assert held.asked.wait(10)
    assert function.handle(event(), Context())["statusCode"] == 200
    held.go.set()
    slow.join(timeout=10)
    assert not slow.is_alive()
