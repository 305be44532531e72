"""Idempotency-Key with Stripe's rules (API reference, "Idempotent requests"), at the function and over in-process DynamoDB and S3."""

import json
import threading
import time
import warnings

import pytest
from botocore.exceptions import ClientError

from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import (
    AnswerTooLarge,
    DeadlineExceeded,
    InputRefused,
    ModelFailed,
    NotReady,
)
from tests.parts.handlers.answering import BUCKET, DAY_S, OUTPUTS, Cloud, Held, Model, event, looked, mocked
from tests.parts.handlers.events import REQUEST_ID
from tests.parts.handlers.test_answers import Failing, accepted
from tests.parts.handlers.test_api_function import Context, assert_problem

OTHER = b'{"outputs":[[[0.7]]]}'


@pytest.fixture(autouse=True)
def silent():
    """A warning of the library is a mistake of ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="aws_lambda_powertools")
        yield


@pytest.fixture(scope="module")
def clients():
    with mocked() as made:
        yield made


@pytest.fixture
def aws(clients):
    return Cloud(clients)


def keyed(key="k1", body=None, **more):
    return event(body, **{"Idempotency-Key": key}, **more)


def told(answer):
    """What must be the same: status, body and what says how to read it."""
    return answer["statusCode"], answer["body"], answer["headers"]["content-type"]


def replayed(answer):
    return answer["headers"].get("idempotent-replayed")


def key_row(aws):
    (row,) = [row for row in aws.rows() if row["id"]["S"].startswith("key#")]
    return row


def test_the_second_request_gets_the_answer_of_the_first_and_the_model_is_asked_once(aws):
    model = Model(OUTPUTS, OTHER)
    function = aws.function(model)
    first, second = function.handle(keyed(), Context()), function.handle(keyed(), Context())
    assert told(first) == told(second) == (200, OUTPUTS.decode(), "application/json")
    assert (replayed(first), replayed(second)) == (None, "true")
    assert len(model.calls) == 1


def test_another_process_gives_the_same_answer(aws):
    first = aws.function(Model()).handle(keyed(), Context())
    never = Model(AssertionError("asked again"))
    assert told(aws.function(never).handle(keyed(), Context())) == told(first)


@pytest.mark.parametrize(
    ("failure", "status"), [(RuntimeError("secret"), 500), (ModelFailed("broken"), 502)], ids=lambda value: type(value).__name__
)
def test_status_and_body_of_a_failure_are_kept_too(aws, failure, status):
    function = aws.function(Model(failure, OUTPUTS))
    first = function.handle(keyed(**{"X-Request-Id": "first"}), Context())
    second = function.handle(keyed(**{"X-Request-Id": "second"}), Context())
    assert told(first) == told(second)
    assert (first["statusCode"], replayed(second)) == (status, "true")
    assert json.loads(second["body"])["instance"] == "urn:pilotlight:request:first"
    assert second["headers"]["x-request-id"] == "second"


def test_an_equal_request_in_another_spelling_is_the_same(aws):
    function = aws.function(Model(OUTPUTS, OTHER))
    function.handle(keyed(body='{"inputs":"schläft"}'), Context())
    assert replayed(function.handle(keyed(body='{ "parameters": {}, "inputs": "schl\\u00e4ft" }'), Context())) == "true"


@pytest.mark.parametrize("body", [{"inputs": "warm"}, {"inputs": ["cold"]}], ids=str)
def test_another_body_is_422_and_changes_nothing(aws, body):
    function = aws.function(Model())
    first = function.handle(keyed(), Context())
    assert_problem(function.handle(keyed(body=body), Context()), 422, "idempotency-key-reused")
    assert told(function.handle(keyed(), Context())) == told(first)


def test_equal_keys_of_two_callers_are_two_keys(aws):
    function = aws.function(Model(OUTPUTS, OTHER))
    mine, theirs = function.handle(keyed(owner="key-1"), Context()), function.handle(keyed(owner="key-2"), Context())
    assert (mine["body"], theirs["body"], replayed(theirs)) == (OUTPUTS.decode(), OTHER.decode(), None)


def test_a_request_beside_the_first_is_409_and_then_gets_its_answer(aws):
    held = Held()
    function, other = aws.function(Model(held)), aws.function(Model(AssertionError("asked twice")))
    answers = []
    first = threading.Thread(target=lambda: answers.append(function.handle(keyed(), Context())))
    first.start()
    assert held.asked.wait(10)
    conflict = other.handle(keyed(), Context())
    assert_problem(conflict, 409, "idempotency-key-in-use")
    assert int(conflict["headers"]["retry-after"]) > 0
    # With another body it is the other mistake, although the first one is not done.
    assert_problem(other.handle(keyed(body={"inputs": "warm"}), Context()), 422, "idempotency-key-reused")
    held.go.set()
    first.join(timeout=10)
    assert told(other.handle(keyed(), Context())) == told(answers[0])
    assert answers[0]["statusCode"] == 200


@pytest.mark.parametrize("body", ["{", {"inputs": []}, {"inputs": "a", "parameters": {"x": 1}}], ids=str)
def test_nothing_is_kept_of_a_request_that_can_only_fail(aws, body):
    function = aws.function(Model())
    assert function.handle(keyed(body=body), Context())["statusCode"] in (400, 422)
    assert aws.rows() == []
    assert function.handle(keyed(), Context())["statusCode"] == 200


@pytest.mark.parametrize("problem", [InputRefused("no"), AnswerTooLarge("much")], ids=lambda value: type(value).__name__)
def test_nothing_is_kept_of_a_request_that_the_model_server_refuses(aws, problem):
    function = aws.function(Model(problem, OUTPUTS))
    assert function.handle(keyed(), Context())["statusCode"] == 422
    assert aws.rows() == []
    assert function.handle(keyed(body={"inputs": "shorter"}), Context())["statusCode"] == 200


def test_nothing_is_kept_of_a_request_that_is_to_be_sent_again(aws):
    broken = aws.function(Model(NotReady("asleep")), store=Failing(aws.store, "send"))
    assert_problem(broken.handle(keyed(), Context()), 503, "answers-unavailable")
    answer = aws.function(Model()).handle(keyed(), Context())
    assert (answer["statusCode"], replayed(answer)) == (200, None)


def test_a_request_that_was_handed_over_is_handed_over_once(aws):
    model = Model(DeadlineExceeded("late"))
    function = aws.function(model)
    first, second = function.handle(keyed(), Context()), function.handle(keyed(), Context())
    assert told(first) == told(second)
    assert first["headers"]["location"] == second["headers"]["location"]
    answer_id = accepted(second)
    assert (len(model.calls), aws.waiting()) == (1, 1)
    aws.work(aws.worker(Model()))
    # The kept answer is still the 202, whose address has the result by now.
    assert told(function.handle(keyed(), Context())) == told(first)
    assert function.handle(looked(answer_id), Context())["body"] == OUTPUTS.decode()


def test_a_preference_is_no_part_of_the_request(aws):
    function = aws.function(Model())
    first = function.handle(keyed(), Context())
    assert told(function.handle(keyed(Prefer="respond-async"), Context())) == told(first)


def test_a_key_is_as_good_as_new_when_its_time_is_over(aws):
    function = aws.function(Model(OUTPUTS, OTHER))
    function.handle(keyed(), Context())
    row = key_row(aws)
    assert abs(int(row["expires"]["N"]) - time.time() - DAY_S) < 10
    aws.change(row["id"]["S"], expires=int(time.time()) - 1)
    again = function.handle(keyed(body={"inputs": "warm"}), Context())
    assert (again["body"], replayed(again)) == (OTHER.decode(), None)
    assert replayed(function.handle(keyed(body={"inputs": "warm"}), Context())) == "true"


def test_a_call_that_died_gives_its_key_free_when_the_functions_time_is_over(aws):
    class Died(BaseException):
        """What ends a process leaves no trace."""

    def die():
        raise Died

    dying = aws.function(Model(die))
    with pytest.raises(Died):
        dying.handle(keyed(), Context())
    row = key_row(aws)
    assert row["status"]["S"] == "INPROGRESS"
    function = aws.function(Model())
    assert_problem(function.handle(keyed(), Context()), 409, "idempotency-key-in-use")
    aws.change(row["id"]["S"], in_progress_expiration=int(time.time() * 1000) - 1)
    assert function.handle(keyed(), Context())["statusCode"] == 200


def test_an_answer_larger_than_a_row_is_kept(aws):
    large = b'{"outputs":"' + b"b" * 4_000_000 + b'"}'
    function = aws.function(Model(large, OUTPUTS))
    first, second = function.handle(keyed(), Context()), function.handle(keyed(), Context())
    assert (first["body"], second["body"], replayed(second)) == (large.decode(), large.decode(), "true")


def test_the_timing_of_the_first_answer_is_no_part_of_a_replay(aws):
    model = Model()
    function = aws.function(model)
    first = function.handle(keyed(), Context())
    assert "function-init" in first["headers"]["server-timing"]
    assert "server-timing" not in function.handle(keyed(), Context())["headers"]


def test_a_kept_answer_whose_body_expired_first_is_made_again(aws):
    function = aws.function(Model(OUTPUTS, OTHER))
    function.handle(keyed(), Context())
    (key,) = aws.keys()
    aws.s3.delete_object(Bucket=BUCKET, Key=key)
    again = function.handle(keyed(), Context())
    assert (again["statusCode"], again["body"], replayed(again)) == (200, OTHER.decode(), None)


@pytest.mark.parametrize(("length", "status"), [(0, 400), (1, 200), (255, 200), (256, 400)])
def test_a_key_has_1_to_255_characters(aws, length, status):
    answer = aws.function(Model()).handle(keyed("k" * length), Context())
    assert answer["statusCode"] == status
    if status == 400:
        assert str(length) in assert_problem(answer, 400, "idempotency-key-refused")


@pytest.mark.parametrize("key", ["ü", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "a,b", "#", "\x7f"])
def test_a_key_may_hold_anything(aws, key):
    function = aws.function(Model())
    function.handle(keyed(key), Context())
    assert replayed(function.handle(keyed(key), Context())) == "true"


def test_a_row_of_a_key_is_no_answer_to_fetch(aws):
    function = aws.function(Model())
    function.handle(keyed(), Context())
    assert_problem(function.handle(looked(key_row(aws)["id"]["S"]), Context()), 404, "answer-unknown")


def test_a_key_of_a_caller_who_can_not_be_told_from_others_is_refused(aws):
    assert_problem(aws.function(Model()).handle(keyed(owner=None), Context()), 400, "idempotency-key-refused")


def test_a_get_takes_no_key(aws):
    function = aws.function(Model())
    answer_id = accepted(function.handle(event(Prefer="respond-async"), Context()))
    asked = looked(answer_id)
    asked["headers"]["Idempotency-Key"] = "k1"
    assert function.handle(asked, Context())["statusCode"] == 202
    assert function.handle(keyed(), Context())["statusCode"] == 200


@pytest.fixture
def refusing(aws, monkeypatch):
    """Makes the table refuse some operations."""

    def fail(*_, **__):
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": "secret"}}, "any")

    def refuse(*operations):
        for operation in operations:
            monkeypatch.setattr(aws.dynamodb, operation, fail)

    return refuse


def test_without_the_table_a_request_with_a_key_is_not_worked_on(aws, refusing):
    refusing("put_item")
    model = Model()
    answer = aws.function(model).handle(keyed(), Context())
    assert "secret" not in assert_problem(answer, 503, "answers-unavailable")
    assert int(answer["headers"]["retry-after"]) > 0
    assert model.calls == []


@pytest.mark.parametrize("operations", [("update_item",), ("update_item", "delete_item")])
def test_an_answer_that_can_not_be_kept_is_given_all_the_same(aws, refusing, operations):
    refusing(*operations)
    assert told(aws.function(Model()).handle(keyed(), Context())) == (200, OUTPUTS.decode(), "application/json")


def test_an_answer_whose_body_can_not_be_kept_is_given_and_its_key_free(aws):
    broken = aws.function(Model(), store=Failing(aws.store, "put_answer"))
    assert broken.handle(keyed(), Context())["statusCode"] == 200
    assert aws.rows() == []


def test_a_refusal_is_told_although_the_key_can_not_be_given_free(aws, refusing):
    refusing("delete_item")
    assert_problem(aws.function(Model(InputRefused("no"))).handle(keyed(), Context()), 422, "input-refused")


def test_a_replay_that_can_not_be_read_is_503(aws):
    aws.function(Model()).handle(keyed(), Context())
    answer = aws.function(Model(), store=Failing(aws.store, "answer")).handle(keyed(), Context())
    assert_problem(answer, 503, "answers-unavailable")


def test_an_answer_is_given_in_time_although_keeping_it_takes_too_long(aws):
    class Stuck(Failing):
        def __getattr__(self, name):
            return (lambda *_: gate.wait(20)) if name == "put_answer" else getattr(self._store, name)

    gate = threading.Event()
    started = time.monotonic()
    answer = aws.function(Model(), store=Stuck(aws.store, None)).handle(keyed(), Context(3200))
    assert told(answer) == (200, OUTPUTS.decode(), "application/json")
    assert 2.4 < time.monotonic() - started < 3.2
    gate.set()


def test_the_log_names_the_request_and_never_the_key(aws, capsys):
    aws.function(Model()).handle(keyed("a-key-that-is-secret"), Context())
    out = capsys.readouterr().out
    assert "secret" not in out
    assert {json.loads(line)["request_id"] for line in out.splitlines()} == {REQUEST_ID}
    assert "secret" not in json.dumps(aws.rows())


def test_unavailable_is_what_the_store_of_keys_raises(aws, refusing):
    from handlers.functions.aws.idempotency import PowertoolsOnce

    refusing("put_item")
    once = PowertoolsOnce(table="mine-answers", dynamodb=aws.dynamodb, keep_s=DAY_S)
    with pytest.raises(Unavailable, match="DynamoDB"):
        once.run("k", "f", Context(), dict)
