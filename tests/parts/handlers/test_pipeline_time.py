"""Whether the time of the event function, as the stack computes it, is enough for whatever a full batch holds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import timeouts
from handlers.functions import waves as waves_module
from handlers.functions.merging import Asked, Limits, plan
from handlers.functions.objects import Content, ObjectInputs
from handlers.functions.outcomes import Outcome
from handlers.functions.pipeline import Pipeline, PipelineSettings
from handlers.functions.problems import DeadlineExceeded
from handlers.functions.versions import Delivery, ObjectVersion
from tests.parts.handlers.event_world import Answer, batch, failed, message, world

PREDICT_S, COLD_START_S = 10, 15
BODY_BYTES, MAX_INPUTS = 300, 4
TEXTS = st.lists(st.text("aä", max_size=70), min_size=1, max_size=12)


class Slow:
    """A model on a clock of its own: every request takes as long as it may, the first one a cold start more."""

    def __init__(self, cold_start_s=COLD_START_S, predict_s=PREDICT_S):
        self.now, self.predict_s = 0.0, predict_s
        self.asked = []
        self._starts_s = cold_start_s

    def invoke(self, body, *, request_id, budget_s):
        took_s, self._starts_s = self._starts_s + self.predict_s, 0
        if took_s > budget_s:
            self.now += max(budget_s, 0)
            raise DeadlineExceeded("late")
        self.now += took_s + timeouts.HOP_S  # the hop is for reading the object and recording its result
        inputs = json.loads(body)["inputs"]
        self.asked.append(inputs)
        return Answer(json.dumps({"outputs": 0.5 if isinstance(inputs, dict) else [[len(text)] for text in inputs]}).encode(), {})

    def context(self, function_s):
        """Lambda's context of a call that begins now."""
        return Running(self, self.now + function_s)


class Running:
    aws_request_id = "lambda-request"

    def __init__(self, model, ends):
        self._model, self._ends = model, ends

    def get_remaining_time_in_millis(self):
        return (self._ends - self._model.now) * 1000


class Kept:
    """Objects and results in memory."""

    def __init__(self, bodies):
        self.bodies, self.reads, self.results = bodies, [], {}

    def read(self, version):
        self.reads.append(version.key)
        return Content(self.bodies[version.key].encode(), "application/json")

    def settled(self, versions):
        return {version.id: Outcome("known") for version in versions if version.id in self.results}

    def record(self, results):
        self.results |= {result.version.id: result.body for result in results}
        return {result.version.id: Outcome("recorded") for result in results}


def deliveries(bodies):
    return [
        Delivery(
            ObjectVersion(
                bucket="b", key=key, version="1", sequencer="0", etag="e", size=len(body.encode()), uri=f"s3://b/{key}", request_id="r"
            ),
            1,
        )
        for key, body in bodies.items()
    ]


def pipeline(kept, model, timeout_s):
    limits = {"min_object_bytes": 1, "max_object_bytes": 1 << 20, "max_result_bytes": 1 << 20, "max_inputs": MAX_INPUTS}
    settings = PipelineSettings(max_body_bytes=BODY_BYTES, timeout_s=timeout_s, task="text-classification", service=None, **limits)
    return Pipeline(kept, model, kept, settings)


def seconds(requests, predict_s=PREDICT_S, cold_start_s=COLD_START_S):
    """What function and endpoint have for a batch of so many requests."""
    chain = timeouts.event_chain(separate_function=True, predict_s=predict_s, cold_start_s=cold_start_s, requests=requests)
    return chain.function_s, chain.endpoint_s


def asked(owner, texts, parameters=0):
    return Asked(owner, ObjectInputs(tuple(texts), True, {"top_k": parameters + 1}), False, "s3://", "r")


@given(st.lists(st.tuples(TEXTS, st.integers(0, 2)), min_size=1, max_size=12))
def test_objects_need_no_more_requests_together_than_each_by_itself(objects):
    limits = Limits(inputs=MAX_INPUTS, body_bytes=BODY_BYTES, merged_bytes=BODY_BYTES)
    items = [asked(owner, texts, parameters) for owner, (texts, parameters) in enumerate(objects)]
    assert len(plan(items, limits)) <= sum(len(plan([item], limits)) for item in items)


@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 20)), min_size=1, max_size=12),
    st.integers(1, 3),
    st.integers(1, 60),
    st.integers(0, 180),
    st.integers(1, 5),
)
def test_whoever_needs_no_more_requests_than_there_is_time_for_has_a_result_at_the_first_attempt(
    objects, each, predict_s, cold_start_s, wave
):
    """Whatever its neighbours need, and in how many waves the batch is read."""
    limits = Limits(inputs=MAX_INPUTS, body_bytes=BODY_BYTES, merged_bytes=BODY_BYTES)
    needs = {f"{owner}.json": len(plan([asked(owner, *one)], limits)) for owner, one in enumerate(objects)}
    bodies = {
        f"{owner}.json": json.dumps({"inputs": texts, "parameters": {"top_k": parameters + 1}})
        for owner, (texts, parameters) in enumerate(objects)
    }
    kept, model = Kept(bodies), Slow(cold_start_s, predict_s)
    ends, endpoint_s = seconds(len(objects) * each, predict_s, cold_start_s)
    told = deliveries(bodies)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waves_module, "MOST_OBJECTS", wave)
        pipeline(kept, model, endpoint_s).run(told, batch_id="b", remaining_s=lambda: ends - model.now)
    have = {key.removeprefix("b/") for key, _ in kept.results}
    assert have >= {key for key, count in needs.items() if count <= each}
    assert model.now <= ends


def run(bodies, requests):
    """A batch of these objects for a function with time for so many requests: the world that it leaves, and the model."""
    kept, model = Kept(bodies), Slow()
    ends, endpoint_s = seconds(requests)
    pipeline(kept, model, endpoint_s).run(deliveries(bodies), batch_id="b", remaining_s=lambda: ends - model.now)
    return kept, model


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize(("wave", "reads"), [(256, 1), (2, 2)])
def test_an_object_without_end_is_worked_on_last_wherever_it_lies(monkeypatch, wave, reads, each):
    """What needs several requests is read a second time only where the batch is too large to be held at once."""
    monkeypatch.setattr(waves_module, "MOST_OBJECTS", wave)
    texts = ["b"] * (1 + MAX_INPUTS * (each - 1))
    bodies = {"endless.json": json.dumps(["a"] * 400)}
    bodies |= {f"{index}.json": json.dumps({"inputs": texts, "parameters": {"top_k": index + 1}}) for index in range(4)}
    kept, model = run(bodies, len(bodies) * each)
    assert {key for key, _ in kept.results} == {f"b/{index}.json" for index in range(4)}
    assert {inputs[0] for inputs in model.asked[: 4 * each]} == {"b"}
    assert {key: kept.reads.count(key) for key in bodies} == {**dict.fromkeys(bodies, 1 if each == 1 else reads), "endless.json": reads}


def test_a_full_batch_of_objects_that_share_no_request_has_all_rows_at_the_first_attempt():
    with world() as aws:
        aws.model = model = Slow()
        bodies = [{"inputs": "text", "parameters": {"top_k": index + 1}} for index in range(10)]
        messages = [message(aws.put(f"{index}.json", json.dumps(body))) for index, body in enumerate(bodies)]
        function_s, endpoint_s = seconds(len(messages))
        function = aws.function(task="text-classification", timeout_s=endpoint_s)
        assert failed(function.handle(batch(*messages), model.context(function_s))) == []
        assert len(model.asked) == 10
        assert {key for key, version in aws.rows() if version != "#latest"} == {f"{index}.json" for index in range(10)}
