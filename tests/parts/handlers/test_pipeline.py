"""The function of pattern 2: SQS batches in, rows, pointers and messages out, over moto's S3, DynamoDB and SQS."""

import json

import pytest
from botocore.exceptions import EndpointConnectionError

from handlers.functions import problems
from handlers.functions.environment import SettingsError
from tests.parts.handlers.event_world import BUCKET, Context, batch, failed, message, world


@pytest.fixture
def aws():
    with world() as made:
        yield made


def lines(capsys, event="object"):
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return [line for line in found if line.get("event") == event]


def run(function, *messages, **context):
    return failed(function.handle(batch(*messages), Context(**context)))


def test_a_batch_is_one_request_and_a_row_and_a_pointer_for_each_object(aws):
    records = [aws.put(f"in/{index}.txt", "x" * (index + 1)) for index in range(10)]
    assert run(aws.function(), *map(message, records)) == []
    assert [len(texts) for texts in aws.model.texts] == [10]
    rows = aws.rows()
    assert len(rows) == 20
    for index, record in enumerate(records):
        version = record["s3"]["object"]["versionId"]
        row, pointer = rows[f"in/{index}.txt", version], rows[f"in/{index}.txt", "#latest"]
        assert row["result"] == f'{{"outputs":[{index + 1}]}}'
        assert (row["object"], row["size"], row["task"]) == (f"{BUCKET}/in/{index}.txt", str(index + 1), "sentence-embedding")
        assert (row["etag"], row["requestId"]) == (record["s3"]["object"]["eTag"], record["responseElements"]["x-amz-request-id"])
        assert (pointer["latest"], pointer["sequencer"]) == (version, row["sequencer"])
        assert "published" not in row


def test_a_message_that_comes_again_asks_no_model_and_writes_nothing(aws, capsys):
    event = message(aws.put("a.txt"))
    function = aws.function()
    run(function, event)
    before = aws.rows()
    assert run(function, event) == []
    assert len(aws.model.requests) == 1
    assert aws.rows() == before
    assert [line["outcome"] for line in lines(capsys)] == ["recorded", "known"]


def test_one_object_told_of_twice_in_a_batch_is_predicted_once(aws):
    record = aws.put("a.txt")
    assert run(aws.function(), message(record), message(record)) == []
    assert aws.model.texts == [["some text"]]


def test_the_newest_version_wins_in_whatever_order_they_come(aws):
    old, middle, new = (aws.put("a.txt", text) for text in ("old", "middle", "new"))
    function = aws.function()
    for record in (middle, new, old):
        run(function, message(record))
    rows = aws.rows()
    assert len(rows) == 4
    assert rows["a.txt", "#latest"]["latest"] == new["s3"]["object"]["versionId"]


def test_versions_of_one_object_in_one_batch_are_written_in_their_order(aws):
    records = [aws.put("a.txt", f"text {index}") for index in range(5)]
    assert run(aws.function(), *map(message, reversed(records))) == []
    assert aws.rows()["a.txt", "#latest"]["latest"] == records[-1]["s3"]["object"]["versionId"]
    assert len(aws.rows()) == 6


def test_a_shorter_sequencer_counts_as_if_filled_up_with_zeros(aws):
    older, newer = aws.put("a.txt", "older"), aws.put("a.txt", "newer")
    older["s3"]["object"]["sequencer"], newer["s3"]["object"]["sequencer"] = "0062E99A88DC407460", "0062e99a88dc4075"
    function = aws.function()
    for record in (newer, older):
        run(function, message(record))
    assert aws.rows()["a.txt", "#latest"]["latest"] == newer["s3"]["object"]["versionId"]


def test_one_refused_object_leaves_the_others_their_results(aws, capsys):
    messages = [message(aws.put(f"{name}.txt", name)) for name in ("good", "fine", "bad", "well", "nice")]
    assert run(aws.function(), *messages) == [messages[2]["messageId"]]
    assert {key for key, version in aws.rows() if version == "#latest"} == {"good.txt", "fine.txt", "well.txt", "nice.txt"}
    (refused,) = [line for line in lines(capsys) if line["level"] == "ERROR"]
    assert (refused["object"], refused["permanent"], refused["outcome"]) == (f"{BUCKET}/bad.txt", True, "refused")
    assert refused["reason"] == "bad is not what the model takes."


def test_an_object_that_breaks_the_model_fails_the_others_once_and_then_itself_alone(aws):
    messages = [message(aws.put(f"{name}.txt", name)) for name in ("good", "broken", "well")]
    function = aws.function()
    assert run(function, *messages) == [each["messageId"] for each in messages]
    again = [each | {"attributes": {"ApproximateReceiveCount": "2"}} for each in messages]
    assert run(function, *again) == [messages[1]["messageId"]]
    assert {key for key, _ in aws.rows()} == {"good.txt", "well.txt"}


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"\xff\xfe", None, "is not UTF-8: byte 0"),
        ("{", "application/json", "is not JSON"),
        ('{"texts": []}', "application/json", "The body has texts"),
        ('{"inputs": "a", "parameters": {"x": 1}}', "application/json", "parameters.x is not known"),
        ("text", "text/plain; charset=latin1", "charset is 'latin1'"),
    ],
)
def test_an_object_with_broken_content_is_refused_with_its_reason_and_blocks_nothing(aws, capsys, body, content_type, reason):
    good, broken = message(aws.put("good.txt")), message(aws.put("broken", body, content_type))
    assert run(aws.function(), good, broken) == [broken["messageId"]]
    (line,) = [line for line in lines(capsys) if line["level"] == "ERROR"]
    assert reason in line["reason"]
    assert {key for key, _ in aws.rows()} == {"good.txt"}


def test_sizes_outside_the_limits_are_passed_over_or_refused_without_being_read(aws, capsys):
    small, large = message(aws.put("small.txt", "12")), message(aws.put("large.txt", "x" * 21))
    function = aws.function(MIN_OBJECT_BYTES="3", MAX_OBJECT_BYTES="20")
    assert run(function, small, large) == [large["messageId"]]
    assert aws.model.requests == []
    found = {line["object"].removeprefix(f"{BUCKET}/"): (line["outcome"], line["permanent"]) for line in lines(capsys)}
    assert found == {"small.txt": ("passed-over", False), "large.txt": ("refused", True)}


@pytest.mark.parametrize("problem", [problems.NotReady, problems.Throttled, problems.DeadlineExceeded, problems.ModelFailed])
def test_an_endpoint_that_does_not_answer_leaves_every_message_for_later(aws, capsys, problem):
    messages = [message(aws.put(f"{index}.txt")) for index in range(3)]
    aws.model.failing = problem("Not now.")
    function = aws.function()
    assert run(function, *messages) == [each["messageId"] for each in messages]
    assert {(line["level"], line["permanent"], line["reason"]) for line in lines(capsys)} == {("WARNING", False, "Not now.")}
    assert len(aws.model.requests) == 1
    aws.model.failing = None
    assert run(function, *messages) == []
    assert len(aws.rows()) == 6


def test_without_time_the_model_is_not_asked(aws):
    event = message(aws.put("a.txt"))
    assert run(aws.function(), event, remaining_ms=2000) == [event["messageId"]]
    assert aws.model.requests == []


def test_a_version_that_was_deleted_for_good_is_refused_and_a_deleted_object_is_not(aws, capsys):
    gone, deleted = aws.put("gone.txt"), aws.put("deleted.txt")
    aws.s3.delete_object(Bucket=BUCKET, Key="gone.txt", VersionId=gone["s3"]["object"]["versionId"])
    aws.s3.delete_object(Bucket=BUCKET, Key="deleted.txt")
    messages = message(gone), message(deleted)
    assert run(aws.function(), *messages) == [messages[0]["messageId"]]
    assert [line["reason"] for line in lines(capsys) if line["level"] == "ERROR"] == ["The object can't be read: it was deleted."]
    assert {key for key, _ in aws.rows()} == {"deleted.txt"}


def test_without_versions_each_upload_has_a_row_and_one_that_was_replaced_is_refused():
    with world(versioned=False) as aws:
        first = aws.put("a.txt", "first")
        function = aws.function()
        assert run(function, message(first)) == []
        lost, last = aws.put("a.txt", "lost"), aws.put("a.txt", "last")
        messages = [message(lost), message(last), message(last)]
        assert run(function, *messages) == [messages[0]["messageId"]]
        rows = aws.rows()
        assert sorted(version for _, version in rows) == [
            "#latest",
            *(f"null#{each['s3']['object']['sequencer'].rstrip('0')}" for each in (first, last)),
        ]
        assert rows["a.txt", "#latest"]["latest"].endswith(last["s3"]["object"]["sequencer"].rstrip("0"))


def test_inputs_of_many_objects_are_split_where_a_request_is_full(aws):
    records = [aws.put(f"{index}.jsonl", "\n".join(f'"{index} {line}"' for line in range(7))) for index in range(3)]
    assert run(aws.function(max_inputs=4), *map(message, records)) == []
    assert [len(texts) for texts in aws.model.texts] == [4, 4, 4, 4, 4, 1]
    result = json.dumps({"outputs": [[3]] * 7}, separators=(",", ":"))
    assert {row["result"] for (_, version), row in aws.rows().items() if version != "#latest"} == {result}


def test_different_parameters_are_different_requests(aws):
    bodies = [{"inputs": "a", "parameters": {"top_k": 1}}, {"inputs": "b"}, {"inputs": "c", "parameters": {"top_k": 1}}]
    records = [aws.put(f"{index}.json", json.dumps(body)) for index, body in enumerate(bodies)]
    assert run(aws.function(task="text-classification"), *map(message, records)) == []
    assert [(request["inputs"], request.get("parameters")) for request in aws.model.requests] == [(["a", "c"], {"top_k": 1}), (["b"], None)]


def test_a_text_that_fits_no_request_is_handed_over_by_reference(aws):
    record = aws.put("in/a b?.txt", "ä" * 3000)
    assert run(aws.function(), message(record)) == []
    version = record["s3"]["object"]["versionId"]
    assert aws.model.requests == [{"inputs": {"uri": f"s3://{BUCKET}/in/a%20b%3F.txt?versionId={version}"}}]
    assert aws.rows()["in/a b?.txt", version]["result"] == '{"outputs":[0.25]}'


def test_answers_that_are_too_large_together_are_asked_for_in_parts_and_later_ones_in_smaller_parts(aws):
    aws.model.max_answer_bytes = 40
    function = aws.function()
    assert run(function, *(message(aws.put(f"{index}.txt")) for index in range(8))) == []
    assert [len(texts) for texts in aws.model.texts] == [8, 4, 4]
    aws.model.requests.clear()
    assert run(function, *(message(aws.put(f"later-{index}.txt")) for index in range(8))) == []
    assert max(len(texts) for texts in aws.model.texts) <= 4


def test_an_unread_table_asks_no_model(aws, monkeypatch):
    event = message(aws.put("a.txt"))
    function = aws.function()

    def stopped(**_):
        raise EndpointConnectionError(endpoint_url="table")

    with monkeypatch.context() as patched:
        patched.setattr(aws.dynamodb, "batch_get_item", stopped)
        assert run(function, event) == [event["messageId"]]
    assert aws.model.requests == []
    assert run(function, event) == []


def test_a_fault_of_ours_is_logged_with_its_traceback_and_fails_only_what_it_touches(aws, capsys, monkeypatch):
    messages = [message(aws.put("good.txt")), message(aws.put("odd.txt"))]
    function = aws.function()
    read = aws.s3.get_object

    def odd(**asked):
        if asked["Key"] == "odd.txt":
            raise ZeroDivisionError("odd")
        return read(**asked)

    monkeypatch.setattr(aws.s3, "get_object", odd)
    assert run(function, *messages) == [messages[1]["messageId"]]
    (fault,) = lines(capsys, "object_fault")
    assert "ZeroDivisionError" in fault["traceback"]


def test_the_counters_and_the_stages_of_a_cold_start_are_metrics(aws, capsys):
    aws.model.cold_start = {"load": 80.0}
    run(aws.function(MIN_OBJECT_BYTES="2"), message(aws.put("a.txt")), message(aws.put("b.txt", "x")), message(aws.put("c", b"\xff\xff")))
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
    stage, counters = found
    assert (stage["Stage"], stage["ColdStart"], stage["Service"]) == ("endpoint-load", 80.0, "mine")
    assert {name: counters[name] for name in ("ObjectsProcessed", "ObjectsFailed", "ObjectsPassedOver")} == {
        "ObjectsProcessed": 1,
        "ObjectsFailed": 1,
        "ObjectsPassedOver": 1,
    }


def test_bad_variables_are_told_together(aws):
    with pytest.raises(SettingsError) as caught:
        aws.function(results="rows", RESULTS_TABLE="", MAX_OBJECT_BYTES="0")
    assert [line.split(" is ")[0] for line in str(caught.value).splitlines()] == ["RESULTS", "RESULTS_TABLE", "MAX_OBJECT_BYTES"]


def test_a_message_that_is_no_event_of_s3_blocks_nothing_and_is_told_as_permanent(aws, capsys):
    good, odd = message(aws.put("good.txt")), message(body="not JSON")
    test_event = message(body='{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "mine-objects"}')
    assert run(aws.function(), odd, good, test_event) == [odd["messageId"]]
    (line,) = lines(capsys, "message")
    assert (line["level"], line["permanent"], line["request_id"]) == ("ERROR", True, odd["messageId"])


def test_a_message_of_several_objects_comes_again_until_all_of_them_have_a_result(aws):
    event = message(aws.put("good.txt", "good"), aws.put("bad.txt", "bad"))
    assert run(aws.function(), event) == [event["messageId"]]
    assert {key for key, _ in aws.rows()} == {"good.txt"}


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:sns"}]}, {"inputs": "a"}])
def test_an_event_that_is_not_sqs_is_an_error_of_the_function(aws, event):
    with pytest.raises(ValueError, match="no batch of SQS messages"):
        aws.function().handle(event, Context())
