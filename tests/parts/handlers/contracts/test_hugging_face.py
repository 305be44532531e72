"""Hugging Face's contract with its own client, `huggingface_hub.InferenceClient`."""

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.parts.handlers.contracts.conftest import address, problem
from tests.parts.handlers.tiny import HIDDEN


def client(server):
    return InferenceClient(model=address(server), token="none")


def test_features_are_the_pipelines(server):
    found = client(server).feature_extraction("cold start")
    assert found.shape == (1, 4, HIDDEN)
    assert np.array_equal(found, np.array(server.predict({"inputs": "cold start"}).json()["outputs"], dtype=np.float32))


def test_sentence_vectors_come_as_they_are_or_with_length_1(embedder):
    plain = client(embedder).feature_extraction("cold start", truncate=True)
    assert np.array_equal(plain, np.array(embedder.predict({"inputs": "cold start"}).json()["outputs"], dtype=np.float32))
    normal = client(embedder).feature_extraction("cold start", normalize=True)
    assert np.linalg.norm(plain) != pytest.approx(1, abs=0.1)
    assert normal == pytest.approx(plain / np.linalg.norm(plain), abs=1e-6)


def test_sentences_are_compared_by_their_cosines(embedder):
    sentence, others = "cold start", ["cold start", "warm cloud", "call"]
    found = client(embedder).sentence_similarity(sentence, others)
    vectors = np.array(embedder.predict({"inputs": [sentence, *others]}).json()["outputs"])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found == pytest.approx((vectors[1:] @ vectors[0]).tolist(), abs=1e-5)
    assert found[0] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("top_k", "count"), [(None, 3), (2, 2)])
def test_labels_are_all_of_them_unless_it_is_said_how_many(labeller, top_k, count):
    found = client(labeller).text_classification("cold", top_k=top_k)
    parameters = {"top_k": count}
    expected = labeller.predict({"inputs": "cold", "parameters": parameters}).json()["outputs"]
    assert [(each.label, each.score) for each in found] == [(each["label"], each["score"]) for each in expected]


def test_a_list_of_texts_has_a_list_of_labels_each(labeller):
    found = labeller.client.post("/", json={"inputs": ["cold", "warm"], "options": {"wait_for_model": True}}).json()
    assert [len(each) for each in found] == [3, 3]
    assert [found[0]] == labeller.client.post("/", json={"inputs": "cold"}).json()


def test_a_problem_is_what_the_client_reads(server):
    with pytest.raises(HfHubHTTPError, match="prompt_name") as refused:
        client(server).feature_extraction("cold", prompt_name="query")
    assert refused.value.response.status_code == 422


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "The body is a list"),
        ({}, "has no 'inputs'"),
        ({"inputs": "a", "x": 1}, "has x"),
        ({"inputs": 1}, "'inputs' is a number"),
        ({"inputs": []}, "0 texts"),
        ({"inputs": "a", "parameters": 1}, "'parameters' is a number"),
        ({"inputs": "a", "options": {"use_gpu": True}}, "use_gpu"),
        ({"inputs": "a", "options": {"use_cache": 1}}, "knows true, false"),
        ({"inputs": "a", "truncate": False}, "knows true"),
        ({"inputs": "a", "truncation_direction": "left"}, "'truncation_direction'"),
        ({"inputs": "a", "normalize": [[[]]]}, "'normalize' is a list"),
        ({"inputs": {"source_sentence": "a"}}, "has no 'sentences'"),
        ({"inputs": {"source_sentence": "a", "sentences": "b"}}, "'inputs.sentences' is a text"),
        ({"inputs": {"source_sentence": ["a", "b"], "sentences": ["b"]}}, "1 to 1"),
        ({"inputs": {"source_sentence": "a", "sentences": ["b"] * 8}}, "1 to 7"),
        ({"inputs": {"source_sentence": "a", "sentences": ["b"]}, "stream": True}, "'stream' is true: this server knows false"),
        ({"inputs": "a", "parameters": {"top_k": 1}}, "takes none"),
    ],
    ids=str,
)
def test_what_is_not_meant_is_refused_by_name(embedder, body, said):
    answer = embedder.client.post("/", json=body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["detail"]
    assert answer.json()["error"] == answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [{"inputs": "a", "normalize": True}, {"inputs": {"source_sentence": "a", "sentences": ["b"]}}],
    ids=["normalize", "comparison"],
)
def test_what_makes_no_sense_for_the_models_task_is_refused_by_name(server, labeller, body):
    for asked, task in ((server, "feature-extraction"), (labeller, "text-classification")):
        answer = asked.client.post("/", json=body)
        assert problem(answer) == (422, "task-mismatch")
        assert task in answer.json()["detail"]
        assert "sentence-embedding" in answer.json()["detail"]


@pytest.mark.parametrize("parameters", [[], {"no_such": 1}])
def test_a_comparisons_parameters_are_not_passed_over(embedder, parameters):
    body = {"inputs": {"source_sentence": "cold", "sentences": ["warm"]}, "parameters": parameters}
    assert problem(embedder.client.post("/", json=body)) == (422, "input-refused")
