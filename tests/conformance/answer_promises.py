"""Answers that come later, on every cloud: told with 202, fetched by their owner, computed once for a key, there in the end whatever dies.

A cloud's own tests inherit these, and give `up`.
"""

import json

import httpx
import psutil

from tests.conformance.answering import Answering, assert_accepted
from tests.support.vectors import TEXTS, assert_agrees

ENGLISH = {"inputs": TEXTS["english"]["text"]}
CHINESE = {"inputs": TEXTS["chinese"]["text"]}
# Beyond the time that a message stays unseen whose worker died, and beyond every pause between attempts.
UNSEEN_S, ATTEMPTS_S = 300, 7200


def outputs_of(answer: httpx.Response) -> object:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()["outputs"]


class AnswerPromises:
    def test_who_prefers_it_is_answered_later_and_nobody_else_can_fetch_it(self, up: Answering) -> None:
        accepted = up.post(ENGLISH, prefer="respond-async")
        assert accepted.headers["preference-applied"] == "respond-async"
        url = assert_accepted(accepted)
        for refused, status in ((up.get(url, up.other), 404), (up.get(f"{url}0"), 404)):
            assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
        assert up.get(url, "no-key").status_code == up.wrong_key
        answer = up.answer(url)
        assert_agrees("english", outputs_of(answer))
        assert answer.content == up.get(url).content, "it can be fetched again"
        assert up.get(url, up.other).status_code == 404

    def test_the_command_follows_the_address_and_prints_the_answer(self, up: Answering) -> None:
        printed = up.deployment.run("invoke", up.stack, "--async", "--json", json.dumps(CHINESE)).stdout
        assert_agrees("chinese", json.loads(printed)["outputs"])
        url = up.deployment.run("invoke", up.stack, "--async", "--no-wait", "--json", json.dumps(ENGLISH)).stdout.strip()
        assert_agrees("english", outputs_of(up.answer(url)))

    def test_a_repeated_key_gets_the_same_answer_and_the_model_is_asked_once(self, up: Answering) -> None:
        first = up.post(ENGLISH, idempotency_key="one", x_request_id="first")
        assert "idempotent-replayed" not in first.headers
        assert_agrees("english", outputs_of(first))
        again = up.post(ENGLISH, idempotency_key="one", x_request_id="again")
        assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, first.content, "true")
        another = up.post(CHINESE, idempotency_key="one", x_request_id="another")
        assert (another.status_code, another.headers["content-type"]) == (422, "application/problem+json")
        somebody = up.post(CHINESE, key=up.other, idempotency_key="one", x_request_id="somebody")
        assert "idempotent-replayed" not in somebody.headers
        assert_agrees("chinese", outputs_of(somebody))
        up.observed.line(up.model_lines, request_id="somebody")
        asked = {line["request_id"] for line in up.observed.lines(up.model_lines) if "request_id" in line}
        assert asked & {"first", "again", "another", "somebody"} == {"first", "somebody"}

    def test_what_was_handed_over_is_handed_over_once_for_a_key(self, up: Answering) -> None:
        first = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
        again = up.post(ENGLISH, idempotency_key="handed", prefer="respond-async")
        assert (again.status_code, again.content, again.headers["location"]) == (202, first.content, first.headers["location"])
        assert again.headers["idempotent-replayed"] == "true"
        assert_agrees("english", outputs_of(up.answer(assert_accepted(first))))

    def test_a_key_whose_first_request_is_under_way_is_in_conflict_and_its_answer_is_replayed(self, up: Answering) -> None:
        with up.one_call_held(3):
            first = up.later(ENGLISH, idempotency_key="two")
        meanwhile = up.post(ENGLISH, idempotency_key="two")
        assert not first.done()
        assert (meanwhile.status_code, meanwhile.headers["content-type"]) == (409, "application/problem+json")
        assert int(meanwhile.headers["retry-after"]) >= 1
        answered = first.result()
        assert answered.status_code == up.held, answered.text
        again = up.post(ENGLISH, idempotency_key="two")
        assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (up.held, answered.content, "true")

    def test_an_answer_comes_although_its_worker_was_killed(self, up: Answering) -> None:
        with up.one_call_held(60):
            url = assert_accepted(up.post(ENGLISH, prefer="respond-async"))
        workers = up.observed.processes(up.worker)
        assert workers
        for pid in workers:
            psutil.Process(pid).kill()
        up.observed.wait(lambda: not workers.keys() & up.observed.processes().keys(), "the end of the workers")
        assert up.get(url).status_code == 202
        up.deployment.twin("clock", {"advance_s": UNSEEN_S})
        assert_agrees("english", outputs_of(up.answer(url)))

    def test_a_dead_letter_is_told_to_its_caller_and_answered_after_a_replay(self, up: Answering) -> None:
        up.faulty({"error": 1})
        url = assert_accepted(up.post(CHINESE, prefer="respond-async"))
        up.deployment.twin("clock", {"advance_s": ATTEMPTS_S})
        failed = up.answer(url)
        assert (failed.status_code, failed.headers["content-type"]) == (up.failed, "application/problem+json")
        up.faulty()
        replayed = json.loads(up.deployment.run("replay", up.stack, "--json").stdout)
        assert (replayed["deadLetters"], replayed["moved"], replayed["left"]) == (1, 1, 0)
        [letter] = replayed["letters"]
        assert url.endswith(letter["answer"])
        assert letter["reason"]
        up.observed.wait(lambda: up.get(url).status_code == 200, "the answer after the replay")
        assert_agrees("chinese", outputs_of(up.get(url)))
