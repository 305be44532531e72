"""The role `events`: events of blobs in, one result each out, and dead letters for what gets none."""

import json
import time

import pytest

from handlers.functions import problems
from handlers.functions.azure.consuming import CUT_OFF, GRANTS_S
from handlers.functions.azure.event_settings import EventSettings
from handlers.functions.azure.events import LEAST_ATTEMPTS
from handlers.functions.azure.messages import NOTE
from handlers.functions.azure.results import QUEUE_INLINE_BYTES
from handlers.functions.endpoint import EndpointAnswer, NotLetIn
from handlers.functions.environment import SettingsError
from handlers.functions.rows import INLINE_BYTES
from tests.parts.handlers.azure.event_world import MAX_ATTEMPTS, World, once

REPLACED = "The object can't be read: it was replaced, or its metadata or properties changed."
DENIED = {403: ({"x-ms-error-code": "AuthorizationPermissionMismatch"}, b"<Error><Code>AuthorizationPermissionMismatch</Code></Error>")}


@pytest.fixture
def world(azure, monkeypatch):
    monkeypatch.setenv("CONTAINER_APP_NAME", "mine-events")
    return World(azure)


def lines(capsys, event="object"):
    return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["event"] == event]


def put_into(world, queue):
    """The queries of what was put into a queue."""
    requests = [world.azure.asked(number) for number in range(len(world.front.seen))]
    return [query for method, path, query, _ in requests if (method, path) == ("POST", f"/queue/mine/{queue}/messages")]


def refusing(world, service, role, statuses):
    """Refuse the next requests of one service of the account; others go through."""
    left = list(statuses)

    def guard(headers):
        path = world.front.seen[-1][1]
        return left.pop(0) if left and path.startswith(f"/{service}/mine") else None

    world.front.guard = guard
    once(role, world)
    world.front.guard = lambda headers: None
    return left


def test_an_object_becomes_a_row_and_a_pointer(world, capsys):
    event = world.put("in/a b.txt", "some text")
    once(world.role(), world)
    data = event["data"]
    row, pointer = world.rows()["in/a b.txt", data["eTag"]], world.rows()["in/a b.txt", "#latest"]
    assert row == {
        "object": "objects/in/a b.txt",
        "version": data["eTag"],
        "sequencer": data["sequencer"].zfill(64),
        "etag": data["eTag"],
        "size": 9,
        "task": "sentence-embedding",
        "at": row["at"],
        "requestId": data["requestId"],
        "result": '{"outputs":[9]}',
    }
    assert (pointer["latest"], pointer["sequencer"], len(world.rows())) == (data["eTag"], row["sequencer"], 2)
    assert (world.held(), world.sent(), world.dead()) == ([], [], [])
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["outcome"], line["attempt"]) for line in out if line["event"] == "object"] == [("recorded", 1)]
    assert [line["ObjectsProcessed"] for line in out if line["event"] == "metrics"] == [1]


def test_a_new_object_takes_these_calls_and_no_other(world):
    world.put("a.txt")
    role = world.role()
    world.front.seen.clear()
    once(role, world)
    told = [(method, path.partition("?")[0].partition("(")[0]) for method, path, _ in world.front.seen]
    assert told[:4] == [
        ("GET", "/queue/mine/events/messages"),
        ("GET", "/table/mine/results"),
        ("GET", "/blob/mine/objects/a.txt"),
        ("POST", "/table/mine/$batch"),
    ]
    assert told[4][0] == "DELETE"
    assert len(told) == 5


def test_an_event_that_comes_twice_is_predicted_once(world, capsys):
    event, role = world.put("a.txt"), world.role()
    once(role, world)
    world.send(event)
    once(role, world)
    assert len(world.model.requests) == 1
    assert [line["outcome"] for line in lines(capsys)] == ["recorded", "known"]
    assert world.held() == []


def test_the_newest_sequencer_wins_in_whatever_order_they_come(world):
    events = [world.put("a.txt", text, sends=False) for text in ("old", "middle", "new")]
    role = world.role()
    for place in (2, 0, 1):
        # As if the account kept every one: each is read under its own ETag.
        world.account.blobs.blobs["objects/a.txt"].sort(key=lambda blob, place=place: blob.etag.strip('"') == events[place]["data"]["eTag"])
        world.send(events[place])
        once(role, world)
    assert len(world.results()) == 3
    assert world.rows()["a.txt", "#latest"]["latest"] == events[2]["data"]["eTag"]


def test_what_was_deleted_meanwhile_is_a_dead_letter_at_once(world):
    world.put("a.txt")
    del world.account.blobs.blobs["objects/a.txt"]
    once(world.role(), world)
    (letter,) = world.dead()
    assert letter["reason"] == "The object can't be read: it was deleted, or replaced in an account that keeps no versions."
    assert (letter["permanent"], letter["attempts"], world.results()) == (True, 1, [])


@pytest.mark.parametrize("deleted", [False, True])
def test_what_was_replaced_is_passed_over_once_what_replaced_it_has_its_result(world, capsys, deleted):
    old, new = world.put("a.txt", "old"), world.put("a.txt", "new", sends=False)
    role = world.role()
    once(role, world)
    (line,) = lines(capsys)
    assert (line["outcome"], line["reason"], line["attempt"]) == ("failed", REPLACED, 1)
    assert (len(world.held()), world.dead()) == (1, []), "what replaced it may still come"
    [waiting] = world.account.queues.queues["events"]
    world.account.queues.queues["events"].clear()
    world.send(new)
    once(role, world)
    if deleted:
        del world.account.blobs.blobs["objects/a.txt"]
    world.account.queues.queues["events"].append(waiting)
    once(role, world)
    assert (world.held(), world.dead(), world.results()) == ([], [], [("a.txt", new["data"]["eTag"])])
    world.send(old)
    capsys.readouterr()
    once(role, world)
    (line,) = lines(capsys)
    assert line["outcome"] == "passed-over"
    assert "what replaced it has its result" in line["reason"]
    assert (world.held(), world.dead(), len(world.model.requests)) == ([], [], 1)


def test_what_replaced_it_and_has_no_result_leaves_both_among_the_dead_letters(world):
    world.put("a.txt", "old")
    world.put("a.txt", "{", "application/json")
    role = world.role()
    for _ in range(LEAST_ATTEMPTS):
        once(role, world)
    assert [letter["attempts"] for letter in sorted(world.dead(), key=lambda letter: letter["attempts"])] == [1, LEAST_ATTEMPTS]
    assert (world.held(), world.results()) == ([], [])


def test_what_replaced_it_may_take_longer_than_the_attempts_of_what_was_replaced(world):
    """A model that starts for minutes, say."""
    world.put("a.txt", "old")
    new, role = world.put("a.txt", "new", sends=False), world.role()
    for _ in range(MAX_ATTEMPTS):
        once(role, world)
    assert (len(world.held()), world.dead()) == (1, [])
    world.send(new)
    for _ in range(2):
        once(role, world)
    assert (world.held(), world.dead(), world.results()) == ([], [], [("a.txt", new["data"]["eTag"])])


def test_it_is_the_last_attempt_that_what_was_replaced_is_spared(world):
    """So what fails for another reason then has no more of them than any other."""
    world.put("a.txt")
    stored = world.account.blobs.blobs["objects/a.txt"][-1]
    world.account.blobs.change("objects/a.txt")
    role = world.role()
    for _ in range(MAX_ATTEMPTS + 1):
        once(role, world)
    assert [each[NOTE]["spared"] for each in world.held()] == [2]
    world.account.blobs.blobs["objects/a.txt"].append(stored)
    world.model.failing = problems.ModelFailed("It failed.")
    once(role, world)
    (letter,) = world.dead()
    assert (letter["reason"], letter["attempts"], world.held()) == ("It failed.", MAX_ATTEMPTS + 2, [])


def test_an_account_that_does_not_say_what_became_of_it_is_asked_again(world):
    world.put("a.txt", "old")
    new = world.put("a.txt", "new")
    role = world.role()
    world.front.guard = lambda headers: 503 if world.front.seen[-1][0] == "HEAD" else None
    once(role, world)
    assert (len(world.held()), world.dead()) == (1, [])
    world.front.guard = lambda headers: None
    once(role, world)
    assert (world.held(), world.dead(), world.results()) == ([], [], [("a.txt", new["data"]["eTag"])])


def test_what_is_set_on_a_blob_after_its_upload_is_named_as_what_may_have_been(world):
    """It moves the ETag and brings no event: nobody replaced this one."""
    world.put("a.txt")
    world.account.blobs.change("objects/a.txt")
    role = world.role()
    for _ in range(LEAST_ATTEMPTS):
        assert world.dead() == []
        once(role, world)
    (letter,) = world.dead()
    assert letter["reason"] == REPLACED
    assert (letter["attempts"], world.results(), world.held()) == (LEAST_ATTEMPTS, [], [])


@pytest.mark.parametrize("has_its_result", [False, True])
def test_what_was_replaced_is_tried_as_often_where_its_last_attempt_was_cut_off(world, has_its_result):
    world.put("a.txt", "old")
    role = world.role()
    if has_its_result:
        newer = world.put("a.txt", "new", sends=False)
        [old] = world.account.queues.queues["events"]
        world.account.queues.queues["events"].clear()
        world.send(newer)
        once(role, world)
        world.account.queues.queues["events"].append(old)
    else:
        world.account.blobs.change("objects/a.txt")
    for _ in range(MAX_ATTEMPTS):
        world.again()
        role.consumer._queue.get(unseen_s=30)
    once(role, world)
    assert (world.dead(), len(world.held())) == ([], 0 if has_its_result else 1)
    once(role, world)
    assert [(letter["reason"], letter["attempts"]) for letter in world.dead()] == [(CUT_OFF, LEAST_ATTEMPTS)] * (not has_its_result)


def test_many_attempts_are_not_made_fewer_for_what_was_replaced(world):
    world.put("a.txt")
    world.account.blobs.change("objects/a.txt")
    role = world.role(MAX_ATTEMPTS=str(LEAST_ATTEMPTS + 1))
    for _ in range(LEAST_ATTEMPTS + 1):
        assert world.dead() == []
        once(role, world)
    assert [letter["attempts"] for letter in world.dead()] == [LEAST_ATTEMPTS + 1]


def test_results_go_to_the_queue_once_and_are_marked(world):
    event, role = world.put("a.txt"), world.role(RESULTS="table,queue")
    once(role, world)
    world.send(event)
    once(role, world)
    (message,) = world.sent()
    row = world.rows()["a.txt", message["version"]]
    assert row["published"] is True
    assert message == {key: value for key, value in row.items() if key not in ("published", "result")} | {"result": {"outputs": [9]}}
    # Its row says that it was sent, so nobody sends it again: it stays until somebody takes it.
    assert [query["messagettl"] for query in put_into(world, "results")] == [["-1"]]


def test_a_result_that_could_not_be_sent_is_sent_with_the_next_attempt(world):
    world.put("a.txt")
    role = world.role(RESULTS="queue")
    held = world.account.queues.queues.pop("results")
    once(role, world)
    world.account.queues.queues["results"] = held
    assert (world.sent(), len(world.held()), len(world.results())) == ([], 1, 1)
    once(role, world)
    assert (len(world.sent()), len(world.model.requests), world.held()) == (1, 1, [])


@pytest.mark.parametrize(("results", "size", "inline"), [("table", 60_000, True), ("queue", 60_000, False), ("table", INLINE_BYTES, False)])
def test_a_large_result_lies_in_the_container(world, monkeypatch, results, size, inline):
    monkeypatch.setattr(world.model, "invoke", lambda *_, **__: EndpointAnswer(b'{"outputs":["' + b"x" * size + b'"]}', {}))
    world.put("a.txt")
    once(world.role(RESULTS=results), world)
    (row,) = (world.rows()[id_] for id_ in world.results())
    assert ("result" in row) == inline
    if not inline:
        name = row["resultUri"].removeprefix(f"{world.azure.url('blob')}/")
        assert name.startswith("results/results/")
        (stored,) = world.account.blobs.blobs[name]
        assert (len(json.loads(stored.body)["outputs"]), stored.content_type) == (size, "application/json")
    assert [message.get("resultUri") for message in world.sent()] == ([row["resultUri"]] if results == "queue" else [])


def test_a_message_of_the_largest_row_that_is_sent_inline_fits(world, monkeypatch):
    text = b"x" * (QUEUE_INLINE_BYTES - len(b'{"outputs":""}'))
    monkeypatch.setattr(world.model, "invoke", lambda *_, **__: EndpointAnswer(b'{"outputs":["' + text + b'"]}', {}))
    key = "\U0001f600" * 1024
    world.put(key)
    once(world.role(RESULTS="queue"), world)
    (message,) = world.sent()
    assert len(message["result"]["outputs"]) == len(text)
    assert message["object"] == f"objects/{key}"


def test_an_object_that_is_refused_is_a_dead_letter_at_once(world, capsys):
    event = world.put("bad.txt", "bad")
    [message] = world.account.queues.queues["events"]
    once(world.role(), world)
    (letter,) = world.dead()
    assert letter == {
        "event": event,
        "reason": "bad is not what the model takes.",
        "attempts": 1,
        "permanent": True,
        "requestId": event["data"]["requestId"],
        "messageId": message.id,
        "at": letter["at"],
    }
    assert world.held() == []
    assert [line["permanent"] for line in lines(capsys, "dead_letter")] == [True]


@pytest.mark.parametrize("problem", [problems.NotReady, problems.Throttled, problems.DeadlineExceeded, problems.ModelFailed])
def test_what_may_go_well_later_comes_again_until_the_last_attempt(world, capsys, problem):
    event, role = world.put("a.txt"), world.role()
    world.model.failing = problem("Not now.")
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert world.dead() == []
        before = time.time()
        once(role, world)
        if attempt < MAX_ATTEMPTS:
            (paused,) = world.account.queues.queues["events"]
            assert 5 * 4 ** (attempt - 1) - 1 <= paused.seen_at - before <= 10 * 4 ** (attempt - 1) + 5
    (letter,) = world.dead()
    assert (letter["reason"], letter["attempts"], letter["permanent"], letter["event"]) == ("Not now.", 3, False, event)
    assert [line["attempt"] for line in lines(capsys)] == [1, 2, 3]
    assert world.held() == []


def test_a_right_that_is_missing_costs_no_attempt_for_an_hour(world):
    world.put("a.txt")
    role = world.role()
    world.model.failing = NotLetIn("Not now.")
    for _ in range(2 * MAX_ATTEMPTS):
        once(role, world)
    assert (world.dead(), world.held()[0][NOTE]["spared"]) == ([], 2 * MAX_ATTEMPTS)
    world.model.failing = problems.ModelFailed("Failed.")
    for _ in range(MAX_ATTEMPTS - 1):
        once(role, world)
    world.model.failing = NotLetIn("Not now.")
    once(role, world)
    assert world.dead() == []
    role.consumer._now = lambda: time.time() + GRANTS_S + 1
    once(role, world)
    (letter,) = world.dead()
    assert (letter["reason"], letter["attempts"]) == ("Not now.", 3 * MAX_ATTEMPTS + 1)
    assert NOTE not in letter["event"]


@pytest.mark.parametrize("service", ["table", "blob"])
def test_storage_that_lets_nobody_in_yet_costs_no_attempt_either(world, service):
    world.put("a.txt")
    role = world.role()
    world.front.said = DENIED
    for _ in range(MAX_ATTEMPTS + 1):
        assert refusing(world, service, role, [403]) == []
    assert (world.dead(), world.held()[0][NOTE]["spared"], world.model.requests) == ([], MAX_ATTEMPTS + 1, [])
    once(role, world)
    assert (len(world.results()), world.held()) == (1, [])


@pytest.mark.parametrize("barred", [("POST", "/queue/mine/results"), ("PATCH", "/table/mine/")], ids=["sending", "marking"])
def test_a_queue_of_results_that_lets_nobody_in_yet_costs_no_attempt_either(world, barred):
    world.put("a.txt")
    role, (method, path) = world.role(RESULTS="table,queue"), barred
    world.front.said = DENIED
    world.front.guard = lambda headers: 403 if (seen := world.front.seen[-1])[0] == method and seen[1].startswith(path) else None
    for _ in range(MAX_ATTEMPTS + 1):
        once(role, world)
    assert (world.dead(), world.held()[0][NOTE]["spared"], len(world.model.requests)) == ([], MAX_ATTEMPTS + 1, 1)
    assert "AuthorizationPermissionMismatch" in world.held()[0][NOTE]["last"]
    world.front.guard = lambda headers: None
    once(role, world)
    assert (len(world.results()), world.held(), bool(world.sent())) == (1, [], True)


def test_a_table_that_does_not_answer_asks_no_model_and_costs_an_attempt(world):
    world.put("a.txt")
    role = world.role()
    assert refusing(world, "table", role, [503] * 4) == []
    assert (world.model.requests, world.dead(), len(world.held())) == ([], [], 1)
    assert NOTE in world.held()[0]
    once(role, world)
    assert (len(world.results()), world.held()) == (1, [])


def test_a_dead_letter_that_is_put_back_gets_every_attempt_again(world):
    world.put("a.txt")
    role = world.role()
    world.model.failing = problems.ModelFailed("Not now.")
    for _ in range(MAX_ATTEMPTS):
        once(role, world)
    (letter,) = world.dead()
    world.send(letter["event"])
    for _ in range(MAX_ATTEMPTS - 1):
        once(role, world)
    world.model.failing = None
    once(role, world)
    assert (len(world.results()), len(world.dead()), world.held()) == (1, 1, [])


def test_attempts_that_ended_without_a_word_are_counted(world, capsys):
    """As when a replica is killed: the queue shows the message again, and nobody has written anything into it."""
    world.put("a.txt")
    role = world.role()
    for _ in range(MAX_ATTEMPTS):
        world.again()
        assert len(role.consumer._queue.get(unseen_s=30)) == 1
    once(role, world)
    # Each of them killed its replica: there is not one more.
    (letter,) = world.dead()
    assert (letter["reason"], letter["attempts"], world.model.requests) == (CUT_OFF, MAX_ATTEMPTS + 1, [])
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line["object"], line["outcome"], line["reason"], line["attempt"]) for line in out if line["event"] == "object"]
    assert told == [("objects/a.txt", "failed", CUT_OFF, MAX_ATTEMPTS + 1)]
    assert [line["ObjectsFailed"] for line in out if "ObjectsFailed" in line] == [1]


def test_a_last_attempt_that_recorded_its_result_and_was_cut_off_is_no_dead_letter(world):
    event = world.put("a.txt")
    role = world.role()
    once(role, world)
    world.send(event)
    for _ in range(MAX_ATTEMPTS):
        world.again()
        role.consumer._queue.get(unseen_s=30)
    # Nobody can say yet, and then somebody can.
    assert refusing(world, "table", role, [503] * 4) == []
    assert (world.dead(), len(world.held())) == ([], 1)
    once(role, world)
    assert (world.dead(), world.held(), len(world.model.requests)) == ([], [], 1)


def test_a_dead_letter_that_can_not_be_sent_is_sent_later_with_its_reason_and_asks_no_model(world):
    world.put("bad.txt", "bad")
    role, dead = world.role(), world.account.queues.queues.pop("dead")
    for _ in range(MAX_ATTEMPTS + 2):
        once(role, world)
    world.account.queues.queues["dead"] = dead
    assert len(world.held()) == 1
    once(role, world)
    (letter,) = world.dead()
    assert (letter["reason"], letter["permanent"], world.held()) == ("bad is not what the model takes.", True, [])
    assert len(world.model.requests) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff", "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "is worked on"),
        (b'{"eventType": "Microsoft.Storage.BlobCreated"}', "KeyError"),
    ],
)
def test_a_message_that_is_no_event_is_a_dead_letter_at_once(world, capsys, body, reason):
    world.send(body)
    once(world.role(), world)
    (letter,) = world.dead()
    assert reason in letter["reason"]
    assert (letter["permanent"], world.held()) == (True, [])
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["permanent"] for line in out if line["event"] == "message"] == [True]
    assert [line["ObjectsFailed"] for line in out if "ObjectsFailed" in line] == [1]


def test_what_the_filters_leave_out_is_passed_over(world):
    role = world.role(OBJECT_PREFIX="in/", OBJECT_SUFFIXES=".txt,.json", MIN_OBJECT_BYTES="3", MAX_OBJECT_BYTES="20")
    for key, body in {"in/a.txt": "fine", "in/b.png": "no", "out/a.txt": "no", "in/c.txt": "12", "in/d.txt": "x" * 21}.items():
        world.put(key, body)
    world.put("in/e.txt", data={"api": "CreateFile"})
    once(role, world)
    assert [key for key, _ in world.results()] == ["in/a.txt"]
    assert [letter["reason"] for letter in world.dead()] == ["The object has 21 bytes: 20 are allowed."]
    assert (len(world.model.requests), world.held()) == (1, [])


def test_an_object_with_a_text_that_fits_no_request_is_named(world):
    event = world.put("a.txt", "x" * 500)
    once(world.role(MAX_BODY_BYTES="100"), world)
    assert world.model.requests == [{"inputs": {"uri": f"{world.azure.blob('objects/a.txt')}?etag={event['data']['eTag']}"}}]


def test_bad_variables_are_refused_all_at_once(world):
    told = world.variables(EVENTS_QUEUE_URL="events", RESULTS="files", VISIBILITY_S="0", MAX_ATTEMPTS="", RESULTS_TABLE_URL="https://x")
    expected = r"(?s)VISIBILITY_S is '0'.*RESULTS is 'files'.*EVENTS_QUEUE_URL is 'events'.*RESULTS_TABLE_URL is 'https://x'"
    with pytest.raises(SettingsError, match=expected):
        EventSettings.from_environment(told)
    with pytest.raises(SettingsError, match="RESULTS_QUEUE_URL is not set"):
        EventSettings.from_environment({**world.variables(RESULTS="queue"), "RESULTS_QUEUE_URL": ""})
