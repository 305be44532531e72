"""OpenAI's embeddings with its own client."""

import base64

import numpy as np
import pytest
from openai import APIStatusError, NotFoundError, OpenAI, UnprocessableEntityError

from tests.parts.handlers.contracts.conftest import NAME, address, problem

TEXTS = ["cold start", "warm", "sleep cloud call"]


@pytest.fixture
def client(embedder):
    with OpenAI(base_url=f"{address(embedder)}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.mark.parametrize("encoding", ["float", "base64", None], ids=str)
def test_vectors_are_the_models_in_either_encoding(client, embedder, encoding):
    given = {} if encoding is None else {"encoding_format": encoding}
    found = client.embeddings.create(input=TEXTS, model=NAME, **given)
    expected = np.array(embedder.predict({"inputs": TEXTS}).json()["outputs"], dtype=np.float32)
    # Asked for by name it is the caller who decodes it; else the client asks for base64 and decodes.
    read = (lambda text: np.frombuffer(base64.b64decode(text), "<f4")) if encoding == "base64" else np.float32
    assert np.array_equal([read(each.embedding) for each in found.data], expected)
    assert [each.index for each in found.data] == [0, 1, 2]
    assert (found.object, found.model) == ("list", NAME)


def test_usage_counts_the_tokens_that_were_computed(client):
    # [CLS] and [SEP] belong to each text; what is longer than the model's 64 is cut.
    assert client.embeddings.create(input="cold start", model=NAME).usage.prompt_tokens == 4
    assert client.embeddings.create(input=["cold", "cold " * 500], model=NAME).usage.total_tokens == 3 + 64


def test_the_one_model_is_listed_and_found(client, embedder):
    (listed,) = client.models.list().data
    assert (listed.id, listed.owned_by) == (NAME, "pilotlight")
    assert client.models.retrieve(NAME) == listed
    with pytest.raises(NotFoundError):
        client.models.retrieve("gpt")


def test_another_model_is_not_found_as_its_clients_know_it(client):
    with pytest.raises(NotFoundError, match=NAME) as refused:
        client.embeddings.create(input="cold", model="text-embedding-3-small")
    assert refused.value.code == "model-unknown"
    assert refused.value.type == "invalid_request_error"


def test_what_openai_has_and_this_server_has_not_is_refused_as_its_client_reads_it(client):
    with pytest.raises(NotFoundError, match="tells every other route") as unknown:
        client.images.generate(prompt="a cloud", model=NAME)
    with pytest.raises(APIStatusError, match="takes GET") as method:
        client.models.delete(NAME)
    found = [(refused.value.status_code, refused.value.code, refused.value.type) for refused in (unknown, method)]
    assert found == [(404, "route-unknown", "invalid_request_error"), (405, "method-not-allowed", "invalid_request_error")]


def test_a_task_without_sentence_vectors_is_refused_by_name(labeller):
    with OpenAI(base_url=f"{address(labeller)}/v1", api_key="none", max_retries=0) as client:
        name = client.models.list().data[0].id
        with pytest.raises(UnprocessableEntityError, match="text-classification") as refused:
            client.embeddings.create(input="cold", model=name)
    assert refused.value.code == "task-mismatch"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"input": "a"}, "has no 'model'"),
        ({"input": "a", "model": 1}, "'model' is a number"),
        ({"input": [1, 2], "model": NAME}, "holds numbers"),
        ({"input": [[1, 2]], "model": NAME}, "holds numbers"),
        ({"input": ["a", 1], "model": NAME}, "'input[1]' is a number"),
        ({"input": [], "model": NAME}, "'input' has 0 texts"),
        ({"input": ["a"] * 9, "model": NAME}, "1 to 8"),
        ({"input": None, "model": NAME}, "'input' is null"),
        ({"input": "a", "model": NAME, "encoding_format": "hex"}, '"base64"'),
        ({"input": "a", "model": NAME, "dimensions": 32}, "have 64"),
        ({"input": "a", "model": NAME, "dimensions": True}, "'dimensions' is a boolean"),
        ({"input": "a", "model": NAME, "stream": True}, "has stream"),
    ],
    ids=str,
)
def test_what_is_not_meant_is_refused_by_name(embedder, body, said):
    answer = embedder.client.post("/v1/embeddings", json=body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["error"]["message"]


def test_dimensions_that_are_the_models_own_are_taken(client):
    assert len(client.embeddings.create(input="a", model=NAME, dimensions=64).data[0].embedding) == 64
