"""The role `events`: events of Cloud Storage in, one result each out, and dead letters for what gets none."""

import json
import threading
import time

import grpc
import pytest

from handlers.functions import problems
from handlers.functions.deadline import Until
from handlers.functions.endpoint import EndpointAnswer, NotLetIn
from handlers.functions.environment import SettingsError
from handlers.functions.gcp import object_events
from handlers.functions.gcp.event_settings import EventSettings
from handlers.functions.gcp.storage import Storage
from handlers.functions.http_request import HttpRequest
from handlers.functions.outcomes import Outcome
from handlers.functions.rows import INLINE_BYTES
from handlers.functions.versions import Delivery
from tests.parts.handlers.gcp.event_world import MAX_ATTEMPTS, World, deliver, pushed, replayed

GONE = grpc.StatusCode.UNAVAILABLE
DENIED = grpc.StatusCode.PERMISSION_DENIED


@pytest.fixture
def google(cloud_storage, firestore, topics, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud_storage)
    monkeypatch.setenv("K_SERVICE", "mine")
    monkeypatch.delenv("GCE_METADATA_HOST", raising=False)
    return World(cloud_storage, firestore, topics)


def lines(capsys, event="object"):
    return [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["event"] == event]


def test_an_object_becomes_a_document_and_a_pointer(google, capsys):
    request = google.put("in/a b.txt", "some text")
    assert deliver(google.role(), request) == 200
    documents, generation = google.documents(), json.loads(request.body)["generation"]
    row, pointer = documents["in/a b.txt", generation], documents["in/a b.txt", "#latest"]
    assert len(documents) == 2
    assert row == {
        "object": f"{google.objects.name}/in/a b.txt",
        "version": generation,
        "sequencer": generation.zfill(20),
        "etag": f"etag-{generation}",
        "size": 9,
        "task": "sentence-embedding",
        "at": row["at"],
        "requestId": request.headers["ce-id"],
        "result": '{"outputs":[9]}',
    }
    assert (pointer["latest"], pointer["sequencer"]) == (generation, row["sequencer"])
    assert (google.attempts(), google.sent(), google.dead()) == ([], [], [])
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["outcome"], line["attempt"], line["severity"]) for line in out if line["event"] == "object"] == [("recorded", 1, "INFO")]
    assert [line["ObjectsProcessed"] for line in out if line["event"] == "metrics"] == [1]


def test_a_new_object_takes_three_calls_of_the_database(google):
    role = google.role()
    google.firestore.calls.clear()
    assert deliver(role, google.put("a.txt")) == 200
    assert google.firestore.calls == ["Commit", "BatchGetDocuments", "Commit"]
    assert google.attempts() == []


def test_an_attempt_ends_with_its_result_or_not_at_all(google):
    """The commit that makes the result ends the attempt: what keeps it from happening leaves both as they were."""
    request, role = google.put("a.txt"), google.role()

    def before(method):
        if google.firestore.calls.count("Commit") == 2 and method == "Commit":
            google.firestore.before = lambda method: None
            google.firestore.failing = [("Commit", DENIED, False)]

    google.firestore.calls.clear()
    google.firestore.before = before
    assert deliver(role, request) == 503
    (attempt,) = google.attempts()
    assert (attempt["attempts"], attempt["ends"], google.documents()) == (1, 0.0, {})
    assert deliver(role, request) == 200
    assert (google.attempts(), len(google.documents())) == ([], 2)


def test_an_event_of_an_object_that_another_event_brought_leaves_no_attempt(google):
    role, request = google.role(), google.put("a.txt")
    again = HttpRequest(request.method, request.path, {**request.headers, "ce-id": "another"}, request.body, None)
    assert [deliver(role, each) for each in (request, again)] == [200, 200]
    assert (google.attempts(), len(google.model.requests)) == ([], 1)


def test_an_event_that_comes_twice_is_predicted_once(google, capsys):
    request, role = google.put("a.txt"), google.role()
    assert [deliver(role, request) for _ in range(2)] == [200, 200]
    assert len(google.model.requests) == 1
    assert [line["outcome"] for line in lines(capsys)] == ["recorded", "known"]


def test_the_newest_generation_wins_in_whatever_order_they_come(google):
    old, middle, new = (google.put("a.txt", text) for text in ("old", "middle", "new"))
    # The store keeps the newest one alone, as a bucket without versions does: the others are gone.
    role = google.role()
    for request in (new, old, middle):
        assert deliver(role, request) == 200
    newest = json.loads(new.body)["generation"]
    assert google.documents()["a.txt", "#latest"]["latest"] == newest
    assert {message.attributes["reason"] for message in google.dead()} == {
        "The object can't be read: it was deleted, or replaced in a bucket that keeps no versions."
    }
    assert {message.attributes["permanent"] for message in google.dead()} == {"true"}


def test_results_go_to_the_topic_once_and_are_marked(google):
    request, role = google.put("a.txt"), google.role(RESULTS="table,queue")
    assert [deliver(role, request) for _ in range(2)] == [200, 200]
    (message,) = google.sent()
    document = google.documents()["a.txt", message["version"]]
    assert document["published"] is True
    assert message == {key: value for key, value in document.items() if key not in ("published", "result")} | {"result": {"outputs": [9]}}


def test_a_result_that_could_not_be_sent_is_sent_with_the_next_delivery(google):
    request, role = google.put("a.txt"), google.role(RESULTS="queue")
    google.topics.failing = [("Publish", DENIED, False)]
    assert deliver(role, request) == 503
    assert google.sent() == []
    assert deliver(role, request) == 200
    assert (len(google.sent()), len(google.model.requests)) == (1, 1)


def test_a_large_result_lies_in_the_bucket(google, monkeypatch):
    monkeypatch.setattr(google.model, "invoke", lambda *_, **__: EndpointAnswer(b'{"outputs":["' + b"x" * INLINE_BYTES + b'"]}', {}))
    assert deliver(google.role(RESULTS="queue"), google.put("a.txt")) == 200
    (message,) = google.sent()
    bucket, _, name = message["resultUri"].removeprefix("gs://").partition("/")
    assert bucket == google.large.name
    with Storage().open(bucket, name) as stored:
        assert (stored.size > INLINE_BYTES, stored.content_type) == (True, "application/json")
    assert "result" not in message


def test_an_object_that_is_refused_is_a_dead_letter_at_once(google, capsys):
    request = google.put("bad.txt", "bad")
    assert deliver(google.role(), request) == 200
    (letter,) = google.dead()
    assert (letter.data, letter.attributes["ce-id"]) == (request.body, request.headers["ce-id"])
    told = (letter.attributes["reason"], letter.attributes["attempts"], letter.attributes["replay"])
    assert told == ("bad is not what the model takes.", "1", "none")
    assert google.attempts() == []
    assert [line["permanent"] for line in lines(capsys, "dead_letter")] == [True]


@pytest.mark.parametrize("problem", [problems.NotReady, problems.Throttled, problems.DeadlineExceeded, problems.ModelFailed])
def test_what_may_go_well_later_comes_again_until_the_last_attempt(google, capsys, problem):
    request, role = google.put("a.txt"), google.role()
    google.model.failing = problem("Not now.")
    assert [deliver(role, request) for _ in range(MAX_ATTEMPTS)] == [503, 503, 200]
    (letter,) = google.dead()
    assert (letter.attributes["reason"], letter.attributes["attempts"], letter.attributes["permanent"]) == ("Not now.", "3", "false")
    assert [line["attempt"] for line in lines(capsys)] == [1, 2, 3]
    assert google.attempts() == []


def test_an_endpoint_that_lets_nobody_in_costs_no_attempt_for_an_hour(google):
    request, role = google.put("a.txt"), google.role()
    google.model.failing = NotLetIn("Not now.")
    assert [deliver(role, request) for _ in range(2 * MAX_ATTEMPTS)] == [503] * 2 * MAX_ATTEMPTS
    google.model.failing = problems.ModelFailed("Failed.")
    assert [deliver(role, request) for _ in range(MAX_ATTEMPTS - 1)] == [503] * (MAX_ATTEMPTS - 1)
    google.model.failing = NotLetIn("Not now.")
    assert deliver(role, request) == 503
    assert google.dead() == []
    later(role, 3601)
    assert deliver(role, request) == 200
    (letter,) = google.dead()
    assert (letter.attributes["reason"], letter.attributes["attempts"]) == ("Not now.", str(3 * MAX_ATTEMPTS + 1))


def test_an_endpoint_lets_in_what_it_kept_out_before(google):
    request, role = google.put("a.txt"), google.role()
    google.model.failing = NotLetIn("Not now.")
    assert [deliver(role, request) for _ in range(MAX_ATTEMPTS + 1)] == [503] * (MAX_ATTEMPTS + 1)
    google.model.failing = None
    assert (deliver(role, request), len(google.documents()), google.dead()) == (200, 2, [])


def test_a_dead_letter_that_is_replayed_gets_every_attempt_again(google):
    request, role = google.put("a.txt"), google.role()
    google.model.failing = problems.ModelFailed("Not now.")
    for _ in range(MAX_ATTEMPTS):
        deliver(role, request)
    (letter,) = google.dead()
    again = replayed(letter)
    assert [deliver(role, again) for _ in range(2)] == [503, 503]
    google.model.failing = None
    assert deliver(role, again) == 200
    assert len(google.documents()) == 2
    assert len(google.dead()) == 1


def test_a_letter_that_is_replayed_in_vain_is_a_dead_letter_again_and_can_be_replayed(google):
    role = google.role()
    deliver(role, google.put("bad.txt", "bad"))
    assert deliver(role, replayed(google.dead()[0])) == 200
    first, second = google.dead()
    assert second.attributes["replay"] == "1", "the id of the message that it was pushed in"
    assert (second.data, {**second.attributes, "replay": "none"}) == (first.data, {**first.attributes})


def test_a_delivery_that_comes_while_another_one_works_is_neither_worked_on_nor_counted(google):
    request, role = google.put("a.txt"), google.role()
    began, go = threading.Event(), threading.Event()
    invoke = google.model.invoke

    def slow(*arguments, **more):
        began.set()
        assert go.wait(20)
        return invoke(*arguments, **more)

    google.model.invoke = slow
    answers = []
    working = threading.Thread(target=lambda: answers.append(deliver(role, request)))
    working.start()
    assert began.wait(20)
    assert [deliver(role, request) for _ in range(MAX_ATTEMPTS + 1)] == [503] * (MAX_ATTEMPTS + 1)
    assert [document["attempts"] for document in google.attempts()] == [1]
    go.set()
    working.join()
    assert answers == [200]
    assert (len(google.model.requests), google.dead()) == (1, [])


def test_what_was_delivered_and_comes_again_asks_no_model_and_becomes_no_second_dead_letter(google, capsys):
    """As when a last attempt took longer than the push's deadline: its 200 was said to nobody, a day long."""
    role, failing, refused = google.role(), google.put("a.txt"), google.put("bad.txt", "bad")
    unread = google.event("c.txt", "1", 1, size=None)
    google.model.failing = problems.ModelFailed("Not now.")
    assert [deliver(role, failing) for _ in range(MAX_ATTEMPTS)] == [503, 503, 200]
    google.model.failing = None
    recorded = google.put("d.txt")
    assert [deliver(role, each) for each in (refused, unread, recorded)] == [200] * 3
    asked, dead, documents = len(google.model.requests), len(google.dead()), google.documents()
    capsys.readouterr()
    later(role, 24 * 3600)
    assert [deliver(role, each) for each in (failing, refused, unread, recorded) * 2] == [200] * 8
    assert (len(google.model.requests), len(google.dead()), google.documents()) == (asked, dead, documents)
    assert (google.attempts(), len(google.over())) == ([], 4)
    told = [(line["object"].rpartition("/")[2], line["outcome"], line["attempt"]) for line in lines(capsys)]
    assert told == [("a.txt", "passed-over", 3), ("bad.txt", "passed-over", 1), ("d.txt", "known", 1)] * 2


@pytest.mark.parametrize("ends", ["over", "failed"])
def test_an_attempt_whose_time_is_over_neither_frees_nor_ends_a_newer_one(google, ends):
    attempts = google.role()._attempts
    stale = attempts.begin("event", seconds=-1)
    newer = attempts.begin("event", seconds=60)
    assert (stale.number, newer.number) == (1, 2)
    getattr(attempts, ends)("event", stale, Outcome("failed", "Late."))
    assert attempts.begin("event", seconds=60) is None
    attempts.failed("event", newer, Outcome("failed", "In time."))
    third = attempts.begin("event", seconds=60)
    assert (third.number, third.last) == (3, Outcome("failed", "In time."))


def test_an_attempt_ends_although_its_document_was_written_meanwhile(google):
    """By whom does not matter while it is this attempt's; the answer to the own commit may have been lost as well."""
    attempts = google.role()._attempts
    held = attempts.begin("event", seconds=60)
    attempts._document("event").update({"ends": 1.0})
    google.firestore.failing = [("Commit", GONE, True)]
    attempts.over("event", held, Outcome("refused", "For good."))
    again = attempts.begin("event", seconds=60)
    assert (again.over, again.number, again.last) == (True, 1, Outcome("refused", "For good."))


def later(role, seconds):
    """Let time pass for the attempts of a role."""
    object.__setattr__(role._attempts, "now", lambda: time.time() + seconds)


def test_an_attempt_that_ended_without_a_word_is_over_when_its_time_is(google, capsys):
    """As when an instance is killed: nothing runs behind the attempt."""
    request, role = google.put("a.txt"), google.role()
    for number in range(1, MAX_ATTEMPTS + 1):
        assert role._attempts.begin(object_events.read(request).key, seconds=30).number == number
        assert deliver(role, request) == 503
        later(role, 31 * number)
    # Each of them killed its instance: there is not one more.
    assert deliver(role, request) == 200
    (letter,) = google.dead()
    assert (letter.attributes["reason"], letter.attributes["attempts"]) == ("Every attempt was cut off.", str(MAX_ATTEMPTS + 1))
    assert google.model.requests == []
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line["outcome"], line["reason"], line["attempt"]) for line in out if line["event"] == "object"]
    assert told == [("failed", "Every attempt was cut off.", MAX_ATTEMPTS + 1)]
    assert [line["ObjectsFailed"] for line in out if "ObjectsFailed" in line] == [1]


def test_a_last_attempt_that_recorded_its_result_and_was_cut_off_is_no_dead_letter(google):
    request, role = google.put("a.txt"), google.role()
    event = object_events.read(request)
    for number in range(1, MAX_ATTEMPTS + 1):
        assert role._attempts.begin(event.key, seconds=0).number == number
    role._pipeline.run([Delivery(object_events.created(event), MAX_ATTEMPTS)], batch_id="b", remaining_s=lambda: 60)
    assert deliver(role, request) == 200
    assert (google.dead(), len(google.documents()), len(google.model.requests)) == ([], 2, 1)


def test_a_dead_letter_that_can_not_be_sent_is_no_delivery_and_keeps_its_reason(google):
    request, role = google.put("bad.txt", "bad"), google.role()
    google.topics.failing = [("Publish", DENIED, False)] * 3
    assert [deliver(role, request) for _ in range(4)] == [503, 503, 503, 200]
    (letter,) = google.dead()
    assert letter.attributes["reason"] == "bad is not what the model takes."
    assert letter.attributes["permanent"] == "true"


@pytest.mark.parametrize("method", ["Commit", "BatchGetDocuments"])
def test_a_database_that_does_not_answer_asks_no_model_and_costs_at_most_an_attempt(google, method):
    request, role = google.put("a.txt"), google.role()
    google.firestore.failing = [(method, DENIED, False)]
    assert deliver(role, request) == 503
    assert google.model.requests == []
    assert deliver(role, request) == 200
    assert len(google.documents()) == 2


def test_a_database_that_stumbles_is_asked_again(google):
    google.firestore.failing = [("Commit", GONE, False), ("BatchGetDocuments", GONE, False), ("Commit", GONE, False)]
    assert deliver(google.role(), google.put("a.txt")) == 200
    assert google.firestore.failing == []


def test_an_attempt_whose_commits_answer_is_lost_holds_the_event_until_its_time_is_over(google):
    request, role = google.put("a.txt"), google.role(RESULTS="table,queue")
    google.firestore.failing = [("Commit", GONE, True)]
    assert deliver(role, request) == 503
    later(role, 120)
    assert deliver(role, request) == 200
    assert (len(google.sent()), len(google.documents())) == (1, 2)


def test_a_result_whose_commits_answer_is_lost_is_recorded_once_and_sent(google):
    role, request = google.role(RESULTS="table,queue"), google.put("a.txt")
    calls = []

    def before(method):
        calls.append(method)
        # The second commit is the result's.
        if calls.count("Commit") == 2 and method == "Commit":
            google.firestore.failing = [("Commit", GONE, True)]

    google.firestore.before = before
    assert deliver(role, request) == 200
    assert (len(google.sent()), len(google.documents()), len(google.model.requests)) == (1, 2, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"generation": "soon"}, "none of Cloud Storage: ValueError"),
        ({"name": ""}, "none of Cloud Storage: TypeError"),
        ({"size": None}, "none of Cloud Storage: TypeError"),
    ],
)
def test_an_event_that_can_not_be_read_is_a_dead_letter_at_once(google, capsys, changed, reason):
    assert deliver(google.role(), google.event("a.txt", "1", 1, **changed)) == 200
    (letter,) = google.dead()
    assert reason in letter.attributes["reason"]
    out = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["permanent"] for line in out if line.get("event") == "message"] == [True]
    assert [line["ObjectsFailed"] for line in out if "ObjectsFailed" in line] == [1]


def test_another_type_of_event_is_a_dead_letter_too(google):
    request = pushed(b"{}", 1, google.objects.name, **{"ce-type": "google.cloud.storage.object.v1.deleted"})
    assert deliver(google.role(), request) == 200
    assert "is worked on" in google.dead()[0].attributes["reason"]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (HttpRequest("POST", "/", {}, b"{}", None), 400),
        (HttpRequest("POST", "/", {"ce-id": "1"}, b"{}", None), 400),
        (HttpRequest("POST", "/", {}, b'{"message": {"data": "!", "messageId": "1"}}', None), 400),
        (HttpRequest("POST", "/", {}, b'{"message": {"data": "", "messageId": "1", "attributes": {"ce-id": "1"}}}', None), 400),
        (HttpRequest("GET", "/", {}, b"", None), 405),
        (HttpRequest("POST", "/predict", {}, b"", None), 404),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_event_is_refused(google, request_, status):
    assert deliver(google.role(), request_) == status
    assert google.dead() == []


def test_a_name_too_long_for_an_attribute_still_becomes_a_dead_letter(google):
    request = pushed(json.dumps({"bucket": "b", "name": "bad"}).encode(), 1, "b", **{"ce-subject": "objects/" + "ä" * 600})
    assert deliver(google.role(), request) == 200
    (letter,) = google.dead()
    assert "ce-subject" not in letter.attributes
    assert letter.attributes["ce-id"]


def test_sizes_outside_the_limits_are_passed_over_or_dead_letters(google):
    role = google.role(MIN_OBJECT_BYTES="3", MAX_OBJECT_BYTES="20")
    assert deliver(role, google.put("small.txt", "12")) == 200
    assert google.dead() == []
    assert deliver(role, google.put("large.txt", "x" * 21)) == 200
    assert google.dead()[0].attributes["reason"] == "The object has 21 bytes: 20 are allowed."
    assert (google.model.requests, google.documents()) == ([], {})


def test_names_that_are_not_meant_are_delivered_and_nothing_is_done(google, capsys):
    role = google.role(OBJECT_PREFIX="in/", OBJECT_SUFFIXES=".txt,.json")
    for key in ("out/a.txt", "in/a.bin", "a.txt", "in/.txtx"):
        assert deliver(role, google.put(key)) == 200
    assert (google.model.requests, google.documents(), google.attempts(), google.dead(), lines(capsys)) == ([], {}, [], [], [])
    assert deliver(role, google.put("in/a.json", '"text"')) == 200
    assert len(google.model.requests) == 1


def test_a_text_that_fits_no_request_is_handed_over_by_reference(google):
    request = google.put("in/a b?.txt", "ä" * 3000)
    assert deliver(google.role(MAX_BODY_BYTES="4096"), request) == 200
    generation = json.loads(request.body)["generation"]
    assert google.model.requests == [{"inputs": {"uri": f"gs://{google.objects.name}/in/a%20b%3F.txt?generation={generation}"}}]


def test_without_time_the_model_is_not_asked(google):
    request, role = google.put("a.txt"), google.role()
    assert deliver(role, request, seconds=3) == 503
    assert google.model.requests == []


def test_a_fault_of_ours_is_logged_and_the_next_attempt_can_begin_at_once(google, capsys, monkeypatch):
    request, role = google.put("a.txt"), google.role()
    with monkeypatch.context() as patched:
        patched.setattr(role._pipeline, "run", lambda *_, **__: 1 / 0)
        assert deliver(role, request) == 500
    (fault,) = lines(capsys, "function_fault")
    assert "ZeroDivisionError" in fault["traceback"]
    assert deliver(role, request) == 200


def test_many_deliveries_at_a_time_become_one_result_each(google):
    role = google.role(RESULTS="table,queue")
    requests = [google.put(f"{index % 10}.txt", f"text {index}") for index in range(30)]
    # The last upload of each name is what the store has; each event is delivered twice.
    statuses = []
    threads = [
        threading.Thread(target=lambda request=request: statuses.append(deliver_until_done(role, request))) for request in requests * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    documents = google.documents()
    newest = {f"{index}.txt": json.loads(requests[20 + index].body)["generation"] for index in range(10)}
    assert {key: documents[key, "#latest"]["latest"] for key in newest} == newest
    assert sorted(message["object"] for message in google.sent()) == sorted(
        f"{google.objects.name}/{key}" for key, version in documents if version != "#latest"
    )


def deliver_until_done(role, request):
    for _ in range(200):
        if deliver(role, request) == 200:
            return True
        time.sleep(0.02)
    raise AssertionError("never delivered")


def test_bad_variables_are_told_together(google):
    with pytest.raises(SettingsError) as caught:
        EventSettings.from_environment(
            google.variables(RESULTS="rows", RESULTS_DATABASE="", DEAD_LETTER_TOPIC="dead", MAX_ATTEMPTS="0", ENDPOINT_URL="")
        )
    named = [line.split(" is ")[0] for line in str(caught.value).splitlines()]
    assert set(named) == {"RESULTS", "RESULTS_DATABASE", "DEAD_LETTER_TOPIC", "MAX_ATTEMPTS", "ENDPOINT_URL"}
    assert "projects/PROJECT/topics/TOPIC" in str(caught.value)


def test_only_who_sends_results_needs_their_topic(google):
    variables = google.variables()
    del variables["RESULTS_TOPIC"]
    assert EventSettings.from_environment(variables).topic is None
    with pytest.raises(SettingsError, match="RESULTS_TOPIC is not set"):
        EventSettings.from_environment(variables | {"RESULTS": "queue"})


def test_the_deadline_is_the_calls_own():
    until = Until(2)
    assert 1500 < until.get_remaining_time_in_millis() <= 2000
    assert Until(-1).get_remaining_time_in_millis() == 0
