"""Answers that come later, on Azure: handed over by the role `api`, worked on by the role `worker`, given to their owner, forgotten."""

import contextlib
import json
import threading
import time

import pytest

from handlers.functions.answers import refused
from handlers.functions.attempts import LONGEST_PAUSE_S
from handlers.functions.azure import api, callers, forgetter, worker
from handlers.functions.azure.consuming import CUT_OFF, GRANTS_S
from handlers.functions.azure.messages import NOTE
from handlers.functions.deadline import Until
from handlers.functions.endpoint import NotLetIn
from handlers.functions.environment import SettingsError
from handlers.functions.problems import DeadlineExceeded, IdempotencyKeyInUse, InputRefused, ModelFailed, NotReady, Overloaded, Throttled
from handlers.web.process import Boot
from tests.parts.handlers.answering import OUTPUTS, Held, Model
from tests.parts.handlers.answers_told import accepted, problem_of
from tests.parts.handlers.azure.answering import CALLER, DAY_S, MAX_ATTEMPTS, asked, guard, handed_over, looked

LATER = [DeadlineExceeded("late"), NotReady("asleep", retry_after_s=2), Throttled("busy", retry_after_s=2), Overloaded("full")]
OTHER = b'{"outputs":[[[0.7]]]}'


def test_an_answer_in_time_is_the_answer_and_nothing_is_asked_of_the_account(cloud):
    function = cloud.function(Model())
    cloud.front.seen.clear()
    answer = asked(function)
    assert (answer.status, answer.body) == (200, OUTPUTS.decode())
    assert cloud.front.seen == []


@pytest.mark.parametrize("problem", LATER, ids=lambda problem: type(problem).__name__)
def test_an_answer_that_is_not_there_in_time_is_handed_over(cloud, problem, capsys):
    answer = asked(cloud.function(Model(problem)), {"inputs": " schläft "}, x_request_id="mine-1")
    answer_id = accepted(answer)
    row = cloud.rows()[answer_id]
    assert (row["status"], row["owner"], row["requestId"]) == ("pending", CALLER, "mine-1")
    assert abs(row["expires"] - time.time() - DAY_S) < 10
    assert cloud.messages() == [{"id": answer_id, "requestId": "mine-1"}]
    assert abs(cloud.queues["answers"][0].ends - time.time() - DAY_S) < 10
    assert answer.headers["location"] == f"/results/{answer_id}"
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["AnswersHandedOver"] for line in told if line["event"] == "metrics"] == [1]


def test_the_whole_way_from_a_late_answer_to_the_very_body(cloud):
    function = cloud.function(Model(DeadlineExceeded("late")))
    answer_id = accepted(asked(function))
    assert accepted(looked(function, answer_id)) == answer_id
    model = Model()
    cloud.work(cloud.worker(model))
    assert (model.calls, cloud.messages()) == ([({"inputs": "cold"}, "call-1")], [])
    found = looked(function, answer_id)
    assert (found.status, found.body, found.headers["content-type"]) == (200, OUTPUTS.decode(), "application/json")


def test_an_answer_is_nobodys_but_its_owners(cloud):
    answer_id, function = handed_over(cloud), cloud.function(Model())
    for other in ("key:subscription-2", "token:i#subscription-1", None):
        assert problem_of(looked(function, answer_id, caller=other)) == (404, "answer-unknown")
    assert looked(function, answer_id).status == 202


def test_who_is_told_of_by_nobody_gets_an_answer_now_or_none(cloud):
    assert asked(cloud.function(Model()), caller=None, prefer="respond-async").status == 200
    assert problem_of(asked(cloud.function(Model(DeadlineExceeded("late"))), caller=None)) == (504, "deadline-exceeded")
    assert problem_of(asked(cloud.function(Model()), caller=None, idempotency_key="k"))[0] == 400
    assert (cloud.rows(), cloud.messages()) == ({}, [])


@pytest.mark.parametrize(
    "answer_id", ["", "x", "../requests/a", "key-" + "0" * 64, "00000000-0000-0000-0000-000000000000", "a" * 5000, "é"]
)
def test_an_id_that_is_none_is_404_whatever_it_holds(cloud, answer_id):
    assert problem_of(looked(cloud.function(Model()), answer_id)) == (404, "answer-unknown")


def test_an_answer_that_is_over_is_unknown_and_worked_on_by_nobody(cloud):
    answer_id = handed_over(cloud)
    cloud.change(answer_id, expires=time.time() - 1)
    assert problem_of(looked(cloud.function(Model()), answer_id)) == (404, "answer-unknown")
    cloud.work(cloud.worker(Model(AssertionError("asked"))))
    assert cloud.messages() == []


@pytest.mark.parametrize("part", ["/table/", "/queue/", "/blob/"])
def test_work_that_can_not_be_handed_over_is_not_promised(cloud, part):
    guard(cloud, part, 403)
    answer = asked(cloud.function(Model()), prefer="respond-async")
    assert problem_of(answer) == (503, "answers-unavailable")
    assert answer.headers["retry-after"]
    assert cloud.messages() == []


def test_a_table_that_does_not_answer_a_look_is_unavailable(cloud):
    answer_id, function = handed_over(cloud), cloud.function(Model())
    guard(cloud, "/table/", 503, times=4)
    assert problem_of(looked(function, answer_id)) == (503, "answers-unavailable")
    assert looked(function, answer_id).status == 202


def test_a_refusal_of_the_model_is_the_answer(cloud):
    answer_id = handed_over(cloud)
    cloud.work(cloud.worker(Model(InputRefused("not like that"))))
    found = looked(cloud.function(Model()), answer_id)
    assert (problem_of(found), json.loads(found.body)["detail"]) == ((422, "input-refused"), "not like that")
    assert (cloud.messages(), cloud.messages("dead")) == ([], [])


@pytest.mark.parametrize(
    "failure",
    [NotReady("asleep"), ModelFailed("broken"), Throttled("busy"), RuntimeError("secret")],
    ids=lambda value: type(value).__name__,
)
def test_a_failure_comes_again_until_the_last_attempt_and_a_replay_mends_it(cloud, failure, capsys):
    answer_id, broken = handed_over(cloud), cloud.worker(Model(failure))
    function = cloud.function(Model())
    for _ in range(1, MAX_ATTEMPTS):
        cloud.work(broken)
        assert looked(function, answer_id).status == 202
    cloud.work(broken)
    found = looked(function, answer_id)
    assert found.status >= 429
    assert "secret" not in found.body
    counts = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "AnswersFailed" in line]
    assert [(line["AnswersFailed"], line["AnswerAttemptsFailed"]) for line in counts] == [(0, 1)] * 2 + [(1, 1)]
    (letter,) = cloud.messages("dead")
    assert (letter["event"], letter["attempts"], letter["requestId"]) == ({"id": answer_id, "requestId": "call-1"}, 3, "call-1")
    assert str(failure) in letter["reason"]
    assert cloud.messages() == []
    cloud.send(json.dumps(letter["event"]).encode())
    cloud.work(cloud.worker(Model()))
    assert looked(function, answer_id).body == OUTPUTS.decode()
    assert "problem" not in cloud.rows()[answer_id]


RIGHTS = {"endpoint": None, "rows": "/table/", "bodies": "/blob/"}


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_that_is_missing_costs_the_worker_no_attempt_for_an_hour(cloud, right, capsys):
    answer_id, function = handed_over(cloud), cloud.function(Model())
    let_in = cloud.worker(Model(ModelFailed("broken")))
    barred = cloud.worker(Model(NotLetIn("The model can't be asked now.")) if right == "endpoint" else Model())

    def work_barred():
        guard(cloud, RIGHTS[right] or "nothing", 403)
        cloud.work(barred)
        guard(cloud, "nothing", 403)

    def told():
        counts = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "AnswersFailed" in line]
        return [(line["AnswersFailed"], line["AnswerAttemptsFailed"]) for line in counts]

    for _ in range(2 * MAX_ATTEMPTS):
        work_barred()
    for _ in range(MAX_ATTEMPTS - 1):
        cloud.work(let_in)
    work_barred()
    # It would have been the last one.
    assert told() == [(0, 1)] * 3 * MAX_ATTEMPTS
    assert (cloud.messages("dead"), cloud.messages()[0][NOTE]["spared"]) == ([], 2 * MAX_ATTEMPTS + 1)
    assert looked(function, answer_id).status == 202
    if right != "rows":
        # Whoever asks while the message is paused is not told that no attempt is left.
        assert cloud.rows()[answer_id]["lastAttemptEnds"] >= time.time() + LONGEST_PAUSE_S
    barred.consumer._now = lambda: time.time() + GRANTS_S + 1
    work_barred()
    (letter,) = cloud.messages("dead")
    assert (letter["attempts"], cloud.messages(), told()) == (3 * MAX_ATTEMPTS + 1, [], [(1, 1)])
    assert (looked(function, answer_id).status == 202) == (right == "rows"), "what can't be written can't be read either"


def test_who_may_again_answers_at_the_attempt_that_was_spared(cloud):
    answer_id, function = handed_over(cloud), cloud.function(Model())
    for failure in [ModelFailed("broken")] * (MAX_ATTEMPTS - 1) + [NotLetIn("Not now.")] * 2:
        cloud.work(cloud.worker(Model(failure)))
    cloud.work(cloud.worker(Model()))
    assert (looked(function, answer_id).body, cloud.messages("dead")) == (OUTPUTS.decode(), [])


def test_attempts_that_were_cut_off_are_told_when_their_time_is_over(cloud):
    """As when each of them killed its replica: the row says beforehand when no attempt is left."""
    answer_id, function = handed_over(cloud), cloud.function(Model())
    killed = cloud.worker(Model())
    for _ in range(MAX_ATTEMPTS):
        cloud.again()
        killed.consumer._queue.get(unseen_s=30)
    killed._work.store.put_end(answer_id, time.time() - 1, last=True)
    assert problem_of(looked(function, answer_id)) == (502, "model-failed")
    cloud.work(cloud.worker(Model(AssertionError("asked"))))
    (letter,) = cloud.messages("dead")
    assert (letter["reason"], cloud.messages()) == (CUT_OFF, [])
    cloud.send(json.dumps(letter["event"]).encode())
    cloud.work(cloud.worker(Model()))
    assert looked(function, answer_id).status == 200


def test_while_messages_wait_no_answer_is_given_up(cloud):
    answer_id, function = handed_over(cloud), cloud.function(Model())
    cloud.change(answer_id, at=time.time() - 7200)
    assert looked(function, answer_id).status == 202
    cloud.worker(Model()).consumer._queue.get(unseen_s=30)
    assert problem_of(looked(function, answer_id)) == (502, "model-failed")


def test_of_two_workers_at_once_one_is_believed(cloud):
    answer_id, held = handed_over(cloud), Held(OTHER)
    message = cloud.messages()[0]
    slow = threading.Thread(target=lambda: cloud.work(cloud.worker(Model(held))))
    slow.start()
    assert held.asked.wait(20)
    fast = cloud.worker(Model())
    assert fast._work.trouble(json.dumps(message), attempt=1, message_id="m", seconds_left=lambda: 10) is None
    held.go.set()
    slow.join()
    assert (looked(cloud.function(Model()), answer_id).body, cloud.rows()[answer_id]["status"]) == (OUTPUTS.decode(), "done")


def test_a_failure_after_the_answer_changes_nothing(cloud):
    answer_id, worker_ = handed_over(cloud), cloud.worker(Model())
    cloud.work(worker_)
    failed = refused(ModelFailed("late"), "call-1", "failed")
    assert not worker_._work.store.settle(answer_id, failed, int(time.time()) + DAY_S)
    assert looked(cloud.function(Model()), answer_id).body == OUTPUTS.decode()


def test_a_row_that_others_change_meanwhile_is_read_again(cloud):
    answer_id, left = handed_over(cloud), [2]

    def judge(headers):
        if cloud.front.seen[-1][0] == "PUT" and "/table/" in cloud.front.seen[-1][1] and left[0]:
            left[0] -= 1
            cloud.change(answer_id, at=time.time())

    cloud.front.guard = judge
    cloud.work(cloud.worker(Model()))
    assert (cloud.rows()[answer_id]["status"], left) == ("done", [0])


@pytest.mark.parametrize("message", [b"x", b"{}", b"[]", b'{"id": []}', b'{"id": 7}'])
def test_a_message_that_names_no_answer_is_a_dead_letter_at_last(cloud, message):
    cloud.send(message)
    for _ in range(MAX_ATTEMPTS):
        cloud.work(cloud.worker(Model()))
    (letter,) = cloud.messages("dead")
    assert letter["reason"].startswith("The message names no answer: ")
    assert (letter["attempts"], cloud.rows(), cloud.queues["answers"]) == (MAX_ATTEMPTS, {}, [])


def test_who_calls_is_what_the_policy_says_and_nothing_else():
    assert callers.owner({"x-pilotlight-caller": "token:https://issuer#someone"}) == "token:https://issuer#someone"
    for told in ({}, {"x-pilotlight-caller": ""}, {"x-pilotlight-caller": "someone"}, {"x-api-key": "k"}, {"x-pilotlight-caller": "key:"}):
        assert callers.owner(told) is None
    long = [callers.owner({"x-pilotlight-caller": f"token:i#{'x' * 5000}{end}"}) for end in "ab"]
    assert (len(set(long)), {len(each) for each in long}) == (2, {69})


def test_the_address_is_the_gateways_where_it_is_told():
    assert callers.result_url({"x-pilotlight-gateway": "https://mine.azure-api.net"}, "id") == "https://mine.azure-api.net/results/id"
    for told in ({}, {"x-pilotlight-gateway": "mine"}, {"x-pilotlight-gateway": "https://a/b"}, {"host": "mine.azurecontainerapps.io"}):
        assert callers.result_url(told, "id") == "/results/id"


def test_the_variables_of_answers_are_read_all_or_none(cloud):
    plain = {name: value for name, value in cloud.variables().items() if not name.startswith("ANSWERS_")}
    made, _ = api.make(plain, Boot())
    assert problem_of(looked(made, "1")) == (404, "route-unknown")
    for name in ("ANSWERS_TABLE_URL", "ANSWERS_CONTAINER_URL", "ANSWERS_QUEUE_URL", "ANSWERS_KEEP_HOURS", "VISIBILITY_S"):
        for make in (lambda told: api.make(told, Boot()), worker.make):
            with pytest.raises(SettingsError, match=name):
                make({key: value for key, value in cloud.variables().items() if key != name})
    with pytest.raises(SettingsError, match="ENDPOINT_TIMEOUT_S"):
        api.make(cloud.variables(ENDPOINT_TIMEOUT_S="2"), Boot())
    with pytest.raises(SettingsError, match="DEAD_LETTER_QUEUE_URL"):
        worker.make(cloud.variables(DEAD_LETTER_QUEUE_URL=""))


def replayed(answer):
    return answer.headers.get("idempotent-replayed")


def test_a_request_with_a_key_is_answered_once(cloud):
    model = Model(OUTPUTS, OTHER)
    first, second = (asked(cloud.function(model), idempotency_key="k") for _ in range(2))
    assert (first.status, first.body, replayed(first)) == (200, OUTPUTS.decode(), None)
    assert (second.status, second.body, replayed(second)) == (200, OUTPUTS.decode(), "true")
    assert len(model.calls) == 1


def test_a_key_is_its_callers_own_and_its_requests(cloud):
    function = cloud.function(Model())
    assert asked(function, idempotency_key="k").status == 200
    assert problem_of(asked(function, {"inputs": "other"}, idempotency_key="k")) == (422, "idempotency-key-reused")
    assert replayed(asked(function, {"inputs": "other"}, idempotency_key="k", caller="key:subscription-2")) is None


def test_a_request_under_way_is_told_to_come_back(cloud):
    held, answers = Held(), []
    function = cloud.function(Model(held))
    first = threading.Thread(target=lambda: answers.append(asked(function, idempotency_key="k")))
    first.start()
    assert held.asked.wait(20)
    again = asked(cloud.function(Model(AssertionError("asked"))), idempotency_key="k")
    assert (problem_of(again), again.headers["retry-after"]) == ((409, "idempotency-key-in-use"), "2")
    held.go.set()
    first.join()
    assert answers[0].status == 200
    assert replayed(asked(function, idempotency_key="k")) == "true"


def test_nothing_is_kept_of_what_is_to_be_sent_again_and_a_failure_is(cloud):
    function = cloud.function(Model(InputRefused("no"), ModelFailed("broken"), OUTPUTS))
    assert asked(function, idempotency_key="k").status == 422
    assert cloud.rows() == {}
    first, second = (asked(function, idempotency_key="k") for _ in range(2))
    assert (problem_of(first), second.body, replayed(second)) == ((502, "model-failed"), first.body, "true")


def test_a_later_answer_with_a_key_is_handed_over_once(cloud):
    function = cloud.function(Model())
    first, second = (asked(function, idempotency_key="k", prefer="respond-async") for _ in range(2))
    assert accepted(first) == accepted(second)
    assert len(cloud.messages()) == 1


def test_a_call_that_died_gives_its_key_free_when_its_time_is_over(cloud):
    once = cloud.function(Model())._api._deferral._once
    assert once._create("x", once._fields("f", "working", time.time() - 1))
    assert once._begun("x", "f", time.time() + 10).mark
    with pytest.raises(Exception, match="being answered"):
        once._begun("x", "f", time.time() + 10)


class Over(Exception):
    """What ends a call."""


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
@pytest.mark.parametrize("ended", [False, True], ids=["under way", "ended"])
def test_a_call_that_outlives_its_time_leaves_its_key_to_who_took_it_over(cloud, fails, ended):
    first, second, third = (cloud.function(Model())._api._deferral._once for _ in range(3))
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


def test_a_table_that_does_not_answer_gives_the_answer_that_is_there(cloud):
    function = cloud.function(Model())
    guard(cloud, "/table/", 403, times=1)
    assert problem_of(asked(function, idempotency_key="k")) == (503, "answers-unavailable")
    guard(cloud, "/table/", 403, times=1, method="PUT")
    assert asked(function, idempotency_key="k").body == OUTPUTS.decode()


def test_many_requests_with_one_key_ask_the_model_once(cloud):
    model = Model()
    functions = [cloud.function(model) for _ in range(2)]
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


def forgetting(cloud, after_s):
    role = forgetter.make({"ANSWERS_TABLE_URL": f"{cloud.azure.url('table')}/answers"})
    role._now = lambda: time.time() + after_s
    return role.run()


def test_rows_and_keys_whose_time_is_over_are_forgotten_and_no_others(cloud, capsys):
    cloud.azure.account.tables.most = 2
    old = [handed_over(cloud) for _ in range(3)]
    assert asked(cloud.function(Model()), idempotency_key="k").status == 200
    kept = handed_over(cloud)
    cloud.change(kept, expires=time.time() + 3 * DAY_S)
    assert forgetting(cloud, 0) == 0
    assert len(cloud.rows()) == 5
    # Nobody is told of them by now, whose clock may be an hour behind.
    assert forgetting(cloud, DAY_S + 1800) == 0
    assert len(cloud.rows()) == 5
    assert forgetting(cloud, DAY_S + 3700) == 0
    assert list(cloud.rows()) == [kept]
    assert len(old) == 3
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["removed"] for line in told if line["event"] == "forgotten"] == [0, 0, 4]


def test_a_key_that_was_taken_over_meanwhile_is_not_forgotten(cloud):
    once = cloud.function(Model())._api._deferral._once
    once._create("key-x", once._fields("f", "working", 0.0) | {"expires": 1.0})

    def judge(headers):
        if cloud.front.seen[-1][0] == "DELETE":
            cloud.azure.account.tables._store("answers", ("key-x", "key"), cloud.tables["answers"]["key-x", "key"] | {"ends": 5.0})

    cloud.front.guard = judge
    assert forgetting(cloud, 0) == 0
    assert list(cloud.rows()) == ["key-x"]


def test_a_table_that_can_not_be_read_fails_the_run(cloud, capsys):
    guard(cloud, "/table/", 403)
    assert forgetting(cloud, 0) == 1
    assert '"forgetting_failed"' in capsys.readouterr().out
