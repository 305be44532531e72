"""Answers that come later, on Google Cloud: handed over by the role `api`, worked on by the role `worker`, given to their owner."""

import base64
import contextlib
import hashlib
import json
import threading
import time
from datetime import UTC, datetime

import grpc
import pytest

from handlers.functions.deadline import Until
from handlers.functions.environment import SettingsError
from handlers.functions.gcp import api, callers, worker
from handlers.functions.problems import (
    DeadlineExceeded,
    IdempotencyKeyInUse,
    InputRefused,
    ModelFailed,
    NotReady,
    Overloaded,
    Throttled,
)
from handlers.web.process import Boot
from tests.parts.handlers.answering import OUTPUTS, Held, Model
from tests.parts.handlers.gcp.answering import DAY_S, MAX_ATTEMPTS, Cloud, accepted, asked, looked, problem_of, pushed

DENIED = grpc.StatusCode.PERMISSION_DENIED
LATER = [
    DeadlineExceeded("late"),
    NotReady("asleep", retry_after_s=2),
    Throttled("busy", retry_after_s=2),
    Overloaded("full", retry_after_s=2),
]
OTHER = b'{"outputs":[[[0.7]]]}'


@pytest.fixture
def google(cloud_storage, firestore, topics, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud_storage)
    monkeypatch.setenv("K_SERVICE", "mine")
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    return Cloud(cloud_storage, firestore, topics)


def handed_over(google, **headers):
    return accepted(asked(google.function(Model()), prefer="respond-async", **headers))


def test_an_answer_in_time_is_the_answer_and_nothing_is_kept(google):
    answer = asked(google.function(Model()))
    assert (answer.status, answer.body) == (200, OUTPUTS.decode())
    assert (google.rows(), google.messages()) == ({}, [])


@pytest.mark.parametrize("problem", LATER, ids=lambda problem: type(problem).__name__)
def test_an_answer_that_is_not_there_in_time_is_handed_over(google, problem, capsys):
    answer = asked(google.function(Model(problem)), {"inputs": " schläft "}, x_request_id="mine-1")
    answer_id = accepted(answer)
    row = google.row(answer_id)
    owner = "key:" + hashlib.sha256(b"key-1").hexdigest()
    assert (row["status"], row["owner"], row["requestId"]) == ("pending", owner, "mine-1")
    assert abs(row["expires"].timestamp() - time.time() - DAY_S) < 10
    assert google.messages() == [{"id": answer_id, "requestId": "mine-1"}]
    assert answer.headers["location"] == f"/results/{answer_id}"
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["AnswersHandedOver"] for line in told if line["event"] == "metrics"] == [1]


def test_the_whole_way_from_a_late_answer_to_the_very_body(google):
    function = google.function(Model(DeadlineExceeded("late")))
    answer_id = accepted(asked(function))
    assert accepted(looked(function, answer_id)) == answer_id
    model = Model()
    assert google.work(google.worker(model)) == 200
    assert model.calls == [({"inputs": "cold"}, "call-1")]
    found = looked(function, answer_id)
    assert (found.status, found.body, found.headers["content-type"]) == (200, OUTPUTS.decode(), "application/json")


@pytest.mark.parametrize("problem", [ModelFailed("broken"), InputRefused("no")], ids=lambda problem: type(problem).__name__)
def test_a_refusal_that_time_does_not_mend_is_told_at_once(google, problem):
    assert asked(google.function(Model(problem))).status in (502, 422)
    assert (google.rows(), google.messages()) == ({}, [])


def test_an_answer_is_nobodys_but_its_owners(google):
    answer_id, function = handed_over(google), google.function(Model())
    for other in ("key-2", None):
        assert problem_of(looked(function, answer_id, key=other)) == (404, "answer-unknown")
    assert looked(function, answer_id).status == 202


@pytest.mark.parametrize(
    "answer_id", ["", "x", "../requests/a", "key-" + "0" * 64, "00000000-0000-0000-0000-000000000000", "a" * 5000, "é"]
)
def test_an_id_that_is_none_is_404_whatever_it_holds(google, answer_id):
    assert problem_of(looked(google.function(Model()), answer_id)) == (404, "answer-unknown")


def test_other_routes_and_methods_are_refused(google):
    function = google.function(Model())
    assert problem_of(asked(function, path="/other")) == (404, "route-unknown")
    assert problem_of(asked(function, method="DELETE", path="/results/x")) == (405, "method-not-allowed")


def test_an_answer_that_is_over_is_unknown(google):
    answer_id = handed_over(google)
    google.change(answer_id, expires=datetime.fromtimestamp(time.time() - 1, UTC))
    assert problem_of(looked(google.function(Model()), answer_id)) == (404, "answer-unknown")
    assert google.work(google.worker(Model(AssertionError("asked")))) == 200


@pytest.mark.parametrize("method", ["Commit", "Publish"])
def test_work_that_can_not_be_handed_over_is_not_promised(google, method):
    (google.firestore if method == "Commit" else google.topics).failing = [(method, DENIED, False)]
    answer = asked(google.function(Model()), prefer="respond-async")
    assert problem_of(answer) == (503, "answers-unavailable")
    assert answer.headers["retry-after"]


def test_a_bucket_that_is_not_there_is_told_as_unavailable(google):
    answer = asked(google.function(Model(), ANSWERS_BUCKET="none-such"), prefer="respond-async")
    assert problem_of(answer) == (503, "answers-unavailable")
    assert (google.rows(), google.messages()) == ({}, [])


def test_a_database_that_does_not_answer_a_look_is_unavailable(google):
    answer_id, function = handed_over(google), google.function(Model())
    google.firestore.failing = [("BatchGetDocuments", DENIED, False)]
    assert problem_of(looked(function, answer_id)) == (503, "answers-unavailable")
    assert looked(function, answer_id).status == 202


def test_a_refusal_of_the_model_is_the_answer(google):
    answer_id = handed_over(google)
    assert google.work(google.worker(Model(InputRefused("not like that")))) == 200
    found = looked(google.function(Model()), answer_id)
    assert problem_of(found) == (422, "input-refused")
    assert json.loads(found.body)["detail"] == "not like that"


@pytest.mark.parametrize(
    "failure",
    [NotReady("asleep"), ModelFailed("broken"), Throttled("busy"), RuntimeError("secret")],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_comes_again_until_the_last_attempt_and_a_replay_mends_it(google, failure, capsys):
    answer_id, broken = handed_over(google), google.worker(Model(failure))
    function = google.function(Model())
    for attempt in range(1, MAX_ATTEMPTS):
        assert google.work(broken, attempt=attempt) == 503
        assert looked(function, answer_id).status == 202
    assert google.work(broken, attempt=MAX_ATTEMPTS) == 503
    found = looked(function, answer_id)
    assert found.status >= 429
    assert "secret" not in found.body
    counts = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "AnswersFailed" in line]
    assert [(line["AnswersFailed"], line["AnswerAttemptsFailed"]) for line in counts] == [(0, 1)] * 4 + [(1, 1)]
    # Replayed, it counts from one on.
    assert google.work(google.worker(Model()), attempt=1) == 200
    assert looked(function, answer_id).body == OUTPUTS.decode()


def test_a_last_attempt_that_is_cut_off_has_failed_when_its_time_is_over(google):
    answer_id, store = handed_over(google), google.worker(Model())._work.store
    store.put_end(answer_id, time.time() - 1, last=True)
    assert problem_of(looked(google.function(Model()), answer_id)) == (502, "model-failed")
    assert google.work(google.worker(Model())) == 200
    assert looked(google.function(Model()), answer_id).status == 200


def test_a_message_that_comes_twice_leaves_the_first_answer(google):
    answer_id = handed_over(google)
    assert [google.work(google.worker(Model(outputs))) for outputs in (OUTPUTS, OTHER)] == [200, 200]
    assert looked(google.function(Model()), answer_id).body == OUTPUTS.decode()


def test_of_two_workers_at_once_one_is_believed(google):
    answer_id, held = handed_over(google), Held(OTHER)
    slow = threading.Thread(target=lambda: google.work(google.worker(Model(held))))
    slow.start()
    assert held.asked.wait(20)
    assert google.work(google.worker(Model())) == 200
    held.go.set()
    slow.join()
    assert (looked(google.function(Model()), answer_id).body, google.row(answer_id)["status"]) == (OUTPUTS.decode(), "done")


def test_a_row_that_others_change_meanwhile_is_read_again(google):
    answer_id = handed_over(google)
    left = [2]

    def before(method):
        if method == "Commit" and left[0]:
            left[0] -= 1
            google.firestore.before = lambda method: None
            google.change(answer_id, at=time.time())
            google.firestore.before = before

    google.firestore.before = before
    assert google.work(google.worker(Model())) == 200
    assert google.row(answer_id)["status"] == "done"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"message": {"data": "!", "messageId": "1"}}'])
def test_what_is_no_message_of_pubsub_is_refused(google, body):
    assert pushed(google.worker(Model()), body) == 400


@pytest.mark.parametrize("message", [b"x", b"{}", b"[]", b'{"id": []}'])
def test_a_message_that_names_no_answer_belongs_among_the_dead_letters(google, message):
    assert google.work(google.worker(Model()), message=message) in (200, 503)
    assert google.rows() == {}


def test_the_mode_of_the_gateway_says_which_header_counts(google):
    def token(**claims):
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    person, client = token(iss="https://issuer", sub="someone"), token(iss="https://issuer", client_id="batch")
    assert callers.owner({"x-apigateway-api-userinfo": person}, "jwt") == "token:https://issuer#someone"
    assert callers.owner({"x-apigateway-api-userinfo": client}, "jwt") == "client:https://issuer#batch"
    # What a client adds of the other mode's header is its own word.
    forged = {"x-apigateway-api-userinfo": person, "x-api-key": "mine"}
    assert callers.owner(forged, "api-key") == "key:" + hashlib.sha256(b"mine").hexdigest()
    assert callers.owner(forged, "jwt") == "token:https://issuer#someone"
    for headers in ({}, {"x-apigateway-api-userinfo": "!"}, {"x-apigateway-api-userinfo": token(iss="i")}, {"x-api-key": "mine"}):
        assert callers.owner(headers, "jwt") is None
    assert callers.owner({"x-apigateway-api-userinfo": person}, "api-key") is None


def test_the_address_is_the_gateways_where_it_is_told(google):
    headers = {"x-forwarded-host": "mine.gateway.dev", "x-forwarded-proto": "https"}
    assert callers.result_url(headers, "id") == "https://mine.gateway.dev/results/id"
    assert callers.result_url(headers | {"x-forwarded-proto": "http"}, "id") == "http://mine.gateway.dev/results/id"
    assert callers.result_url({"host": "mine-function.a.run.app"}, "id") == "/results/id"


def test_the_variables_of_answers_are_read_all_or_none(google):
    plain = {name: value for name, value in google.variables().items() if not name.startswith("ANSWERS_") and name != "AUTH_MODE"}
    made, _ = api.make(plain, Boot())
    assert problem_of(looked(made, "1")) == (404, "route-unknown")
    for name in ("ANSWERS_DATABASE", "ANSWERS_COLLECTION", "ANSWERS_BUCKET", "ANSWERS_TOPIC", "ANSWERS_KEEP_HOURS", "AUTH_MODE"):
        with pytest.raises(SettingsError, match=name):
            api.make({key: value for key, value in google.variables().items() if key != name}, Boot())
    with pytest.raises(SettingsError, match="ENDPOINT_TIMEOUT_S"):
        api.make(google.variables(ENDPOINT_TIMEOUT_S="2"), Boot())
    worker.make({name: value for name, value in google.variables().items() if name not in ("ANSWERS_TOPIC", "AUTH_MODE")}, Boot())


def replayed(answer):
    return answer.headers.get("idempotent-replayed")


def test_a_request_with_a_key_is_answered_once(google):
    model = Model(OUTPUTS, OTHER)
    first, second = (asked(google.function(model), idempotency_key="k") for _ in range(2))
    assert (first.status, first.body, replayed(first)) == (200, OUTPUTS.decode(), None)
    assert (second.status, second.body, replayed(second)) == (200, OUTPUTS.decode(), "true")
    assert len(model.calls) == 1


def test_a_key_is_its_callers_own_and_its_requests(google):
    function = google.function(Model())
    assert asked(function, idempotency_key="k").status == 200
    assert problem_of(asked(function, {"inputs": "other"}, idempotency_key="k")) == (422, "idempotency-key-reused")
    assert replayed(asked(function, {"inputs": "other"}, idempotency_key="k", key="key-2")) is None


def test_a_request_under_way_is_told_to_come_back(google):
    held, answers = Held(), []
    function = google.function(Model(held))
    first = threading.Thread(target=lambda: answers.append(asked(function, idempotency_key="k")))
    first.start()
    assert held.asked.wait(20)
    again = asked(google.function(Model(AssertionError("asked"))), idempotency_key="k")
    assert (problem_of(again), again.headers["retry-after"]) == ((409, "idempotency-key-in-use"), "2")
    held.go.set()
    first.join()
    assert answers[0].status == 200
    assert replayed(asked(function, idempotency_key="k")) == "true"


def test_nothing_is_kept_of_what_is_to_be_sent_again(google):
    function = google.function(Model(InputRefused("no"), OUTPUTS))
    assert asked(function, idempotency_key="k").status == 422
    assert google.rows() == {}
    assert asked(function, idempotency_key="k").status == 200


def test_a_failure_is_kept_and_given_again(google):
    function = google.function(Model(ModelFailed("broken"), OUTPUTS))
    first, second = (asked(function, idempotency_key="k") for _ in range(2))
    assert (problem_of(first), second.body, replayed(second)) == ((502, "model-failed"), first.body, "true")


def test_a_later_answer_with_a_key_is_handed_over_once(google):
    function = google.function(Model())
    first, second = (asked(function, idempotency_key="k", prefer="respond-async") for _ in range(2))
    assert accepted(first) == accepted(second)
    assert len(google.messages()) == 1


def test_a_call_that_died_gives_its_key_free_when_its_time_is_over(google):
    function = google.function(Model())
    once = function._api._deferral._once._made.result()
    assert once._create("x", once._fields("f", "working", time.time() - 1))
    assert once._begun("x", "f", time.time() + 10).mark
    with pytest.raises(Exception, match="being answered"):
        once._begun("x", "f", time.time() + 10)


class Over(Exception):
    """What ends a call."""


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
@pytest.mark.parametrize("ended", [False, True], ids=["under way", "ended"])
def test_a_call_that_outlives_its_time_leaves_its_key_to_who_took_it_over(google, fails, ended):
    first, second, third = (google.function(Model())._api._deferral._once._made.result() for _ in range(3))
    second._now = third._now = lambda: time.time() + 60
    held, answers = threading.Event(), []
    held.set() if ended else held.clear()
    taken_over = threading.Event()

    def take_over():
        taken_over.set()
        assert held.wait(20)
        return {"answer": "second"}

    other = threading.Thread(target=lambda: answers.append(second.run("k", "f", Until(30), take_over)))

    def outlive():
        other.start()
        assert taken_over.wait(20)
        if ended:
            other.join()
        if fails:
            raise Over
        return {"answer": "first"}

    with pytest.raises(Over) if fails else contextlib.nullcontext():
        assert first.run("k", "f", Until(1), outlive) == ({"answer": "first"}, False)
    if not ended:
        with pytest.raises(IdempotencyKeyInUse):
            third.run("k", "f", Until(30), dict)
        held.set()
        other.join()
    assert answers == [({"answer": "second"}, False)]
    assert third.run("k", "f", Until(30), dict) == ({"answer": "second"}, True)


def test_a_key_is_as_good_as_new_when_its_time_is_over(google):
    model = Model(OUTPUTS, OTHER)
    function = google.function(model)
    assert asked(function, idempotency_key="k").body == OUTPUTS.decode()
    once = function._api._deferral._once._made.result()
    once._now = lambda: time.time() + DAY_S + 1
    assert asked(function, idempotency_key="k").body == OTHER.decode()


def test_a_database_that_does_not_answer_gives_the_answer_that_is_there(google):
    function = google.function(Model())
    google.firestore.failing = [("Commit", DENIED, False)]
    assert problem_of(asked(function, idempotency_key="k")) == (503, "answers-unavailable")
    calls = []

    def before(method):
        calls.append(method)
        if calls.count("Commit") == 2:
            google.firestore.failing = [("Commit", DENIED, False)]

    google.firestore.before = before
    assert asked(function, idempotency_key="k").body == OUTPUTS.decode()


def test_many_requests_with_one_key_ask_the_model_once(google):
    model = Model()
    functions = [google.function(model, CONCURRENCY="8") for _ in range(2)]
    answers = []

    def ask(function):
        answer = asked(function, idempotency_key="k")
        while answer.status == 409:
            time.sleep(0.01)
            answer = asked(function, idempotency_key="k")
        answers.append((answer.status, answer.body))

    threads = [threading.Thread(target=ask, args=(functions[index % 2],)) for index in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(200, OUTPUTS.decode())] * 12
    assert len(model.calls) == 1
