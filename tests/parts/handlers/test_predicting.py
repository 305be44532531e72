"""Whatever a batch holds and the model refuses: each object gets the result of its own texts, or its own reason, once."""

import json

from hypothesis import given
from hypothesis import strategies as st

from handlers.functions import problems
from handlers.functions.merging import Asked
from handlers.functions.objects import ObjectInputs
from handlers.functions.outcomes import Outcome
from handlers.functions.predicting import Predictor
from tests.parts.handlers.event_world import Answer

LARGEST = 120
TEXTS = st.lists(st.text(st.sampled_from('aä"\\\n'), min_size=1, max_size=12), min_size=1, max_size=6)
FAULTS = st.sampled_from([[], [], [], [], [], ["bad"], ["broken"]])
OBJECTS = st.lists(st.tuples(TEXTS, FAULTS, st.booleans(), st.sampled_from([0, 1])), min_size=1, max_size=8)


class Model:
    """Answers each text with itself and its request's parameters; refuses, breaks and answers too much as its texts say."""

    def invoke(self, body, *, request_id, budget_s):
        request = json.loads(body)
        texts = request["inputs"]
        if isinstance(texts, dict):
            return Answer(json.dumps({"outputs": texts["uri"]}).encode(), {})
        if "bad" in texts:
            raise problems.InputRefused("bad")
        if "broken" in texts:
            raise problems.ModelFailed("broken")
        answer = json.dumps({"outputs": [[text, request.get("parameters")] for text in texts]}).encode()
        if len(answer) > LARGEST:
            raise problems.AnswerTooLarge("too large")
        return Answer(answer, {})


def predictor_of(model, **more):
    limits = {"max_inputs": 9, "max_body_bytes": 300, "max_result_bytes": 1 << 20, "timeout_s": 9} | more
    return Predictor(model, task="sentence-embedding", service=None, **limits)


def test_requests_of_one_size_that_are_refused_together_make_later_ones_half_as_large_and_no_smaller():
    asked_for = []

    class OfTwo(Model):
        """Answers two texts at a time, and no more."""

        def invoke(self, body, **_):
            texts = json.loads(body)["inputs"]
            asked_for.append(len(texts))
            if len(texts) > 2:
                raise problems.AnswerTooLarge("too large")
            return Answer(json.dumps({"outputs": texts}).encode(), {})

    predictor = predictor_of(OfTwo(), max_inputs=4)
    asked = [Asked(owner, ObjectInputs(("text",), False, {}), False, "s3://", "id") for owner in range(16)]
    for expected in ([4, 2, 2] * 4, [2] * 8, [2] * 8):
        asked_for.clear()
        ended = [owner for part in predictor.predict(asked, batch_id="b", remaining_s=lambda: 60.0) for owner in part]
        assert (sorted(ended), asked_for) == (list(range(16)), expected)


@given(OBJECTS, st.lists(st.booleans(), min_size=8, max_size=8), st.integers(1, 9), st.integers(60, 300))
def test_each_object_ends_once_with_what_its_own_texts_are_answered(objects, alone, most, body_bytes):
    asked = [
        Asked(
            owner, ObjectInputs((*texts, *fault), many or len(texts + fault) > 1, {"p": kind} if kind else {}), alone[owner], "s3://", "id"
        )
        for owner, (texts, fault, many, kind) in enumerate(objects)
    ]
    predictor = predictor_of(Model(), max_inputs=most, max_body_bytes=body_bytes)
    ended = {}
    for part in predictor.predict(asked, batch_id="b", remaining_s=lambda: 60.0):
        assert not ended.keys() & part.keys()
        ended |= part
    assert ended.keys() == set(range(len(objects)))
    for item in asked:
        found, texts = ended[item.owner], item.inputs.texts
        if isinstance(found, Outcome):
            # Refused for a text of its own; failed for one of its own, or with others in one request.
            allowed = {"bad": "bad" in texts, "broken": "broken" in texts or not item.alone, "too large": False}
            assert allowed[found.reason]
            continue
        own = [[text, item.inputs.parameters or None] for text in texts]
        assert json.loads(found)["outputs"] in (own if item.inputs.many else own[0], item.uri)
        assert json.loads(found)["outputs"] == item.uri or not {"bad", "broken"} & set(texts)
