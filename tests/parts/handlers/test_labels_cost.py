"""Labels that a caller chooses are passes through the model: what a request counts for in a batch, and in what others would wait."""

import asyncio
import threading
import time

import pytest

from handlers.engines.loading import load
from handlers.functions.parameters import MOST_LABELS, passes
from handlers.functions.requests import PredictionRequest
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.test_text_tasks import INFERENCE, package

BATCH = 8


class Held:
    """A service whose model begins no batch before it is let go; `batches` are the requests of each that it has begun."""

    def __init__(self, folder):
        self.go = threading.Event()
        self.batches = []
        self.service = Service(HandlerSettings(model_dir=folder, batch_size=BATCH), Stages(0.0), self._load)
        self.service.start()
        self.service.worker.loaded.result(timeout=30)
        self.batches.clear()

    def _load(self, settings, mark):
        loaded = load(settings, mark)
        together = loaded.model.predict_together

        def held(asked):
            self.batches.append(len(asked))
            if self.service.worker.loaded.done():
                assert self.go.wait(30)
            return together(asked)

        loaded.model.predict_together = held
        return loaded

    async def all_of(self, first, *others):
        """The bodies of their answers, and what those cost together that wait while the first is computed."""
        asked = [self._begun(first)]
        await self._until(lambda: self.batches)
        asked += [self._begun(each) for each in others]
        await self._until(lambda: self.service.worker.waiting == len(others))
        cost = self.service.worker._jobs._jobs_cost
        self.go.set()
        return [(await each).body for each in asked], cost

    def _begun(self, request):
        return asyncio.ensure_future(self.service.answer(request, "a"))

    async def _until(self, condition):
        until = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < until
            await asyncio.sleep(0.001)


@pytest.fixture
def held(workshop):
    made = Held(package(workshop, "inference", "zero-shot-classification", id2label=INFERENCE))
    yield made
    made.go.set()


def asked(labels, texts=1):
    return PredictionRequest(("cold start",) * texts, texts > 1, {"candidate_labels": labels})


LABELS = ["warm", "cloud", "sleep", "call", "cold"]


@pytest.mark.parametrize(
    ("waiting", "batches"),
    [
        ([asked(LABELS[:2])] * 4, [1, 4]),
        ([asked(LABELS)] * 3, [1, 1, 1, 1]),
        ([asked(",".join(LABELS))] * 2, [1, 1, 1]),
        ([asked(LABELS[:2], texts=3), asked(LABELS[:2]), asked(LABELS[:1])], [1, 2, 1]),
    ],
    ids=["few labels", "many labels", "a text of labels", "texts and labels"],
)
def test_a_batch_has_as_many_texts_and_labels_as_inputs(held, waiting, batches):
    bodies, _ = asyncio.run(held.all_of(asked(["warm"]), *waiting))
    assert held.batches == batches
    assert all(b'"scores":[' in body for body in bodies)


def test_what_others_would_wait_grows_with_the_labels(held):
    _, cost = asyncio.run(held.all_of(asked(["warm"]), asked(LABELS, texts=2), asked(["warm"])))
    assert cost == 11 * (60 + len("cold start"))


@pytest.mark.parametrize("labels", [None, 7, {}, [], "", ["a"], "a"], ids=str)
def test_what_is_no_list_of_labels_counts_once_until_it_is_refused(labels):
    assert passes({"candidate_labels": labels}) == passes({}) == 1


def test_more_labels_than_there_may_be_count_for_no_more():
    assert passes({"candidate_labels": ["a"] * 5000}) == passes({"candidate_labels": "," * 5000}) == MOST_LABELS
