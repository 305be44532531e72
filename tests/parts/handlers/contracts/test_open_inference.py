"""The Open Inference Protocol v2 with Triton's own client, in JSON and in binary."""

import json
import struct

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.parts.handlers.contracts.conftest import NAME, problem
from tests.parts.handlers.tiny import HIDDEN

TEXTS = ["cold start", "warm 服务", ""]
JSON = {"content-type": "application/json"}


def client(server):
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


def tensor(texts, *, binary=True, shape=None):
    array = np.array(texts, dtype=np.object_).reshape(shape or (len(texts),))
    made = triton.InferInput("inputs", list(array.shape), "BYTES")
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def name_of(server):
    return server.client.get("/v1/models").json()["data"][0]["id"]


def test_server_and_model_tell_what_they_are(embedder):
    with client(embedder) as asked:
        assert asked.is_server_live()
        assert asked.is_server_ready()
        assert asked.is_model_ready(NAME)
        assert asked.is_model_ready(NAME, "1")
        assert not asked.is_model_ready("other")
        assert asked.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        told = asked.get_model_metadata(NAME)
    assert told["inputs"] == [{"name": "inputs", "datatype": "BYTES", "shape": [-1]}]
    assert told["outputs"] == [{"name": "outputs", "datatype": "FP32", "shape": [-1, -1]}]


@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)], ids=str)
def test_vectors_are_the_models_in_either_form(embedder, binary_in, binary_out, shape):
    wanted = [triton.InferRequestedOutput("outputs", binary_data=binary_out)]
    with client(embedder) as asked:
        found = asked.infer(NAME, [tensor(TEXTS, binary=binary_in, shape=shape)], outputs=wanted, request_id="mine")
    expected = np.array(embedder.predict({"inputs": TEXTS}).json()["outputs"], dtype=np.float32)
    assert np.array_equal(found.as_numpy("outputs"), expected)
    assert found.get_response()["id"] == "mine"
    assert found.get_response()["model_name"] == NAME


def test_every_output_comes_in_binary_when_none_is_named(embedder):
    with client(embedder) as asked:
        found = asked.infer(NAME, [tensor(TEXTS)], model_version="1")
    assert found.get_output("outputs")["parameters"] == {"binary_data_size": 3 * HIDDEN * 4}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("top_k", "shape"), [(None, (2,)), (2, (2, 2))])
def test_labels_and_scores_are_two_outputs(labeller, binary, top_k, shape):
    given = {} if top_k is None else {"top_k": top_k}
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("score", "label")]
    with client(labeller) as asked:
        found = asked.infer(name_of(labeller), [tensor(["cold", "warm"])], outputs=wanted, parameters=given)
    expected = labeller.predict({"inputs": ["cold", "warm"], "parameters": given}).json()["outputs"]
    labels, scores = found.as_numpy("label"), found.as_numpy("score")
    assert labels.shape == scores.shape == shape
    read = [each for row in expected for each in (row if isinstance(row, list) else [row])]
    assert [label.decode() if isinstance(label, bytes) else label for label in labels.ravel()] == [each["label"] for each in read]
    assert np.array_equal(scores.ravel(), np.array([each["score"] for each in read], dtype=np.float32))


def test_features_are_one_tensor_where_the_texts_are_equally_long(server):
    with client(server) as asked:
        found = asked.infer(name_of(server), [tensor(["cold start", "warm cloud"])]).as_numpy("outputs")
        assert found.shape == (2, 4, HIDDEN)
        with pytest.raises(InferenceServerException, match="one by one") as refused:
            asked.infer(name_of(server), [tensor(["cold", "warm cloud"])])
    assert refused.value.status() == "422"


def test_another_model_or_version_is_refused_by_name(embedder):
    with client(embedder) as asked:
        for model, version in (("other", ""), (NAME, "2")):
            with pytest.raises(InferenceServerException) as refused:
                asked.infer(model, [tensor(TEXTS)], model_version=version)
            assert refused.value.status() == "404"
        with pytest.raises(InferenceServerException, match="this model has outputs"):
            asked.infer(NAME, [tensor(TEXTS)], outputs=[triton.InferRequestedOutput("logits")])
        with pytest.raises(InferenceServerException, match="parameters' has classification"):
            asked.infer(NAME, [tensor(TEXTS)], outputs=[triton.InferRequestedOutput("outputs", class_count=2)])


def test_what_triton_has_and_this_server_has_not_is_refused_as_its_client_reads_it(embedder):
    with client(embedder) as asked:
        for ask in (asked.get_model_repository_index, asked.get_trace_settings):
            with pytest.raises(InferenceServerException, match="tells every other route") as refused:
                ask()
            assert refused.value.status() == "404"
        answer = embedder.client.get(f"/v2/models/{NAME}/infer")
        assert (problem(answer), answer.json()["error"]) == ((405, "method-not-allowed"), answer.json()["detail"])


def infer(server, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.client.post(f"/v2/models/{NAME}/infer", content=content, headers=JSON | headers)


def given(**changes):
    return {"inputs": [{"name": "inputs", "shape": [1], "datatype": "BYTES", "data": ["cold"]} | changes]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "has no 'inputs'"),
        ({"inputs": []}, "a list of 0"),
        ({"inputs": {}}, "an object"),
        ({"inputs": ["cold"]}, "'inputs[0]' is a text"),
        (given(name="text"), "one input"),
        (given(datatype="FP32"), "datatype 'BYTES'"),
        (given(shape=[2]), "has 1 texts, and its shape says 2"),
        (given(shape=[1, 2]), "[n] or [n, 1]"),
        (given(shape=[]), "'inputs[0].shape' is a list"),
        (given(shape=[9]), "from 1 to 8"),
        (given(shape=[10**30]), "from 1 to 8"),
        (given(shape=[-1]), "from 1 to 8"),
        (given(shape="1"), "is a text"),
        (given(shape=[True]), "[n] or [n, 1]"),
        (given(data="cold"), "'inputs[0].data' is a text"),
        (given(data=[7]), "'inputs[0].data[0]' is a number"),
        (given(parameters={"binary_data_size": 8}), "has 'data' and 'binary_data_size'"),
        (given(parameters={"shared_memory_region": "a"}), "shared_memory_region"),
        (given() | {"outputs": [{"name": 1}]}, "'outputs[0].name' is a number"),
        (given() | {"outputs": {}}, "'outputs' is an object"),
        (given() | {"id": 1}, "'id' is a number"),
        (given() | {"parameters": {"binary_data_output": 1}}, "'binary_data_output'"),
        (given() | {"parameters": {"sequence_id": 1}}, "sequence_id"),
    ],
    ids=str,
)
def test_what_is_not_meant_is_refused_by_name(embedder, body, said):
    answer = infer(embedder, body)
    assert problem(answer) == (422, "input-refused")
    assert said in answer.json()["error"]


def packed(*texts):
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("tail", "size", "expected"),
    [
        (packed(b"cold"), 8, 200),
        (packed(b"cold"), 7, 422),
        (packed(b"cold"), 10**40, 422),
        (packed(b"cold"), -8, 422),
        (packed(b"cold"), "8", 422),
        (packed(b"cold", b"warm"), 16, 422),
        (b"", 0, 422),
        (b"\xff\xff\xff\xffcold", 8, 400),
        (b"\x04\x00", 2, 400),
        (packed(b"\xff\xfe"), 6, 400),
        (packed(*[b""] * 1000), 4000, 422),
    ],
    ids=str,
)
def test_a_binary_tensor_is_read_to_the_byte(embedder, tail, size, expected):
    value = given(parameters={"binary_data_size": size})
    del value["inputs"][0]["data"]
    head = json.dumps(value).encode()
    answer = infer(embedder, head + tail, **{"inference-header-content-length": str(len(head))})
    assert answer.status_code == expected, answer.text
    if expected != 200:
        problem(answer)


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "99999", "9" * 30, ""])
def test_a_length_of_the_json_that_can_not_be_is_refused(embedder, length):
    assert problem(infer(embedder, given(), **{"inference-header-content-length": length})) == (422, "input-refused")


def test_bytes_behind_the_json_that_no_tensor_owns_are_refused(embedder):
    head = json.dumps(given()).encode()
    answer = infer(embedder, head + b"more", **{"inference-header-content-length": str(len(head))})
    assert "4 bytes come behind" in answer.json()["error"]
