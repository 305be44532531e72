"""What one object may do to its neighbours, to the function's memory and to its time: the process that dies, results without end."""

import json

import pytest

from handlers.functions import pipeline, problems
from handlers.functions.aws.results import INLINE_BYTES
from tests.parts.handlers.event_world import BUCKET, Answer, Context, batch, failed, message, world


@pytest.fixture
def aws():
    with world() as made:
        yield made


class Killed(BaseException):
    """The end of a process, which no handler of exceptions can hold up."""


class Watched:
    """A model that does something before it answers."""

    def __init__(self, model, before):
        self._model, self._before = model, before

    def invoke(self, body, **asked):
        self._before(json.loads(body)["inputs"])
        return self._model.invoke(body, **asked)


def versions(aws):
    return {key for key, version in aws.rows() if version != "#latest"}


def lines(capsys):
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {line["object"].removeprefix(f"{BUCKET}/"): line for line in found if line.get("event") == "object"}


@pytest.mark.parametrize("place", [0, 4, 9])
def test_an_object_that_ends_the_process_takes_no_neighbour_along_to_the_dead_letters(aws, place):
    def kill(texts):
        if any("deadly" in text for text in texts):
            raise Killed

    names = [f"{index}.txt" for index in range(10)]
    waiting = [message(aws.put(name, "deadly" if index == place else f"{index:06}")) for index, name in enumerate(names)]
    aws.model = Watched(aws.model, kill)
    for attempt in range(1, 6):
        again = [each | {"attributes": {"ApproximateReceiveCount": str(attempt)}} for each in waiting]
        try:
            left = failed(aws.function().handle(batch(*again), Context()))
        except Killed:
            continue
        waiting = [each for each in waiting if each["messageId"] in left]
    assert versions(aws) == {name for index, name in enumerate(names) if index != place}


def test_an_object_of_many_requests_that_ends_the_process_takes_none_along_that_need_fewer(aws):
    def kill(texts):
        if "deadly" in texts:
            raise Killed

    many = message(aws.put("many.jsonl", '"a"\n' * 9 + '"deadly"\n'))
    aws.model = Watched(aws.model, kill)
    function = aws.function(max_inputs=4)
    with pytest.raises(Killed):
        function.handle(batch(many, *(message(aws.put(f"{index}.txt")) for index in range(3))), Context())
    assert versions(aws) == {f"{index}.txt" for index in range(3)}


def test_results_are_recorded_before_they_fill_the_memory(aws, monkeypatch):
    monkeypatch.setattr(pipeline, "RECORD_BYTES", 30)
    seen = []
    aws.model = Watched(aws.model, lambda texts: seen.append(len(versions(aws))))
    records = [aws.put(f"{index}.txt") for index in range(8)]
    assert failed(aws.function(max_inputs=2).handle(batch(*map(message, records)), Context())) == []
    assert seen == [0, 0, 4, 4]
    assert len(versions(aws)) == 8


def test_an_object_whose_result_would_fill_the_memory_is_refused_and_its_neighbours_are_not(aws, capsys):
    class Long:
        def invoke(self, body, **asked):
            texts = json.loads(body)["inputs"]
            return Answer(json.dumps({"outputs": ["x" * 1_000_000 for _ in texts]}).encode(), {})

    aws.model = Long()
    many, one = message(aws.put("many.jsonl", '"a"\n' * 40)), message(aws.put("one.txt", "a"))
    function = aws.function(max_inputs=4, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="128")
    assert failed(function.handle(batch(many, one), Context())) == [many["messageId"]]
    told = lines(capsys)
    assert told["one.txt"]["outcome"] == "recorded"
    assert (told["many.jsonl"]["permanent"], told["many.jsonl"]["reason"]) == (
        True,
        "The object's result has more than 16777216 bytes: split the object, or give the function more memory.",
    )


def test_when_the_time_is_over_no_further_object_is_read(aws, monkeypatch):
    known, new = (message(aws.put(f"{name}.txt")) for name in ("known", "new"))
    aws.function().handle(batch(known), Context())
    read = []
    monkeypatch.setattr(aws.s3, "get_object", lambda **asked: read.append(asked))
    assert failed(aws.function().handle(batch(known, new), Context(remaining_ms=2500))) == [new["messageId"]]
    assert read == []


def test_a_reference_whose_answer_is_too_large_makes_no_other_request_smaller(aws):
    def refuse(inputs):
        if isinstance(inputs, dict):
            raise problems.AnswerTooLarge("The answer is too large.")

    model, aws.model = aws.model, Watched(aws.model, refuse)
    function = aws.function()
    large = message(aws.put("large.json", json.dumps(["x" * 5000, "y"]), "application/json"))
    assert failed(function.handle(batch(large), Context())) == [large["messageId"]]
    assert failed(function.handle(batch(*(message(aws.put(f"{index}.txt")) for index in range(8))), Context())) == []
    assert [len(texts) for texts in model.texts] == [8]


def test_a_large_result_stays_what_its_row_was_written_for(aws):
    """Two workers with the same message, whose models do not agree to the last digit."""

    class Fixed:
        def __init__(self, letter):
            self._letter = letter

        def invoke(self, body, **asked):
            return Answer(json.dumps({"outputs": [self._letter * INLINE_BYTES]}, separators=(",", ":")).encode(), {})

    event = message(aws.put("a.txt"))
    aws.model = Fixed("first")
    first = aws.function()
    aws.model = Watched(Fixed("second"), lambda _: first.handle(batch(event), Context()))
    assert failed(aws.function().handle(batch(event), Context())) == []
    (row,) = [row for (_, version), row in aws.rows().items() if version != "#latest"]
    bucket, _, key = row["resultUri"].removeprefix("s3://").partition("/")
    assert aws.s3.get_object(Bucket=bucket, Key=key)["Body"].read().startswith(b'{"outputs":"first')


def test_a_reference_to_an_object_without_versions_names_the_content_that_was_meant():
    with world(versioned=False) as aws:
        record = aws.put("a.txt", "x" * 5000)
        assert failed(aws.function().handle(batch(message(record)), Context())) == []
        assert aws.model.requests == [{"inputs": {"uri": f"s3://{BUCKET}/a.txt?etag={record['s3']['object']['eTag']}"}}]
