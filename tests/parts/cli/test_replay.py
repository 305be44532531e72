"""Dead letters that go back: moto's queues, and the moves that moto lacks played by the test."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from pilotlight.cli import replay as module
from pilotlight.cli.aws import dead_letters, moves
from pilotlight.cli.aws.queues import messages
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.replay import replay
from pilotlight.cli.session import Session
from tests.parts.cli.event_stack import BUCKET, EventStack


class Sqs:
    """moto's client with the move tasks of the API reference: each look at a task moves one message."""

    def __init__(self, stack: EventStack) -> None:
        self.stack, self.tasks = stack, []
        self.asked: list[dict[str, Any]] = []
        self.ends_as, self.failure = "COMPLETED", None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stack.sqs, name)

    def start_message_move_task(self, **asked: Any) -> dict[str, Any]:
        assert not any(task["Status"] == "RUNNING" for task in self.tasks)
        assert asked["SourceArn"] == self.stack._arn(self.stack.dead)
        self.asked.append(asked)
        self.begin()
        return {"TaskHandle": "handle"}

    def begin(self) -> None:
        count = self.stack.left(self.stack.dead)
        self.tasks.insert(
            0,
            {
                "Status": "RUNNING",
                "StartedTimestamp": 1_700_000_000_000 + len(self.tasks),
                "ApproximateNumberOfMessagesMoved": 0,
                "ApproximateNumberOfMessagesToMove": count,
            },
        )

    def list_message_move_tasks(self, **asked: Any) -> dict[str, Any]:
        task = self.tasks[0] if self.tasks else None
        if task and task["Status"] == "RUNNING":
            found = self.stack.sqs.receive_message(QueueUrl=self.stack.dead).get("Messages", [])
            for message in found:
                self.stack.sqs.send_message(QueueUrl=self.stack.queue, MessageBody=message["Body"])
                self.stack.sqs.delete_message(QueueUrl=self.stack.dead, ReceiptHandle=message["ReceiptHandle"])
                task["ApproximateNumberOfMessagesMoved"] += 1
            if not found or self.failure:
                task |= {"Status": self.ends_as, "FailureReason": self.failure}
        return {"Results": [dict(one) for one in self.tasks[: asked["MaxResults"]]]}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Iterator[tuple[EventStack, Sqs]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(dead_letters, "POLL_S", 0)
    monkeypatch.setattr(moves, "LOOK_EVERY_S", 0)
    with mock_aws():
        stack = EventStack(session_in("cloud"))
        sqs = Sqs(stack)
        monkeypatch.setattr(module, "open_session", lambda *_: stack.session)
        monkeypatch.setattr(module, "outputs_of", lambda *_, **__: stack.outputs)
        real = dead_letters.client
        monkeypatch.setattr(dead_letters, "client", lambda service, *rest: sqs if service == "sqs" else real(service, *rest))
        yield stack, sqs


def replayed(**options: Any) -> Exit:
    return replay("demo", Path(), None, **{"dry_run": False, "rate": None, "as_json": False, **options})


def test_all_of_them_go_back_and_the_counts_are_told(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, sqs = stack
    for number in range(3):
        events.bury(f"{BUCKET}/in/{number}.txt", f"version-{number}", f"reason {number}")
    assert replayed() is Exit.OK
    captured = capsys.readouterr()
    assert captured.out.startswith("3 dead letters:\n")
    assert f"  {BUCKET}/in/1.txt version-1: reason 1\n" in captured.out
    assert captured.out.endswith("The move ended as COMPLETED: 3 moved, 0 left.\n")
    assert "2 of 3 moved" in captured.err
    assert (events.left(events.queue), events.left(events.dead)) == (3, 0)
    assert sqs.asked == [{"SourceArn": events._arn(events.dead)}]


def test_a_rate_is_handed_on(stack: tuple[EventStack, Sqs]) -> None:
    stack[0].bury(f"{BUCKET}/in/a.txt", "v")
    replayed(rate=7)
    assert stack[1].asked[0]["MaxNumberOfMessagesPerSecond"] == 7


def test_a_dry_run_moves_nothing(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, sqs = stack
    events.bury(f"{BUCKET}/in/ä b.txt", "version-1", "The object has no line with an input.")
    assert replayed(dry_run=True, as_json=True) is Exit.OK
    found = json.loads(capsys.readouterr().out)
    assert (found["deadLetters"], found["moved"], found["left"], found["status"]) == (1, 0, 1, "dry run")
    (letter,) = found["letters"]
    assert letter["objects"] == [{"object": f"{BUCKET}/in/ä b.txt", "version": "version-1"}]
    assert letter["reason"] == "The object has no line with an input."
    assert sqs.asked == []
    # What was looked at is there for others at once.
    assert len(events.sqs.receive_message(QueueUrl=events.dead)["Messages"]) == 1


def test_a_letter_that_came_back_while_others_were_looked_for_is_given_back(
    stack: tuple[EventStack, Sqs], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first look's hold is over before the second look, whose receipt is then the only one that SQS takes (moto takes both).
    events, sqs = stack
    holds, receipts, given_back = iter([0, 300]), [], []

    def receive(**asked: Any) -> dict[str, Any]:
        answer = events.sqs.receive_message(**{**asked, "VisibilityTimeout": next(holds)})
        receipts.extend(message["ReceiptHandle"] for message in answer["Messages"])
        return dict(answer)

    monkeypatch.setattr(sqs, "receive_message", receive, raising=False)
    monkeypatch.setattr(sqs, "change_message_visibility_batch", lambda **asked: given_back.extend(asked["Entries"]), raising=False)
    events.bury(f"{BUCKET}/in/a.txt", "version-1")
    replayed(dry_run=True)
    assert len(set(receipts)) == 2
    assert [entry["ReceiptHandle"] for entry in given_back] == receipts[1:]


def test_of_many_the_first_are_shown(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(25):
        stack[0].bury(f"{BUCKET}/in/{number}.txt", f"v{number}")
    replayed(dry_run=True)
    out = capsys.readouterr().out
    assert out.startswith("25 dead letters, 10 of them:\n")
    assert out.count("no reason in the logs") == 10


def test_without_dead_letters_there_is_nothing_to_do(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    assert replayed() is Exit.OK
    assert capsys.readouterr().out == "There are no dead letters.\n"
    assert stack[1].asked == []


def test_a_move_that_is_under_way_is_followed(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, sqs = stack
    events.bury(f"{BUCKET}/in/a.txt", "v")
    sqs.begin()
    assert replayed(as_json=True) is Exit.OK
    captured = capsys.readouterr()
    assert (json.loads(captured.out)["moved"], sqs.asked) == (1, [])
    assert "under way already" in captured.err


def test_an_earlier_move_is_not_taken_for_this_one(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, _ = stack
    for version in ("v1", "v2"):
        events.bury(f"{BUCKET}/in/a.txt", version)
        replayed(as_json=True)
        assert json.loads(capsys.readouterr().out)["moved"] == 1


def test_a_move_that_fails_is_told_with_what_is_left(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, sqs = stack
    for number in range(3):
        events.bury(f"{BUCKET}/in/{number}.txt", "v")
    sqs.ends_as, sqs.failure = "FAILED", "AccessDenied"
    assert replayed() is Exit.FAILED
    assert capsys.readouterr().out.endswith("The move ended as FAILED (AccessDenied): 1 moved, 2 left.\n")


def test_a_stack_without_a_queue_says_what_would_make_one(stack: tuple[EventStack, Sqs]) -> None:
    del stack[0].outputs["deadLetterQueueUrl"]
    with pytest.raises(CommandError, match=r"answers: \{async: true\}"):
        replayed()


def test_letters_that_are_no_events_are_named_by_what_they_hold(stack: tuple[EventStack, Sqs], capsys: pytest.CaptureFixture[str]) -> None:
    events, _ = stack
    for body in ('{"id": "answer-7"}', "no JSON", '{"Records": [{"s3": {}}]}'):
        events.sqs.send_message(QueueUrl=events.dead, MessageBody=body)
    replayed(dry_run=True, as_json=True)
    letters = json.loads(capsys.readouterr().out)["letters"]
    assert [letter["answer"] for letter in letters] == ["answer-7", None, None]
    assert all(letter["objects"] == [] for letter in letters)


def test_status_tells_what_the_queues_hold(stack: tuple[EventStack, Sqs]) -> None:
    events, _ = stack
    events.sqs.send_message(QueueUrl=events.queue, MessageBody="{}")
    for version in ("v1", "v2"):
        events.bury(f"{BUCKET}/in/a.txt", version)
    assert messages(events.session, events.outputs) == {"waiting": 1, "inFlight": 0, "deadLetters": 2}
    assert messages(events.session, {"region": "us-east-1", "url": "u"}) is None
    gone = f"{events.queue}-gone"
    assert messages(events.session, {**events.outputs, "queueUrl": gone}) is None
