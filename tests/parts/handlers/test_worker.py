"""The worker of asynchronous answers: messages in, answers and partial batch answers out, over in-process SQS, DynamoDB and S3."""

import json
import threading
import time

import pytest

from handlers.functions.answer_work import AnswerWork, TryAgain
from handlers.functions.aws import worker as worker_module
from handlers.functions.environment import SettingsError
from handlers.functions.outcomes import Unavailable
from handlers.functions.problems import (
    AnswerTooLarge,
    DeadlineExceeded,
    InputRefused,
    ModelFailed,
    NotReady,
    Throttled,
)
from tests.parts.handlers.answering import ATTEMPTS, BUCKET, DAY_S, MAX_ATTEMPTS, OUTPUTS, Cloud, Held, Model, event, looked, mocked
from tests.parts.handlers.test_answers import Failing, accepted
from tests.parts.handlers.test_api_function import PLAIN, Context, assert_problem

OTHER = b'{"outputs":[[[0.7]]]}'


@pytest.fixture(scope="module")
def clients():
    with mocked() as made:
        yield made


@pytest.fixture
def aws(clients):
    return Cloud(clients)


def asked(aws, body=None):
    """The id of a request that was handed over."""
    return accepted(aws.function(Model()).handle(event(body, Prefer="respond-async"), Context()))


def told(aws, answer_id):
    return aws.function(Model()).handle(looked(answer_id), Context())


def test_a_message_becomes_the_very_answer(aws):
    answer_id = asked(aws, {"inputs": ["schläft"]})
    model = Model()
    assert aws.work(aws.worker(model)) == {"batchItemFailures": []}
    assert model.calls[0][0] == {"inputs": ["schläft"]}
    answer = told(aws, answer_id)
    assert (answer["statusCode"], answer["body"], answer["headers"]["content-type"]) == (200, OUTPUTS.decode(), "application/json")
    assert aws.waiting() == 0
    row = aws.row(answer_id)
    assert (row["status"]["S"], row["answerStatus"]["N"]) == ("done", "200")
    assert abs(int(row["expires"]["N"]) - time.time() - DAY_S) < 10


@pytest.mark.parametrize("problem", [InputRefused("no such word"), AnswerTooLarge("shorter")], ids=lambda value: type(value).__name__)
def test_what_the_model_server_refuses_is_the_answer_and_is_not_tried_again(aws, problem):
    answer_id = asked(aws)
    model = Model(problem)
    assert aws.work(aws.worker(model)) == {"batchItemFailures": []}
    answer = told(aws, answer_id)
    assert answer["statusCode"] == 422
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"])["detail"] == problem.detail
    assert (len(model.calls), aws.waiting(), aws.waiting(aws.dead_url)) == (1, 0, 0)


PASSING = [
    NotReady("asleep", retry_after_s=2),
    Throttled("busy", retry_after_s=2),
    DeadlineExceeded("late"),
    ModelFailed("broken"),
    RuntimeError("secret"),
]


@pytest.mark.parametrize("failure", PASSING, ids=lambda value: type(value).__name__)
def test_what_may_go_better_is_tried_again(aws, failure):
    answer_id = asked(aws)
    worker = aws.worker(Model(failure, OUTPUTS))
    (failed,) = aws.work(worker)["batchItemFailures"]
    assert set(failed) == {"itemIdentifier"}
    assert told(aws, answer_id)["statusCode"] == 202
    aws.again()
    assert aws.work(worker) == {"batchItemFailures": []}
    assert told(aws, answer_id)["body"] == OUTPUTS.decode()


@pytest.mark.parametrize(("failure", "status"), [(NotReady("asleep"), 503), (ModelFailed("broken"), 502), (RuntimeError("secret"), 500)])
def test_after_the_last_attempt_the_row_says_failed_and_the_message_is_dead(aws, failure, status):
    answer_id = asked(aws)
    worker = aws.worker(Model(failure))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert told(aws, answer_id)["statusCode"] == 202, attempt
        assert len(aws.work(worker)["batchItemFailures"]) == 1
        aws.again()
    answer = told(aws, answer_id)
    assert answer["statusCode"] == status
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert "secret" not in answer["body"]
    assert aws.work(worker) is None
    assert (aws.waiting(), aws.waiting(aws.dead_url)) == (0, 1)
    assert aws.row(answer_id)["status"]["S"] == "failed"


def replay(aws):
    """Move the dead letters back, as a move task does: as new messages."""
    while found := aws.sqs.receive_message(QueueUrl=aws.dead_url).get("Messages"):
        for item in found:
            aws.sqs.send_message(QueueUrl=aws.queue_url, MessageBody=item["Body"])
            aws.sqs.delete_message(QueueUrl=aws.dead_url, ReceiptHandle=item["ReceiptHandle"])


def dead(aws):
    answer_id = asked(aws)
    worker = aws.worker(Model(ModelFailed("broken")))
    for _ in range(MAX_ATTEMPTS):
        aws.work(worker)
        aws.again()
    assert aws.work(worker) is None
    return answer_id


def test_a_replay_turns_failed_into_done(aws):
    answer_id = dead(aws)
    assert told(aws, answer_id)["statusCode"] == 502
    replay(aws)
    assert aws.work(aws.worker(Model())) == {"batchItemFailures": []}
    answer = told(aws, answer_id)
    assert (answer["statusCode"], answer["body"]) == (200, OUTPUTS.decode())
    assert (aws.waiting(), aws.waiting(aws.dead_url)) == (0, 0)


def test_a_replay_that_fails_again_is_failed_and_dead_again(aws):
    answer_id = dead(aws)
    replay(aws)
    worker = aws.worker(Model(NotReady("asleep")))
    while aws.work(worker):
        aws.again()
    assert told(aws, answer_id)["statusCode"] == 503
    assert aws.waiting(aws.dead_url) == 1


def test_a_replay_of_what_is_done_meanwhile_changes_nothing(aws):
    answer_id = dead(aws)
    aws.sqs.send_message(QueueUrl=aws.queue_url, MessageBody=json.dumps({"id": answer_id, "requestId": "r"}))
    aws.work(aws.worker(Model()))
    replay(aws)
    never = Model(AssertionError("asked again"))
    assert aws.work(aws.worker(never)) == {"batchItemFailures": []}
    assert (never.calls, told(aws, answer_id)["body"]) == ([], OUTPUTS.decode())


def test_only_the_message_that_failed_comes_again(aws):
    ids = [asked(aws, {"inputs": text}) for text in ("one", "two", "three")]

    class Picky(Model):
        def invoke(self, body, **more):
            if b"two" in body:
                raise NotReady("asleep")
            return super().invoke(body, **more)

    answer = aws.work(aws.worker(Picky()))
    assert len(answer["batchItemFailures"]) == 1
    assert [told(aws, answer_id)["statusCode"] for answer_id in ids] == [200, 202, 200]
    assert aws.waiting() == 1


def test_a_message_that_comes_twice_is_answered_once(aws):
    answer_id = asked(aws)
    aws.sqs.send_message(QueueUrl=aws.queue_url, MessageBody=json.dumps({"id": answer_id, "requestId": "r"}))
    model = Model(OUTPUTS, OTHER)
    while aws.work(aws.worker(model)):
        pass
    assert len(model.calls) == 1
    assert told(aws, answer_id)["body"] == OUTPUTS.decode()


def test_of_two_workers_at_once_the_first_that_is_done_is_believed(aws):
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]
    held = Held(InputRefused("later and different"))
    states = []
    work = {
        name: AnswerWork(store=aws.store, predict=predict, keep_s=DAY_S, attempts=ATTEMPTS)
        for name, predict in (("slow", lambda *_: raised(held())), ("fast", lambda *_: OUTPUTS.decode()))
    }
    slow = threading.Thread(target=lambda: states.append(work["slow"].attempt(message, attempt=1, remaining_s=lambda: 10.0)))
    slow.start()
    assert held.asked.wait(10)
    assert work["fast"].attempt(message, attempt=1, remaining_s=lambda: 10.0) == "done"
    held.go.set()
    slow.join(timeout=10)
    assert states == ["unwanted"]
    assert (told(aws, answer_id)["statusCode"], told(aws, answer_id)["body"]) == (200, OUTPUTS.decode())


def test_of_two_answers_the_first_one_stays(aws):
    """What was fetched once is fetched again, whatever a second worker with the same message computes."""
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]

    def work(predict):
        return AnswerWork(store=aws.store, predict=predict, keep_s=DAY_S, attempts=ATTEMPTS)

    def slow(*_):
        assert work(lambda *_: OUTPUTS.decode()).attempt(message, attempt=1, remaining_s=lambda: 10.0) == "done"
        return OTHER.decode()

    assert work(slow).attempt(message, attempt=1, remaining_s=lambda: 10.0) == "unwanted"
    assert told(aws, answer_id)["body"] == OUTPUTS.decode()


def raised(error):
    raise error


def test_a_last_attempt_that_fails_beside_a_done_one_is_no_failure(aws):
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]
    done = AnswerWork(store=aws.store, predict=lambda *_: OUTPUTS.decode(), keep_s=DAY_S, attempts=ATTEMPTS)

    def fail(*_):
        done.attempt(message, attempt=1, remaining_s=lambda: 10.0)
        raise ModelFailed("broken")

    failing = AnswerWork(store=aws.store, predict=fail, keep_s=DAY_S, attempts=ATTEMPTS)
    assert failing.attempt(message, attempt=MAX_ATTEMPTS, remaining_s=lambda: 10.0) == "unwanted"
    assert told(aws, answer_id)["statusCode"] == 200


def test_a_last_attempt_that_dies_without_a_word_is_told_as_failed_when_its_time_is_over(aws):
    began = time.time()
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]

    class Died(BaseException):
        """What ends a process leaves no trace."""

    dying = AnswerWork(store=aws.store, predict=lambda *_: raised(Died()), keep_s=DAY_S, attempts=ATTEMPTS)
    with pytest.raises(Died):
        dying.attempt(message, attempt=MAX_ATTEMPTS - 1, remaining_s=lambda: 10.0)
    assert "lastAttemptEnds" not in aws.row(answer_id)
    with pytest.raises(Died):
        dying.attempt(message, attempt=MAX_ATTEMPTS, remaining_s=lambda: 10.0)
    assert told(aws, answer_id)["statusCode"] == 202
    assert float(aws.row(answer_id)["lastAttemptEnds"]["N"]) - began > 10
    aws.change(answer_id, lastAttemptEnds=time.time() - 1)
    assert_problem(told(aws, answer_id), 502, "model-failed")
    # Its message is among the dead letters then, and a replay answers it.
    aws.sqs.send_message(QueueUrl=aws.queue_url, MessageBody=message)
    while aws.work(aws.worker(Model())):
        pass
    assert told(aws, answer_id)["statusCode"] == 200


NONE_OF_OURS = ["", "{", "[]", "{}", "null", '"text"', '{"requestId":"r"}', "[" * 9000, '{"id":[]}', '{"id":7}']


@pytest.mark.parametrize("body", NONE_OF_OURS, ids=lambda value: value[:10])
def test_a_message_that_is_none_of_ours_goes_to_the_dead_letters(aws, body):
    good = asked(aws)
    aws.sqs.send_message(QueueUrl=aws.queue_url, MessageBody=body or " ")
    worker = aws.worker(Model())
    while aws.work(worker):
        aws.again()
    assert aws.waiting(aws.dead_url) == 1
    assert told(aws, good)["statusCode"] == 200


def test_an_answer_that_nobody_can_fetch_is_not_made(aws):
    expired, gone = asked(aws), asked(aws)
    aws.change(expired, expires=int(time.time()) - 1)
    aws.dynamodb.delete_item(TableName="mine-answers", Key={"id": {"S": gone}})
    never = Model(AssertionError("asked"))
    while (answer := aws.work(aws.worker(never))) is not None:
        assert answer == {"batchItemFailures": []}
    assert (never.calls, aws.waiting(), aws.waiting(aws.dead_url)) == ([], 0, 0)


def test_a_request_that_expired_before_its_row_is_failed_and_not_tried_again(aws):
    answer_id = asked(aws)
    aws.s3.delete_object(Bucket=BUCKET, Key=f"requests/{answer_id}")
    assert aws.work(aws.worker(Model())) == {"batchItemFailures": []}
    assert_problem(told(aws, answer_id), 404, "answer-unknown")
    assert aws.row(answer_id)["status"]["S"] == "failed"


@pytest.mark.parametrize("method", ["row", "request", "put_answer", "settle"])
def test_a_store_that_does_not_answer_is_tried_again(aws, method):
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]
    work = AnswerWork(store=Failing(aws.store, method), predict=lambda *_: OUTPUTS.decode(), keep_s=DAY_S, attempts=ATTEMPTS)
    with pytest.raises(TryAgain):
        work.attempt(message, attempt=1, remaining_s=lambda: 10.0)
    assert told(aws, answer_id)["statusCode"] == 202
    sound = AnswerWork(store=aws.store, predict=lambda *_: OUTPUTS.decode(), keep_s=DAY_S, attempts=ATTEMPTS)
    assert sound.attempt(message, attempt=2, remaining_s=lambda: 10.0) == "done"
    assert told(aws, answer_id)["statusCode"] == 200


def test_an_answer_that_can_not_be_kept_at_the_last_attempt_is_failed(aws):
    answer_id = asked(aws)
    message = aws.receive()["Records"][0]["body"]
    work = AnswerWork(store=Failing(aws.store, "put_answer"), predict=lambda *_: OUTPUTS.decode(), keep_s=DAY_S, attempts=ATTEMPTS)
    with pytest.raises(TryAgain):
        work.attempt(message, attempt=MAX_ATTEMPTS, remaining_s=lambda: 10.0)
    assert_problem(told(aws, answer_id), 500, "internal-fault")


def test_an_answer_without_outputs_is_a_failed_model(aws):
    answer_id = asked(aws)
    worker = aws.worker(Model(b"<html>"))
    while aws.work(worker):
        aws.again()
    assert_problem(told(aws, answer_id), 502, "model-failed")


def test_the_model_has_the_workers_time_less_what_keeping_the_answer_needs(aws):
    for remaining_ms, budget in ((28_000, 2), (3000, 1.5)):
        asked(aws)
        model = Model()
        aws.work(aws.worker(model), Context(remaining_ms))
        assert model.budgets == pytest.approx([budget], abs=0.1)


def test_a_message_that_failed_is_seen_again_sooner_than_the_queues_timeout_and_at_once_when_it_is_dead(aws, monkeypatch):
    changes = []
    worker = aws.worker(Model(NotReady("asleep")))

    def change(*, QueueUrl, Entries):
        changes.extend(entry["VisibilityTimeout"] for entry in Entries)
        return {}

    monkeypatch.setattr(aws.sqs, "change_message_visibility_batch", change)
    record = {"messageId": "m", "receiptHandle": "h", "body": json.dumps({"id": asked(aws)})}
    for attempt in range(1, MAX_ATTEMPTS + 1):
        worker.handle({"Records": [record | {"attributes": {"ApproximateReceiveCount": str(attempt)}}]}, Context())
    first, second, last = changes
    assert 5 <= first <= 10
    assert 20 <= second <= 40
    assert last == 0


def test_a_pause_that_can_not_be_set_is_left_to_the_queue(aws, monkeypatch):
    from botocore.exceptions import ClientError

    def deny(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ChangeMessageVisibilityBatch")

    asked(aws)
    monkeypatch.setattr(aws.sqs, "change_message_visibility_batch", deny)
    assert len(aws.work(aws.worker(Model(NotReady("asleep"))))["batchItemFailures"]) == 1


def test_what_becomes_of_answers_is_counted_for_the_service(aws, capsys):
    asked(aws)
    worker = aws.worker(Model(NotReady("asleep"), NotReady("asleep"), NotReady("asleep"), OUTPUTS), SERVICE="mine")
    capsys.readouterr()
    while aws.work(worker):
        aws.again()
    asked(aws)
    aws.work(worker)
    counted = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if "AnswersDone" in line]
    assert [(line["AnswersDone"], line["AnswersFailed"], line["AnswerAttemptsFailed"]) for line in counted] == [
        (0, 0, 1),
        (0, 0, 1),
        (0, 1, 1),
        (1, 0, 0),
    ]
    assert {line["Service"] for line in counted} == {"mine"}


def test_every_line_of_the_worker_names_the_request(aws, capsys):
    answer_id = accepted(aws.function(Model()).handle(event(Prefer="respond-async", **{"X-Request-Id": "caller-7"}), Context()))
    capsys.readouterr()
    worker = aws.worker(Model(RuntimeError("odd")), SERVICE="mine")
    while aws.work(worker):
        aws.again()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["request_id"] for line in lines} == {"caller-7"}
    told = [line for line in lines if line.get("event") == "answer_attempt_failed"]
    # By answer, message and reason, for whoever looks for what is among the dead letters.
    assert {line["answer"] for line in told} == {answer_id}
    assert [(line["attempt"], line["reason"]) for line in told] == [(number, "odd") for number in range(1, MAX_ATTEMPTS + 1)]
    assert len({line["message_id"] for line in told}) == 1


def test_the_variables_are_read_all_at_once(monkeypatch):
    for name in ("ENDPOINT_NAME", "MODEL_TASK", "ANSWERS_TABLE", "ANSWERS_BUCKET", "ANSWERS_KEEP_HOURS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MAX_ATTEMPTS", "none")
    worker_module._worker.cache_clear()
    with pytest.raises(SettingsError) as refusal:
        worker_module._worker()
    for name in ("ENDPOINT_NAME", "MODEL_TASK", "ANSWERS_TABLE", "ANSWERS_BUCKET", "ANSWERS_KEEP_HOURS", "MAX_ATTEMPTS"):
        assert name in str(refusal.value)


def test_the_handler_reads_its_environment_and_a_worker_needs_no_queue(monkeypatch, aws):
    variables = PLAIN | {"ANSWERS_TABLE": "mine-answers", "ANSWERS_BUCKET": BUCKET, "ANSWERS_KEEP_HOURS": "24", "ANSWERS_UNSEEN_S": "168"}
    for name, value in (variables | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    worker_module._worker.cache_clear()
    never = asked(aws)
    aws.change(never, expires=1)
    assert worker_module.handler(aws.receive(), Context()) == {"batchItemFailures": []}
    worker_module._worker.cache_clear()


def test_an_unavailable_store_is_no_reason_to_forget_a_message(aws, monkeypatch):
    asked(aws)
    worker = aws.worker(Model())

    def fail(*_):
        raise Unavailable("down")

    monkeypatch.setattr(worker._work.store, "row", fail)
    assert len(aws.work(worker)["batchItemFailures"]) == 1
    assert aws.waiting() == 1
