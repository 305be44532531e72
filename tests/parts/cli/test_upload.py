"""Objects for an event stack, and what becomes of them: against moto's S3, DynamoDB, SQS and logs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from pilotlight.cli import results as results_module
from pilotlight.cli import upload as module
from pilotlight.cli import upload_watch
from pilotlight.cli.aws import dead_letters
from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.results import results
from pilotlight.cli.session import Session
from pilotlight.cli.upload import Upload, keys_of, upload
from tests.parts.cli.event_stack import BUCKET, EventStack, files

EVENTS = {"prefix": "in/", "suffixes": [".txt", ".json"], "minObjectBytes": 2}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Iterator[EventStack]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setattr(dead_letters, "POLL_S", 0)
    with mock_aws():
        stack = EventStack(session_in("cloud"))
        for each in (module, results_module):
            monkeypatch.setattr(each, "open_session", lambda *_: stack.session)
            monkeypatch.setattr(each, "outputs_of", lambda *_, **__: stack.outputs)
        yield stack


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """What happens while the command waits: one entry for each time it sleeps."""
    steps: list[Callable[[], None]] = []
    monkeypatch.setattr(upload_watch, "DEAD_EVERY_S", 0)
    monkeypatch.setattr(upload_watch.time, "sleep", lambda seconds: steps.pop(0)() if steps else None)
    return steps


def put(*given: Path, **options: Any) -> Exit:
    return upload(Upload(stack="demo", folder=Path(), where=None, files=given, **options))


def document(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found = json.loads(capsys.readouterr().out)
    assert found["stack"] == "demo"
    return list(found["objects"])


def test_a_file_becomes_an_object_below_the_stacks_prefix(stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert put(*files(tmp_path, letter_txt="hello", body_json='{"inputs": "x"}'), as_json=True) is Exit.OK
    found = document(capsys)
    assert [(one["key"], one["state"]) for one in found] == [("in/letter.txt", "uploaded"), ("in/body.json", "uploaded")]
    letter = stack.s3.get_object(Bucket=BUCKET, Key="in/letter.txt", VersionId=found[0]["version"])
    assert (letter["Body"].read(), letter["ContentType"]) == (b"hello", "text/plain")
    assert stack.s3.head_object(Bucket=BUCKET, Key="in/body.json")["ContentType"] == "application/json"


def test_with_wait_each_object_is_shown_with_its_result(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile += [lambda: None, lambda: stack.answer(*stack.versions()[0], {"outputs": [1]})]
    meanwhile.append(lambda: stack.answer(*stack.versions()[1], {"outputs": [2]}))
    assert put(*files(tmp_path, a_txt="aa", b_txt="bb"), wait=True, as_json=True) is Exit.OK
    found = document(capsys)
    assert {one["key"]: one["result"] for one in found} == {"in/a.txt": {"outputs": [1]}, "in/b.txt": {"outputs": [2]}}
    assert {one["state"] for one in found} == {"done"}


def test_the_row_of_another_version_is_not_taken_for_the_uploaded_one(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    (letter,) = files(tmp_path, a_txt="old")
    put(letter)
    stack.answer(*stack.versions()[0], {"outputs": ["old"]})
    letter.write_text("new")
    meanwhile += [lambda: None, lambda: stack.answer(f"{BUCKET}/in/a.txt", newest(stack), {"outputs": ["new"]})]
    capsys.readouterr()
    put(letter, wait=True, as_json=True)
    assert document(capsys)[0]["result"] == {"outputs": ["new"]}


def newest(stack: EventStack) -> str:
    return str(stack.s3.head_object(Bucket=BUCKET, Key="in/a.txt")["VersionId"])


def test_a_result_that_lies_in_the_bucket_is_fetched(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile.append(lambda: stack.answer(*stack.versions()[0], {"outputs": [0.5] * 1000}, large=True))
    put(*files(tmp_path, a_txt="aa"), wait=True, as_json=True)
    assert document(capsys)[0]["result"] == {"outputs": [0.5] * 1000}


def test_an_object_among_the_dead_letters_is_told_with_the_reason(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile.append(lambda: stack.bury(*stack.versions()[0], "The object is not UTF-8: byte 0 is 0xff."))
    assert put(*files(tmp_path, a_txt="aa"), wait=True) is Exit.ANSWERED_ERROR
    assert "is among the dead letters: The object is not UTF-8: byte 0 is 0xff." in capsys.readouterr().out
    assert stack.left(stack.dead) == 1


def test_an_object_that_no_attempt_will_help_is_not_waited_for(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    meanwhile.append(lambda: stack.say(*stack.versions()[0], reason="The endpoint did not answer.", permanent=False))
    meanwhile.append(lambda: stack.say(*stack.versions()[0], reason="The object has no line with an input.", permanent=True))
    assert put(*files(tmp_path, a_txt="aa"), wait=True, as_json=True) is Exit.ANSWERED_ERROR
    found = document(capsys)[0]
    assert (found["state"], found["reason"]) == ("refused", "The object has no line with an input.")


def test_dead_letters_of_others_are_left_alone(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    for number in range(12):
        stack.bury(f"{BUCKET}/in/other {number}.txt", f"v{number}")
    meanwhile.append(lambda: stack.answer(*stack.versions()[0], {"outputs": []}))
    assert put(*files(tmp_path, a_txt="aa"), wait=True) is Exit.OK
    received = stack.sqs.receive_message(QueueUrl=stack.dead, MaxNumberOfMessages=10)["Messages"]
    assert len(received) == 10


def test_what_does_not_end_in_time_is_pending(stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert put(*files(tmp_path, a_txt="aa"), wait=True, max_wait=0.2, as_json=True) is Exit.FAILED
    assert document(capsys)[0]["state"] == "pending"


def test_ctrl_c_shows_what_is_there(
    stack: EventStack, tmp_path: Path, capsys: pytest.CaptureFixture[str], meanwhile: list[Callable[[], None]]
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    meanwhile += [lambda: stack.answer(*stack.versions()[0], {"outputs": [1]}), interrupted]
    assert put(*files(tmp_path, a_txt="aa", b_txt="bb"), wait=True) is Exit.INTERRUPTED
    captured = capsys.readouterr()
    assert '{"outputs": [1]}' in captured.out
    assert "is pending" in captured.out
    assert "pilotlight results demo" in captured.err


def test_a_bucket_that_is_gone_is_told(stack: EventStack, tmp_path: Path) -> None:
    stack.outputs["objectsBucket"] = "gone"
    with pytest.raises(CommandError, match=r"letter.txt can't be put into gone: NoSuchBucket"):
        put(*files(tmp_path, letter_txt="hello"))


@pytest.mark.parametrize(
    ("given", "key", "expected"),
    [
        (["a.txt"], None, ["in/a.txt"]),
        (["a.txt", "b.txt"], "in/today/", ["in/today/a.txt", "in/today/b.txt"]),
        (["a.txt"], "in/other.txt", ["in/other.txt"]),
    ],
)
def test_keys_come_from_the_option_or_the_prefix(tmp_path: Path, given: list[str], key: str | None, expected: list[str]) -> None:
    made = files(tmp_path, **{name.replace(".", "_"): "xx" for name in given})
    assert list(keys_of(made, key, EVENTS)) == expected


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("elsewhere/a.txt", "xx", "begins with 'in/'"),
        ("in/a.png", "xx", r"ends with '.txt' or '.json'"),
        (None, "x", "less than 2 are passed over"),
    ],
)
def test_what_the_stack_passes_over_is_refused(tmp_path: Path, key: str | None, content: str, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        keys_of(files(tmp_path, a_txt=content), key, EVENTS)


def test_two_files_with_one_key_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    made = [*files(tmp_path, a_txt="xx"), *files(tmp_path / "x", a_txt="yy")]
    with pytest.raises(CommandError, match="would both be the object"):
        keys_of(made, None, {})
    with pytest.raises(CommandError, match="end it with /"):
        keys_of(made, "in/a.txt", {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing.txt is no file"):
        keys_of([tmp_path / "nothing.txt"], None, {})


def test_results_of_one_object_come_newest_first(stack: EventStack, capsys: pytest.CaptureFixture[str]) -> None:
    for version in ("v1", "v2", "v3"):
        stack.answer(f"{BUCKET}/in/a.txt", version, {"outputs": [version]})
    stack.answer(f"{BUCKET}/in/b.txt", "w1", {"outputs": []})
    assert results("demo", "in/a.txt", Path(), None, limit=100, as_json=True) is Exit.OK
    assert [row["version"] for row in json.loads(capsys.readouterr().out)] == ["v3", "v2", "v1"]


def test_results_of_all_objects_leave_the_pointers_out(stack: EventStack, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(5):
        stack.answer(f"{BUCKET}/in/{number}.txt", f"v{number}", {"outputs": [number] * 200})
    results("demo", None, Path(), None, limit=100, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [f"in/{number}.txt" for number in range(5)]
    assert all(line.endswith("…") for line in lines)
    results("demo", None, Path(), None, limit=3, as_json=False)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 3
    assert "there may be more" in captured.err


def test_no_result_is_missing(stack: EventStack) -> None:
    with pytest.raises(CommandError, match=r"There is no result of 'in/a\.txt'") as caught:
        results("demo", "in/a.txt", Path(), None, limit=1, as_json=False)
    assert caught.value.code is Exit.MISSING


def test_more_rows_than_one_question_takes_are_found(stack: EventStack) -> None:
    from pilotlight.cli.aws.rows import Rows

    wanted = [(f"{BUCKET}/in/{number}.txt", "v") for number in range(130)]
    for object_, version in wanted:
        stack.answer(object_, version, 1)
    assert len(Rows(stack.session, stack.outputs).those([*wanted, ("nothing", "v")])) == 130
