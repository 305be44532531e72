"""The verbs on a stack of Google Cloud: objects, results, dead letters, logs, what is kept; against the twin's services."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pilotlight.cli import replay as replay_module
from pilotlight.cli import results as results_module
from pilotlight.cli import upload as upload_module
from pilotlight.cli import upload_watch
from pilotlight.cli import watch as watch_module
from pilotlight.cli.clouds import cloud_of
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.gcp import dead_letters
from pilotlight.cli.replay import replay
from pilotlight.cli.results import results
from pilotlight.cli.retention import refuse_to_lose_data
from pilotlight.cli.session import Session
from pilotlight.cli.upload import Upload, upload
from pilotlight.cli.watch import logs
from tests.parts.cli.event_stack import files
from tests.parts.cli.google_stack import BUCKET_NAME, OTHER, GoogleStack
from tests.parts.twin.gcp.account import PROJECT


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Iterator[GoogleStack]:
    monkeypatch.setattr(dead_letters, "POLL_S", 0.1)
    made = GoogleStack(session_in("local"))
    for each in (upload_module, results_module, replay_module, watch_module):
        monkeypatch.setattr(each, "open_session", lambda *_: made.session)
        monkeypatch.setattr(each, "outputs_of", lambda *_, **__: made.outputs)
    monkeypatch.setattr(Session, "resources", lambda *_: made.resources)
    yield made
    made.close()


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while the command waits: one entry for each time it sleeps."""
    steps: list[Callable[[], None]] = []
    monkeypatch.setattr(upload_watch, "DEAD_EVERY_S", 0)
    monkeypatch.setattr(upload_watch.time, "sleep", lambda seconds: steps.pop(0)() if steps else None)
    return steps


def put(*given: Path, **options: Any) -> Exit:
    return upload(Upload(stack="demo", folder=Path(), where=None, files=given, **options))


def replayed(**options: Any) -> Exit:
    return replay("demo", Path(), None, **{"dry_run": False, "rate": None, "as_json": False, **options})


def test_a_file_becomes_an_object_whose_generation_is_told(stack: GoogleStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = files(tmp_path, letter_txt="hello", body_json='{"inputs": "x"}')
    assert put(*made, as_json=True) is Exit.OK
    found = json.loads(capsys.readouterr().out)["objects"]
    assert [(one["key"], one["state"]) for one in found] == [("in/letter.txt", "uploaded"), ("in/body.json", "uploaded")]
    assert found[0]["object"] == f"{BUCKET_NAME}/in/letter.txt"
    (letter,) = stack.stored("in/letter.txt")
    assert (letter["generation"], letter["contentType"], letter["size"]) == (found[0]["version"], "text/plain", "5")
    assert stack.stored("in/body.json")[0]["contentType"] == "application/json"


def test_with_wait_each_object_is_shown_with_its_result_large_ones_too(
    stack: GoogleStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile += [lambda: None, lambda: stack.answer("in/a.txt", stack.version("in/a.txt"), {"outputs": [1]})]
    meanwhile.append(lambda: stack.answer("in/b.txt", stack.version("in/b.txt"), {"outputs": [0.5] * 1000}, large=True))
    assert put(*files(tmp_path, a_txt="aa", b_txt="bb"), wait=True, as_json=True) is Exit.OK
    found = json.loads(capsys.readouterr().out)["objects"]
    assert {one["key"]: one["result"] for one in found} == {"in/a.txt": {"outputs": [1]}, "in/b.txt": {"outputs": [0.5] * 1000}}


def test_an_object_among_the_dead_letters_is_told_with_the_letters_reason(
    stack: GoogleStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    stack.bury("in/other.txt", "1", "not this one")
    meanwhile.append(lambda: stack.bury("in/a.txt", stack.version("in/a.txt"), "The object is not UTF-8: byte 0 is 0xff."))
    assert put(*files(tmp_path, a_txt="aa"), wait=True) is Exit.ANSWERED_ERROR
    assert "is among the dead letters: The object is not UTF-8: byte 0 is 0xff." in capsys.readouterr().out
    assert len(stack.taken("dead")) == 2, "both are there for others at once"


def test_an_object_that_no_attempt_will_help_is_not_waited_for(
    stack: GoogleStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    def refused() -> None:
        line = {"event": "object", "version": stack.version("in/a.txt"), "reason": "It has no line with an input.", "permanent": True}
        stack.say(line, OTHER)
        stack.say({**line, "reason": "The endpoint did not answer.", "permanent": False})
        stack.say(line)

    meanwhile.append(refused)
    assert put(*files(tmp_path, a_txt="aa"), wait=True, as_json=True) is Exit.ANSWERED_ERROR
    found = json.loads(capsys.readouterr().out)["objects"][0]
    assert (found["state"], found["reason"]) == ("refused", "It has no line with an input.")


def test_a_bucket_that_is_gone_is_told(stack: GoogleStack, tmp_path: Path) -> None:
    stack.outputs["objectsBucket"] = "gone"
    with pytest.raises(CommandError, match=r"letter.txt can't be put into gone: .*does not exist"):
        put(*files(tmp_path, letter_txt="hello"))


def test_results_of_one_object_come_newest_first_and_pointers_are_left_out(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("7", "8", "9"):
        stack.answer("in/a.txt", version, {"outputs": [version]})
    stack.answer("in/b.txt", "1", {"outputs": []})
    assert results("demo", "in/a.txt", Path(), None, limit=100, as_json=True) is Exit.OK
    assert [row["version"] for row in json.loads(capsys.readouterr().out)] == ["9", "8", "7"]
    assert results("demo", None, Path(), None, limit=100, as_json=True) is Exit.OK
    assert [row["at"] for row in json.loads(capsys.readouterr().out)] == [f"2026-11-02T08:00:0{number}Z" for number in range(1, 5)]
    results("demo", None, Path(), None, limit=3, as_json=True)
    assert len(json.loads(capsys.readouterr().out)) == 3
    with pytest.raises(CommandError, match=r"There is no result of 'in/c\.txt' in demo/results"):
        results("demo", "in/c.txt", Path(), None, limit=1, as_json=False)


def test_more_rows_than_one_question_takes_are_found(stack: GoogleStack) -> None:
    wanted = [(f"{BUCKET_NAME}/in/{number}.txt", "1") for number in range(130)]
    for number in range(130):
        stack.answer(f"in/{number}.txt", "1", number)
    found = cloud_of(stack.session, "demo", stack.outputs).results().those([*wanted, ("nothing", "1")])
    assert {row.result for row in found.values()} == set(range(130))


def test_a_database_that_is_gone_is_told(stack: GoogleStack) -> None:
    stack.outputs["resultsDatabase"] = "gone"
    with pytest.raises(CommandError, match=r"The documents of gone/results can't be read: 404"):
        results("demo", None, Path(), None, limit=1, as_json=False)


def test_all_dead_letters_go_through_the_topic_with_all_that_they_hold(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        stack.bury(f"in/{number}.txt", str(number), f"reason {number}")
    assert replayed() is Exit.OK
    captured = capsys.readouterr()
    assert captured.out.startswith("3 dead letters:\n")
    assert f"  {BUCKET_NAME}/in/1.txt 1: reason 1\n" in captured.out
    assert captured.out.endswith("The move ended as COMPLETED: 3 moved, 0 left.\n")
    assert stack.held("dead") == 0
    sent = {message.attributes["ce-id"]: json.loads(message.data)["name"] for message in stack.taken("replay")}
    assert sent == {f"in/{number}.txt-{number}": f"in/{number}.txt" for number in range(3)}


def test_a_dry_run_moves_nothing_and_gives_back_what_it_looked_at(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        stack.bury(f"in/{number}.txt", str(number), "r")
    assert replayed(dry_run=True, as_json=True) is Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["deadLetters"], len(found["letters"]), found["moved"], found["status"]) == (25, 10, 0, "dry run")
    assert len(stack.taken("dead")) == 25
    assert stack.held("replay") == 0


def test_more_than_can_be_counted_are_said_to_be_so(
    stack: GoogleStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dead_letters, "COUNTED", 20)
    for number in range(25):
        stack.bury(f"in/{number}.txt", str(number), "r")
    replayed(dry_run=True)
    assert capsys.readouterr().out.startswith("10 dead letters or more, 10 of them:\n")


def test_without_dead_letters_there_is_nothing_to_do(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed() is Exit.OK
    assert capsys.readouterr().out == "There are no dead letters.\n"


@pytest.mark.parametrize("tells", [True, False], ids=["tells", "older"])
def test_what_comes_back_meanwhile_is_left_for_another_time(
    stack: GoogleStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, tells: bool
) -> None:
    """The function refuses one of them at once, as often as it is sent; an older one does not say what it was sent in."""
    stack.bury("in/good.txt", "1", "was down")
    stack.bury("in/bad.txt", "1", "no text")
    send = dead_letters.PubsubDeadLetters._send

    def refused(self: Any, publish: Any, messages: Any) -> list[str]:
        ids: list[str] = send(self, publish, messages)
        for one, id_ in zip(messages, ids, strict=True):
            if b"bad.txt" in one.message.data:
                stack.bury("in/bad.txt", "1", "no text", id_ if tells else None)
        return ids

    monkeypatch.setattr(dead_letters.PubsubDeadLetters, "_send", refused)
    assert replayed() is Exit.OK
    assert capsys.readouterr().out.endswith("The move ended as COMPLETED: 2 moved, 1 left.\n")
    assert len(stack.taken("dead")) == 1


def test_two_letters_of_one_object_are_sent_again_both_wherever_they_lie(
    stack: GoogleStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its event came twice, and the second letter is not in the first answer."""
    monkeypatch.setattr(dead_letters, "BATCH", 2)
    for told in ("none", "none", "of another replay"):
        stack.bury("in/a.txt", "1", "was down", told)
    stack.bury("in/b.txt", "1", "was down", "none")
    assert replayed() is Exit.OK
    assert capsys.readouterr().out.endswith("The move ended as COMPLETED: 4 moved, 0 left.\n")


def test_a_rate_is_kept(stack: GoogleStack, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(dead_letters.time, "sleep", paused.append)
    for number in range(6):
        stack.bury(f"in/{number}.txt", str(number), "r")
    replayed(rate=4)
    assert paused == [1.0, 0.5]


def test_nothing_is_lost_when_it_is_interrupted_before_the_acknowledgement(
    stack: GoogleStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.bury("in/a.txt", "1", "r")

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    real = dead_letters.subscriber

    def client(twin: Any) -> Any:
        made = real(twin)
        monkeypatch.setattr(made, "acknowledge", interrupted)
        return made

    monkeypatch.setattr(dead_letters, "subscriber", client)
    with pytest.raises(KeyboardInterrupt):
        replayed()
    assert "Interrupted: 0 were sent again" in capsys.readouterr().err
    assert (len(stack.taken("replay")), len(stack.taken("dead"))) == (1, 1)


def test_letters_that_are_answers_or_nothing_known_are_named_by_what_they_hold(
    stack: GoogleStack, capsys: pytest.CaptureFixture[str]
) -> None:
    for body in (b'{"id": "answer-7", "requestId": "r"}', b"no JSON", b"[1]"):
        stack.send(body, {"CloudPubSubDeadLetterSourceDeliveryCount": "10"})
    stack.say({"event": "answer", "id": "answer-7", "reason": "The endpoint did not answer.", "permanent": False})
    replayed(dry_run=True, as_json=True)
    letters = json.loads(capsys.readouterr().out)["letters"]
    why = [(letter["answer"], letter["reason"]) for letter in letters]
    assert why == [("answer-7", "The endpoint did not answer."), (None, None), (None, None)]


def test_a_reason_from_before_pubsub_gave_a_message_up_is_found(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.say({"event": "answer", "id": "answer-8", "reason": "The endpoint did not answer.", "permanent": False})
    time.sleep(0.01)
    before = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    stack.send(b'{"id": "answer-8"}', {"CloudPubSubDeadLetterSourceTopicPublishTime": before})
    stack.send(b'{"id": "answer-8", "again": 1}', {"CloudPubSubDeadLetterSourceTopicPublishTime": "long ago"})
    replayed(dry_run=True, as_json=True)
    reasons = [letter["reason"] for letter in json.loads(capsys.readouterr().out)["letters"]]
    assert reasons == ["The endpoint did not answer.", None]


def test_status_tells_the_dead_letters(stack: GoogleStack) -> None:
    for version in ("1", "2"):
        stack.bury("in/a.txt", version)
    assert cloud_of(stack.session, "demo", stack.outputs).messages() == {"deadLetters": 2}
    without = {name: value for name, value in stack.outputs.items() if name != "deadLetterQueueUrl"}
    assert cloud_of(stack.session, "demo", without).messages() is None
    gone = {**stack.outputs, "deadLetterQueueUrl": f"projects/{PROJECT}/subscriptions/gone"}
    assert cloud_of(stack.session, "demo", gone).messages() is None


def test_lines_of_the_stacks_services_are_shown_by_time(stack: GoogleStack, capsys: pytest.CaptureFixture[str]) -> None:
    stack.say("serving")
    stack.say("of another stack", OTHER)
    stack.say({"severity": "ERROR", "event": "object", "key": "ä"})
    assert logs("demo", Path(), None, since="1h", tail=None, follow=False, as_json=True) is Exit.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["group"], line["message"]) for line in lines] == [
        ("demo-events", "serving"),
        ("demo-events", '{"event": "object", "key": "ä"}'),
    ]


def test_a_follower_goes_on_with_new_lines_and_shows_none_twice(
    stack: GoogleStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [lambda: stack.say("second"), lambda: None, lambda: stack.say("third"), lambda: None]

    def sleep(seconds: float) -> None:
        assert seconds == 2
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr(watch_module.time, "sleep", sleep)
    stack.say("first")
    with pytest.raises(KeyboardInterrupt):
        logs("demo", Path(), None, since="1h", tail=None, follow=True, as_json=False)
    assert [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()] == ["first", "second", "third"]


def held(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "id": name, "inputs": {}, "outputs": {"name": name, "project": PROJECT}, **more}


def test_what_holds_something_is_kept(stack: GoogleStack, tmp_path: Path) -> None:
    bucket = held("gcp:storage/bucket:Bucket", BUCKET_NAME)
    database = held("gcp:firestore/database:Database", "demo", inputs={"deleteProtectionState": "DELETE_PROTECTION_ENABLED"})
    image = {"type": "docker-build:index:Image", "outputs": {"ref": "europe-west1-docker.pkg.dev/p/images/server@sha256:0"}}
    repository = held("gcp:artifactregistry/repository:Repository", "projects/p/locations/l/repositories/images", protect=True)
    repository["urn"] = "urn:pulumi:demo::p::gcp:artifactregistry/repository:Repository::the-images"
    repository["outputs"] = {"repositoryId": "images", "registryUri": "europe-west1-docker.pkg.dev/p/images"}
    stack.resources = [bucket, database, repository]
    with pytest.raises(CommandError, match=r"`dataRetention: keep` protects the-images, though nothing is in them\. Nothing was deleted"):
        refuse_to_lose_data(stack.session, "demo")
    put(*files(tmp_path, a_txt="aa"))
    stack.answer("in/a.txt", "1", 1)
    stack.resources.append(image)
    named = f"the bucket {BUCKET_NAME} .* and the database demo .* and the image repository images .*Nothing was deleted"
    with pytest.raises(CommandError, match=named):
        refuse_to_lose_data(stack.session, "demo")


def test_what_was_deployed_to_be_deleted_or_is_gone_is_not_looked_at(stack: GoogleStack, tmp_path: Path) -> None:
    put(*files(tmp_path, a_txt="aa"))
    stack.answer("in/a.txt", "1", 1)
    stack.resources = [
        held("gcp:storage/bucket:Bucket", BUCKET_NAME, inputs={"forceDestroy": True}),
        held("gcp:storage/bucket:Bucket", "gone"),
        held("gcp:firestore/database:Database", "demo", inputs={"deleteProtectionState": "DELETE_PROTECTION_DISABLED"}),
        held("gcp:firestore/database:Database", "gone", inputs={"deleteProtectionState": "DELETE_PROTECTION_ENABLED"}),
        held("gcp:artifactregistry/repository:Repository", "images", protect=False),
    ]
    refuse_to_lose_data(stack.session, "demo")
