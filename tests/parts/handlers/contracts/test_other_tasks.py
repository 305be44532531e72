"""Tasks with inputs or outputs of their own over the contracts that are not ours: images, labels that the caller chooses, one's own."""

import base64
import io
import json

import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from PIL import Image

from pilotlight.packaging import package_model
from tests.parts.handlers.conftest import _silent, unpacked
from tests.parts.handlers.contracts.conftest import address
from tests.parts.handlers.image_models import image_folder, plain
from tests.parts.handlers.processes import running
from tests.parts.handlers.tiny import write_source

LABELS = {"0": "contradiction", "1": "neutral", "2": "entailment"}
RED = plain((250, 10, 10))


def served(source, task, workshop):
    archive = package_model(str(source), task, "onnx", workshop / "cache", progress=_silent).archive
    return running(workshop, MODEL_DIR=str(unpacked(archive, workshop / f"served-{task}")))


@pytest.fixture(scope="module")
def judge(workshop):
    with served(write_source(workshop / "contract-judge", id2label=LABELS), "zero-shot-classification", workshop) as started:
        yield started


@pytest.fixture(scope="module")
def colours(workshop):
    with served(image_folder(workshop / "contract-colours"), "image-classification", workshop) as started:
        yield started


def test_hugging_faces_client_reads_labels_that_it_chose(judge):
    found = InferenceClient(model=address(judge), token="none").zero_shot_classification("cold start", ["cloud", "sleep"])
    body = {"inputs": "cold start", "parameters": {"candidate_labels": ["cloud", "sleep"]}}
    expected = judge.predict(body).json()["outputs"]
    assert [(each.label, each.score) for each in found] == list(zip(expected["labels"], expected["scores"], strict=True))


def test_hugging_faces_client_reads_entities(workshop):
    source = write_source(workshop / "contract-tagger", id2label=LABELS, architectures=["BertForTokenClassification"])
    with served(source, "token-classification", workshop) as tagger:
        found = InferenceClient(model=address(tagger), token="none").token_classification("cold start", aggregation_strategy="simple")
        body = {"inputs": "cold start", "parameters": {"aggregation_strategy": "simple"}}
        expected = tagger.predict(body).json()["outputs"]
    assert expected
    assert [(each.word, each.entity_group, each.start, each.end) for each in found] == [
        (each["word"], each["entity_group"], each["start"], each["end"]) for each in expected
    ]


@pytest.mark.parametrize("top_k", [None, 2])
def test_hugging_faces_client_sends_images_by_themselves_and_with_parameters(colours, tmp_path, top_k):
    # By its name the client knows what it is; with parameters it goes as base64.
    (tmp_path / "red.png").write_bytes(RED)
    found = InferenceClient(model=address(colours), token="none").image_classification(tmp_path / "red.png", top_k=top_k)
    parameters = {} if top_k is None else {"top_k": top_k}
    expected = colours.predict({"inputs": base64.b64encode(RED).decode(), "parameters": parameters}).json()["outputs"]
    assert [(each.label, each.score) for each in found] == [(each["label"], each["score"]) for each in expected]


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("encoding", ["PNG", "JPEG"])
def test_hugging_faces_client_sends_the_bytes_of_images_without_a_word_on_what_they_are(colours, encoding, top_k):
    image = io.BytesIO()
    Image.open(io.BytesIO(RED)).save(image, encoding)
    found = InferenceClient(model=address(colours), token="none").image_classification(image.getvalue(), top_k=top_k)
    assert found[0].label == "red"
    # Only where nothing is said.
    said = colours.client.post("/", content=image.getvalue(), headers={"content-type": "application/json"})
    assert said.status_code == 400


def test_bytes_of_an_image_are_no_json_to_a_model_of_texts(judge):
    assert judge.client.post("/", content=RED).status_code == 400


def test_what_has_no_tensor_of_its_own_is_json_in_one(judge):
    name = judge.client.get("/v1/models").json()["data"][0]["id"]
    tensor = triton.InferInput("inputs", [2], "BYTES")
    tensor.set_data_from_numpy(np.array(["cold", "warm"], dtype=np.object_))
    with triton.InferenceServerClient(f"127.0.0.1:{judge.port}") as client:
        told = client.infer(name, [tensor], parameters={"candidate_labels": "cloud,sleep"}).as_numpy("outputs")
    body = {"inputs": ["cold", "warm"], "parameters": {"candidate_labels": "cloud,sleep"}}
    assert [json.loads(each) for each in told] == judge.predict(body).json()["outputs"]


def test_images_in_base64_are_texts_to_the_others(colours):
    encoded = base64.b64encode(RED).decode()
    expected = colours.predict({"inputs": [encoded]}).json()["outputs"]
    assert colours.client.post("/score", json={"input_data": [encoded]}).json() == expected
    assert colours.client.post("/predictions", json={"input": {"inputs": [encoded]}}).json()["output"] == expected
