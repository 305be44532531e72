"""What `upload`, `results` and `replay` ask of Azure, as the developer, on the twin's own storage and Event Grid."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from handlers.functions import connections
from pilotlight.cli.azure.dead_letters import QueueDeadLetters
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.objects import BlobObjects
from pilotlight.cli.azure.results import TableRows
from pilotlight.cli.azure.storage import Login
from pilotlight.cli.exits import CommandError
from tests.support.waiting import until
from tests.twin.azure.accounts import Credential, client
from tests.twin.azure.harness import AzureHarness
from tests.twin.azure.storage.event_function import Deployed


@pytest.fixture
def deployed(harness: AzureHarness, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    made = Deployed(harness, f"verbs-{request.node.name[5:20].replace('_', '-')}x")
    for name, value in made.variables().items():
        monkeypatch.setenv(name, value)
    connections._tls.cache_clear()
    yield made
    harness.remove(made.topic)
    connections._tls.cache_clear()


@pytest.fixture
def login(harness: AzureHarness) -> Login:
    return Login(harness.twin.azure.developer(harness.twin), Given({}, {}))


@pytest.fixture
def outputs(deployed: Deployed) -> dict[str, str]:
    return {
        "objectsBucket": "objects",
        "objectsUrl": deployed.url("blob", "objects"),
        "queueUrl": deployed.url("queue", "events"),
        "deadLetterQueueUrl": deployed.url("queue", "dead"),
        "resultsDatabase": deployed.work["primaryEndpoints"]["table"],
        "resultsTable": "results",
    }


def file(folder: Path, text: bytes) -> Path:
    made = folder / "text.txt"
    made.write_bytes(text)
    return made


def test_an_upload_is_found_again_by_its_version_and_large_results_where_they_lie(
    deployed: Deployed, login: Login, outputs: dict[str, str], tmp_path: Path
) -> None:
    objects, rows = BlobObjects(login, outputs), TableRows(login, outputs)
    with deployed.at_work():
        first = objects.put(file(tmp_path, b"one"), "in/ü 1.txt", "text/plain")
        until(lambda: rows.those([("objects/in/ü 1.txt", first)]))
        second = objects.put(file(tmp_path, b"three"), "in/ü 1.txt", "text/plain")
        until(lambda: len(rows.of("in/ü 1.txt")) == 2)
        large = objects.put(file(tmp_path, b'"x"\n' * 20_000), "in/large.jsonl", "application/x-ndjson")
        until(lambda: rows.those([("objects/in/large.jsonl", large)]))
    newest, oldest = rows.of("in/ü 1.txt")
    assert [(each.version, each.result, each.key) for each in (newest, oldest)] == [
        (second, {"outputs": [5]}, "in/ü 1.txt"),
        (first, {"outputs": [3]}, "in/ü 1.txt"),
    ]
    [row] = rows.of("in/large.jsonl")
    [fields] = [each for (key, version), each in deployed.rows().items() if key == "in/large.jsonl" and version == large]
    assert ("resultUri" in fields, len(row.result["outputs"])) == (True, 20_000)
    assert {each.object for each in rows.some(10)} == {"objects/in/ü 1.txt", "objects/in/large.jsonl"}
    assert len(rows.some(2)) == 2
    assert rows.those([("objects/in/ü 1.txt", "0x0"), ("objects/nothing", first)]) == {}


def test_dead_letters_are_looked_at_and_left_where_they_are_then_sent_again(
    deployed: Deployed, login: Login, outputs: dict[str, str], tmp_path: Path
) -> None:
    objects, dead = BlobObjects(login, outputs), QueueDeadLetters(login, outputs)
    with deployed.at_work():
        version = objects.put(file(tmp_path, b"\xff"), "bad.txt", "text/plain")
        until(lambda: dead.count() == 1)
    for limit in (10, 1000):
        look = dead.look(limit)
        [letter] = look.letters
        assert (look.count, letter.about, letter.word) == (1, (("objects/bad.txt", version),), version)
        assert letter.reason == "The object is not UTF-8: byte 0 is 0xff."
        assert letter.sent > 1_700_000_000_000
    assert dead.move(None) == {"status": "COMPLETED", "moved": 1, "failure": None, "left": 0}
    assert dead.waiting() == 1
    with deployed.at_work():
        until(lambda: dead.count() == 1)
    assert dead.waiting() == 0


def test_more_letters_than_one_answer_holds_go_all_at_the_rate_that_was_asked_for(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[float] = []
    monkeypatch.setattr("pilotlight.cli.azure.dead_letters.time.sleep", paused.append)
    queue = client(deployed.harness, deployed.work, "queue").get_queue_client("dead")
    for number in range(70):
        queue.send_message(base64.b64encode(json.dumps({"event": {"id": f"a{number}"}, "reason": "why"}).encode()).decode())
    queue.send_message("somebody's own words")
    dead = QueueDeadLetters(login, outputs)
    look = dead.look(100)
    assert (look.count, len(look.letters)) == (71, 71)
    assert {each.answer for each in look.letters} == {None, *(f"a{number}" for number in range(70))}
    told = dead.move(20)
    assert (told["moved"], told["left"], dead.waiting()) == (71, 0, 71)
    assert sum(paused) == pytest.approx(71 / 20)
    bodies = [
        base64.b64decode(each.content)
        for each in client(deployed.harness, deployed.work, "queue").get_queue_client("events").receive_messages()
    ]
    assert {json.dumps({"id": "a7"}).encode(), b"somebody's own words"} <= set(bodies)


def replayed_while_bad_is_refused(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, tells: bool
) -> tuple[int, int, int]:
    """Four letters, two of them of the same message `bad`, which a function refuses as often as it is sent; it `tells` in its letters of
    which message they are. How many were moved and left, and how many messages wait."""
    monkeypatch.setattr("pilotlight.cli.azure.dead_letters.BATCH", 2)
    queue = client(deployed.harness, deployed.work, "queue").get_queue_client("dead")

    def bury(work: str, message_id: str) -> None:
        letter = {"event": {"id": work}, "reason": "why", **({"messageId": message_id} if tells else {})}
        queue.send_message(base64.b64encode(json.dumps(letter).encode()).decode())

    for work, message_id in (("bad", "m1"), ("good", "m2"), ("bad", "m3"), ("other", "m4")):
        bury(work, message_id)
    dead = QueueDeadLetters(login, outputs)
    send = dead._work.send_message

    def refused(body: str, **options: Any) -> Any:
        sent = send(body, **options)
        if json.loads(base64.b64decode(body)) == {"id": "bad"}:
            bury("bad", sent.id)
        return sent

    monkeypatch.setattr(dead._work, "send_message", refused)
    told = dead.move(None)
    return told["moved"], told["left"], dead.waiting()


def test_what_comes_back_meanwhile_is_left_and_a_second_letter_of_its_object_is_not(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replayed_while_bad_is_refused(deployed, login, outputs, monkeypatch, tells=True) == (4, 2, 4)


def test_letters_of_an_older_function_are_told_apart_by_their_objects(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert replayed_while_bad_is_refused(deployed, login, outputs, monkeypatch, tells=False) == (3, 2, 3)


def undelivered(deployed: Deployed, *names: str) -> None:
    """Objects whose events Event Grid may not put into the queue, and leaves in its container for dead letters."""
    deployed.harness.remove(deployed.sender)
    for name in names:
        deployed.objects.upload_blob(name, name.encode())
    until(lambda: on_their_way(deployed) == len(names))
    timers = deployed.harness.twin.timers
    # Event Grid stores a dead letter five minutes after its last attempt.
    deployed.harness.wait(timers.forward(timers.now() + 360))
    until(lambda: on_their_way(deployed) == 0)


def on_their_way(deployed: Deployed) -> int:
    plane = deployed.harness.twin.azure.planes.made("eventgrid_plane:EventGridPlane")
    return int(plane._store._db.execute("SELECT count(*) FROM deliveries").fetchone()[0])


def buried(deployed: Deployed) -> list[str]:
    return [one.name for one in deployed.dead_events.list_blobs()]


def test_what_never_came_to_the_queue_is_told_with_why_then_put_there_as_event_grid_would_have(
    deployed: Deployed, login: Login, outputs: dict[str, str]
) -> None:
    undelivered(deployed, "in/ü 1.txt", "two.txt")
    dead = QueueDeadLetters(login, outputs)
    look = dead.look(10)
    assert look.count == 2
    assert {each.about[0][0] for each in look.letters} == {"objects/in/ü 1.txt", "objects/two.txt"}
    assert {each.reason for each in look.letters} == {
        "Event Grid did not put it into the queue: UndeliverableDueToHttpForbidden (attempts: 1, the last one: Forbidden)."
    }
    assert all(each.sent > 1_700_000_000_000 for each in look.letters)
    assert dead.move(None) == {"status": "COMPLETED", "moved": 2, "failure": None, "left": 0}
    assert (buried(deployed), dead.look(10).count, dead.waiting()) == ([], 0, 2)
    assert {frozenset(each) for each in deployed.told("events")} == {
        frozenset({"topic", "subject", "eventType", "id", "data", "dataVersion", "metadataVersion", "eventTime"})
    }
    with deployed.at_work():
        until(lambda: deployed.results() == ["in/ü 1.txt", "two.txt"])


def test_an_interrupted_replay_of_what_never_came_loses_nothing(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    undelivered(deployed, "one.txt")
    dead = QueueDeadLetters(login, outputs)
    assert dead._undelivered is not None
    for part, method in ((dead._work, "send_message"), (dead._undelivered._container, "delete_blob")):
        with monkeypatch.context() as patch:
            patch.setattr(part, method, interrupted)
            with pytest.raises(KeyboardInterrupt):
                dead.move(None)
        assert len(buried(deployed)) == 1
    # Sent, but still there when it was interrupted: so it is sent twice, and has one result.
    assert dead.move(None)["moved"] == 1
    assert (buried(deployed), dead.waiting()) == ([], 2)
    with deployed.at_work():
        until(lambda: dead.waiting() == 0)
    assert deployed.results() == ["one.txt"]


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_what_is_no_list_of_events_stays_and_is_told(
    deployed: Deployed, login: Login, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paused: list[float] = []
    monkeypatch.setattr("pilotlight.cli.azure.undelivered.time.sleep", paused.append)
    deployed.dead_events.upload_blob("a/mine.txt", b"my own words")
    deployed.dead_events.upload_blob("b/events.json", json.dumps([{"id": f"e{number}"} for number in range(5)]))
    dead = QueueDeadLetters(login, outputs)
    assert [each.message_id for each in dead.look(10).letters] == ["a/mine.txt", "e0", "e1", "e2", "e3", "e4"]
    # With one of two blobs unread nobody knows how many there are.
    assert [(look.count, len(look.letters)) for look in (dead.look(1), dead.look(3), dead.look(10))] == [(None, 1), (6, 3), (6, 6)]
    told = dead.move(4)
    assert (told["moved"], told["left"], buried(deployed), sum(paused)) == (5, 1, ["a/mine.txt"], 5 / 4)
    assert "dead-events/a/mine.txt is no list of events, and stays." in capsys.readouterr().err


def test_a_stranger_to_what_never_came_is_told_which_role_to_ask_for(deployed: Deployed, login: Login, outputs: dict[str, str]) -> None:
    """As somebody without a role; and as the developer, into a queue of somebody's who has none."""
    dead = QueueDeadLetters(login, outputs)
    deployed.dead_events.upload_blob("events.json", b'[{"id": "e"}]')
    assert dead._undelivered is not None
    login.credential = Credential(deployed.harness, deployed.harness.identity("stranger"))
    stranger = QueueDeadLetters(login, outputs)
    assert stranger._undelivered is not None
    with pytest.raises(CommandError, match=r"dead-events can't be read: .*ask for the role Storage Blob Data Contributor there"):
        stranger._undelivered.look(1)
    with pytest.raises(CommandError, match=r"events.json can't be sent again: .*ask for the role Storage Queue Data Contributor there"):
        dead._undelivered.move(stranger._work, None)
    assert buried(deployed) == ["events.json"]


def test_who_may_not_read_data_is_told_which_role_to_ask_for(deployed: Deployed, login: Login, outputs: dict[str, str]) -> None:
    """As the function's own identity, which may put dead letters there and read none."""
    login.credential = Credential(deployed.harness, deployed.who)
    with pytest.raises(CommandError, match="Owner and Contributor do not read data: ask for the role Storage Queue Data Contributor there"):
        QueueDeadLetters(login, outputs).look(1)
