"""Written texts by every contract that has them, over the whole server but for its socket, with the real clients."""

import asyncio
import socket
import threading
import time
from pathlib import Path

import orjson
import pytest
from huggingface_hub import InferenceClient
from openai import InternalServerError, NotFoundError, OpenAI, UnprocessableEntityError
from starlette.testclient import TestClient

from handlers.engines.loading import Loaded
from handlers.functions.requests import PredictionRequest
from handlers.server.app import App
from handlers.server.contracts.generated import known
from handlers.server.contracts.openai_texts import translated_chat
from handlers.server.service import Service
from handlers.server.stages import Stages
from handlers.settings import HandlerSettings
from tests.parts.handlers.alphabet import CONTEXT, alphabet_model, manifest
from tests.parts.handlers.contracts.conftest import problem

MODEL = "alphabet"
USER = {"role": "user", "content": "t"}
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def serving(pause_s=0.0, places=2, *, sound=False, **settings):
    model = alphabet_model(pause_s, places, sound=sound)
    made = Service(
        HandlerSettings(model_dir=Path("/nowhere"), batch_size=places, **settings),
        Stages(0.0),
        lambda *_: Loaded(manifest(), model, ("cpu",)),
    )
    made.start()
    made.worker.loaded.result(timeout=30)
    return made, model


@pytest.fixture(scope="module")
def client():
    return TestClient(App(serving()[0]))


@pytest.fixture(scope="module")
def openai(client):
    return OpenAI(base_url="http://testserver/v1", api_key="none", max_retries=0, http_client=client)


def events(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream"
    return [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]


def test_our_own_contract_and_those_that_are_bare(client):
    row = {"generated_text": "wxyz", "finish_reason": "stop", "prompt_tokens": 1, "generated_tokens": 4}
    for route in ("/predict", "/invocations"):
        assert client.post(route, json={"inputs": "v"}).json() == {"outputs": [row]}
    asked = {"inputs": ["v", "y"], "parameters": {"max_new_tokens": 1, "return_full_text": True}}
    assert [each["generated_text"] for (each,) in client.post("/predict", json=asked).json()["outputs"]] == ["vw", "yz"]
    assert client.post("/score", json={"inputs": "v"}).json() == [row]
    assert client.post("/predictions", json={"input": {"inputs": "v"}}).json()["output"] == [row]
    tensor = {"inputs": [{"name": "inputs", "shape": [1], "datatype": "BYTES", "data": ["v"]}]}
    (output,) = client.post(f"/v2/models/{MODEL}/infer", json=tensor).json()["outputs"]
    assert (output["datatype"], [orjson.loads(each) for each in output["data"]]) == ("BYTES", [[row]])


def test_completions_whole_and_streamed(openai):
    asked = {"model": MODEL, "prompt": "s", "temperature": 0, "max_tokens": 5}
    whole = openai.completions.create(**asked)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == ("tuvwx", "length")
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (1, 5, 6)
    chunks = list(openai.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert [chunk.choices[0].text for chunk in chunks if chunk.choices] == [*"tuvwx", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None] * 5 + ["length"]
    assert (chunks[-1].usage, {chunk.id for chunk in chunks}) == (whole.usage, {chunks[0].id})
    assert [each.text for each in openai.completions.create(**(asked | {"prompt": ["x", "a"]})).choices] == ["yz", "bcdef"]
    assert openai.completions.create(**asked, echo=True, stop="w").choices[0].text == "stuv"
    assert openai.completions.create(model=MODEL, prompt="a", temperature=0).usage.completion_tokens == 16


def test_chats_whole_and_streamed(openai):
    asked = {"model": MODEL, "messages": [{"role": "system", "content": "no "}, {"role": "user", "content": "t"}], "temperature": 0}
    whole = openai.chat.completions.create(**asked)
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("uvwxyz", "stop")
    chunks = list(openai.chat.completions.create(**asked, stream=True, max_completion_tokens=3))
    assert [(chunk.choices[0].delta.content, chunk.choices[0].finish_reason) for chunk in chunks] == [
        *((letter, None) for letter in "uvw"),
        (None, "length"),
    ]
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", None, None, None]
    # The client's own helper puts all of them together.
    with openai.chat.completions.stream(**asked) as stream:
        written = stream.get_final_completion().choices[0].message
    assert (written.role, written.content) == ("assistant", "uvwxyz")
    # What was answered goes back among the messages, with all that it lacks.
    again = [*asked["messages"], whole.choices[0].message.model_dump(), {"role": "user", "content": "t"}]
    assert openai.chat.completions.create(model=MODEL, messages=again, temperature=0).choices[0].message.role == "assistant"
    with pytest.raises(UnprocessableEntityError, match="no developers"):
        openai.chat.completions.create(model=MODEL, messages=[{"role": "developer", "content": "t"}])


def test_values_that_change_nothing_or_have_one_meaning_are_taken(client, openai):
    likeliest = openai.completions.create(model=MODEL, prompt="a", top_p=0, max_tokens=4, logit_bias={}).choices[0].text
    assert likeliest == openai.completions.create(model=MODEL, prompt="a", temperature=0, max_tokens=4).choices[0].text
    drawn = {openai.completions.create(model=MODEL, prompt="a", seed=-1, max_tokens=4).choices[0].text for _ in range(3)}
    assert len(drawn) == 1
    for body in ({"seed": -(2**63) - 1}, {"seed": -0.5}, {"top_p": False}, {"logit_bias": {"1": 2}}):
        assert problem(client.post("/v1/completions", json={"model": MODEL, "prompt": "a", **body})) == (422, "input-refused"), body
    said = {"modalities": ["text"], "service_tier": "auto", "parallel_tool_calls": True, "tools": [], "metadata": None}
    chat = {"model": MODEL, "messages": [USER], "max_tokens": 2, "temperature": 0}
    assert client.post("/v1/chat/completions", json=chat | said).status_code == 200
    for name in said:
        answer = client.post("/v1/chat/completions", json=chat | {name: ["other"]})
        assert problem(answer) == (422, "input-refused"), name


def test_usage_is_null_until_it_is_told(openai):
    chunks = list(
        openai.completions.create(model=MODEL, prompt="a", temperature=0, max_tokens=2, stream=True, stream_options={"include_usage": True})
    )
    told = [chunk.model_dump().get("usage", "absent") for chunk in chunks]
    assert told[:-1] == [None] * (len(chunks) - 1)
    assert told[-1]["completion_tokens"] == 2
    assert all("usage" in chunk.model_fields_set for chunk in chunks)


def test_hugging_faces_client_chats_with_an_address_alone(writer):
    hub = InferenceClient(base_url=f"{writer.client.base_url}".rstrip("/") + "/v1", token="none")
    asked = {"messages": [{"role": "user", "content": "abc"}], "temperature": 0, "max_tokens": 2}
    named = writer.client.post("/v1/chat/completions", json={"model": MODEL, **asked}).json()["choices"][0]["message"]["content"]
    assert len(named) == 2
    assert hub.chat_completion(**asked).choices[0].message.content == named
    pieces = [piece.choices[0].delta.content or "" for piece in hub.chat_completion(**asked, stream=True)]
    assert "".join(pieces) == named


def test_what_is_not_served_is_refused_by_name(client, openai):
    with pytest.raises(NotFoundError):
        openai.completions.create(model="gpt", prompt="a")
    for body in ({"n": 2}, {"logprobs": 1}, {"presence_penalty": 1}, {"prompt": [1]}, {"echo": True, "stream": True}, {"tools": []}):
        answer = client.post("/v1/completions", json={"model": MODEL, "prompt": "a", **body})
        assert problem(answer) == (422, "input-refused"), body
        assert next(iter(body)) in answer.json()["error"]["message"], body
    for message in ({"role": "tool", "content": "a"}, {"role": "user", "content": None}, {"role": "user"}, "a"):
        assert problem(client.post("/v1/chat/completions", json={"model": MODEL, "messages": [message]})) == (422, "input-refused")
    assert problem(client.post("/v1/embeddings", json={"model": MODEL, "input": "a"})) == (422, "task-mismatch")
    answer = client.post("/v1/completions", json={"model": MODEL, "prompt": "a", "max_tokens": 64, "stream": True})
    assert problem(answer) == (422, "input-refused"), "before the first piece it is a status"


def test_hugging_faces_shapes(client):
    answer = client.post("/", json={"inputs": "w", "parameters": {"max_new_tokens": None, "repetition_penalty": 1.0, "best_of": None}})
    assert answer.json() == [{"generated_text": "xyz"}]
    told = client.post("/", json={"inputs": "w", "parameters": {"details": True}}).json()[0]["details"]
    # As Text Generation Inference counts: what ends a text is a token, too.
    assert (told["finish_reason"], told["generated_tokens"], len(told["tokens"])) == ("eos_token", 4, 4)
    streamed = [orjson.loads(each) for each in events(client.post("/", json={"inputs": "w", "stream": True}))]
    assert [each["token"]["text"] for each in streamed] == ["x", "y", "z", ""]
    assert [each["token"]["special"] for each in streamed] == [False] * 3 + [True]
    assert [each["generated_text"] for each in streamed] == [None] * 3 + ["xyz"]
    assert (streamed[-1]["details"]["finish_reason"], streamed[-1]["details"]["generated_tokens"]) == ("eos_token", 4)
    for more, reason in (({"stop": ["z"]}, "stop_sequence"), ({"max_new_tokens": 3}, "length")):
        told = client.post("/", json={"inputs": "w", "parameters": {"details": True, **more}}).json()[0]["details"]
        assert (told["finish_reason"], told["generated_tokens"], len(told["tokens"])) == (reason, 3, 3)
    refused = client.post("/", json={"inputs": "w", "parameters": {"repetition_penalty": 1.5}})
    assert (problem(refused), "repetition_penalty" in refused.text) == ((422, "input-refused"), True)


def test_both_names_of_the_texts_to_stop_at_are_heard(client):
    def asked(**parameters):
        return client.post("/", json={"inputs": "a", "parameters": parameters})

    for parameters in ({"stop": ["x"], "stop_sequences": ["d"]}, {"stop": ["d"], "stop_sequences": ["x"]}, {"stop_sequences": ["d"]}):
        assert asked(**parameters).json() == [{"generated_text": "bc"}]
    four = ["d", "1", "2", "3"]
    assert asked(stop=four, stop_sequences=four).json() == [{"generated_text": "bc"}]
    for parameters in (
        {"stop": four, "stop_sequences": ["4"]},
        {"stop": ["d"], "stop_sequences": "x"},
        {"stop": "d", "stop_sequences": ["x"]},
        {"stop": [{}], "stop_sequences": [{}]},
    ):
        assert problem(asked(**parameters)) == (422, "input-refused"), parameters


def test_long_lists_of_texts_to_stop_at_are_not_compared_with_each_other():
    class Text(str):
        compared = 0
        __hash__ = str.__hash__

        def __eq__(self, other):
            Text.compared += 1
            return super().__eq__(other)

    texts = [Text(number) for number in range(1000)]
    for given in ({"stop": texts, "stop_sequences": texts[::-1]}, {"stop": texts[:4], "stop_sequences": texts}):
        assert known(given)["stop"] in (texts, texts[::-1])
    assert Text.compared < 10_000


@pytest.mark.parametrize(
    "asked", [{}, {"a": 1}, {"json_schema": {}}, {"type": "text", "json_schema": {}}, {"type": "json_object"}, "text"], ids=str
)
def test_a_format_of_the_response_is_text_and_nothing_else(client, asked):
    chat = {"model": MODEL, "messages": [USER], "max_tokens": 2, "temperature": 0}
    answer = client.post("/v1/chat/completions", json=chat | {"response_format": asked})
    assert problem(answer) == (422, "input-refused")
    assert "response_format" in answer.json()["detail"] or "type" in answer.json()["detail"]
    for served in ({"type": "text"}, None):
        assert client.post("/v1/chat/completions", json=chat | {"response_format": served}).status_code == 200


def test_who_says_a_message_is_told_to_the_template():
    _, form = translated_chat({"model": MODEL, "messages": [{"role": "user", "name": "bob", "content": "hi"}, USER | {"name": None}]})
    template = "{% for m in messages %}[{{ m.role }}{% if m.name is defined %} {{ m.name }}{% endif %}]{{ m.content }}{% endfor %}"
    assert form.adapt(PredictionRequest(("",), False, {}), manifest(template)).texts == ("[user bob]hi[user]t",)


def test_a_chat_and_a_prompt_cost_their_characters_where_others_wait(monkeypatch):
    made, _ = serving()
    client, costs = TestClient(App(made)), []
    submit = made.worker.submit
    monkeypatch.setattr(made.worker, "submit", lambda job, **more: costs.append(job.cost) or submit(job, **more))
    text = "b" * 10_000
    for message in ({"role": "user", "content": text}, {"role": "user", "content": [{"type": "text", "text": text}]}):
        client.post("/v1/chat/completions", json={"model": MODEL, "messages": [message, USER], "max_tokens": 3, "temperature": 0})
    client.post("/v1/completions", json={"model": MODEL, "prompt": [text, "t"], "max_tokens": 3})
    client.post("/v1/completions", json={"model": MODEL, "prompt": "t", "max_tokens": 3, "temperature": 0})
    assert costs == [10_001 + 60 * 4] * 2 + [10_001 + 2 * 60 * 4, 1 + 60 * 4]


@pytest.mark.parametrize("accept", ["text/csv", "application/x-npy"])
def test_a_format_that_no_written_text_fits_into_is_refused_before_anything_is_written(accept):
    made, model = serving()
    client = TestClient(App(made))
    # Behind what the model writes to warm up.
    assert client.post("/predict", json={"inputs": "z"}, headers={"accept": "application/jsonl"}).status_code == 200
    before = model.counted()
    answer = client.post("/predict", json={"inputs": "a"}, headers={"accept": accept})
    assert problem(answer) == (406, "not-acceptable")
    assert "ask for application/json" in answer.json()["detail"]
    assert model.counted() == before


NEAR, FULL = "b" * (CONTEXT - 3), "b" * CONTEXT
# Route -> a body with a prompt, the field in which its caller names a number of tokens, and where the answer has the text and why it ended.
ASKED = {
    "/v1/completions": (lambda prompt, **more: {"model": MODEL, "prompt": prompt, "temperature": 0, **more}, "max_tokens"),
    "/v1/chat/completions": (
        lambda prompt, **more: {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "temperature": 0, **more},
        "max_completion_tokens",
    ),
    "/": (lambda prompt, **more: {"inputs": prompt, "parameters": {"details": True, **more}}, "max_new_tokens"),
    "/predict": (lambda prompt, **more: {"inputs": prompt, "parameters": more}, "max_new_tokens"),
    "/score": (lambda prompt, **more: {"inputs": prompt, "parameters": more}, "max_new_tokens"),
    "/predictions": (lambda prompt, **more: {"input": {"inputs": prompt, **more}}, "max_new_tokens"),
}


@pytest.mark.parametrize("route", ASKED)
def test_a_number_of_tokens_that_nobody_named_gives_way_where_the_context_ends(client, route):
    body, named = ASKED[route]
    answer = client.post(route, json=body(NEAR))
    assert answer.status_code == 200, answer.text
    assert '"cde"' in answer.text
    assert '"finish_reason":"length"' in answer.text
    for prompt, more, said in ((NEAR, {named: 4}, "3 are left"), (FULL, {}, "shorten it")):
        answer = client.post(route, json=body(prompt, **more))
        assert problem(answer) == (422, "input-refused")
        assert said in answer.json()["detail"]


def test_each_of_several_prompts_gets_what_is_left_of_16_tokens(client):
    answer = client.post("/v1/completions", json={"model": MODEL, "prompt": [NEAR, "a"], "temperature": 0}).json()
    assert [(each["text"], each["finish_reason"]) for each in answer["choices"]] == [("cde", "length"), ("bcdefghijklmnopq", "length")]
    streamed = events(client.post("/v1/completions", json={"model": MODEL, "prompt": NEAR, "temperature": 0, "stream": True}))
    assert orjson.loads(streamed[-2])["choices"][0]["finish_reason"] == "length"


def test_what_breaks_in_the_middle_is_told_and_the_next_one_is_served(client, openai):
    with pytest.raises(InternalServerError):
        openai.completions.create(model=MODEL, prompt="a!", stream=True)
    assert openai.completions.create(model=MODEL, prompt="y", temperature=0).choices[0].text == "z"


def test_a_client_that_knows_no_chunks_gets_the_same_events(client, writer):
    body = b'{"inputs": "w", "stream": true}'
    with socket.create_connection(("127.0.0.1", writer.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        head, _, told = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert (b"transfer-encoding" in head, b"connection: close" in head) == (False, True)
    assert told == client.post("/", content=body).content


def test_time_that_is_over_ends_a_stream_with_its_last_event():
    made, model = serving(pause_s=0.25)
    answer = TestClient(App(made)).post(
        "/v1/completions",
        json={"model": MODEL, "prompt": "a", "max_tokens": 25, "temperature": 0, "stream": True},
        headers={"x-request-timeout-ms": "3000"},
    )
    *_, last = events(answer)
    assert orjson.loads(last)["error"]["code"] == "deadline-exceeded"
    assert model._generator.steps < 20


def test_time_that_is_over_ends_a_stream_that_nobody_reads():
    made, model = serving(pause_s=0.05)

    async def ask():
        body = orjson.dumps({"model": MODEL, "prompt": "a", "max_tokens": 25, "temperature": 0, "stream": True})
        incoming = [{"type": "http.request", "body": body}]
        over, sent = asyncio.Event(), []

        async def receive():
            if incoming:
                return incoming.pop()
            await asyncio.Event().wait()

        async def send(message):
            sent.append(message)
            if len(sent) == 2:
                # The buffers between server and client are full.
                await over.wait()

        headers = [(b"x-request-timeout-ms", b"500")]
        scope = {"method": "POST", "path": "/v1/completions", "raw_path": b"/v1/completions", "headers": headers}
        answering = asyncio.ensure_future(App(made)(scope, receive, send))
        await asyncio.sleep(1)
        steps = model._generator.steps, model.free
        over.set()
        await answering
        return steps, b"".join(message.get("body", b"") for message in sent)

    (steps, free), told = asyncio.run(ask())
    assert (steps < 15, free) == (True, 2)
    assert orjson.loads(told.rstrip().rpartition(b"data: ")[2])["error"]["code"] == "deadline-exceeded"


def test_who_leaves_in_the_middle_is_not_written_on():
    made, model = serving(pause_s=0.02)

    async def ask():
        body = orjson.dumps({"model": MODEL, "prompt": "a", "max_tokens": 25, "temperature": 0, "stream": True})
        incoming = [{"type": "http.request", "body": body}]
        begun = asyncio.Event()
        sent = []

        async def receive():
            if incoming:
                return incoming.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if message["type"] == "http.response.body":
                begun.set()

        scope = {"method": "POST", "path": "/v1/completions", "raw_path": b"/v1/completions", "headers": []}
        await App(made)(scope, receive, send)
        return sent

    sent = asyncio.run(ask())
    assert sent[0]["status"] == 200
    assert sent[-1].get("more_body"), "the answer has no end that its client could take for one"
    until = time.monotonic() + 30
    while model.free < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert (model.free, model._generator.steps < 20) == (2, True)


def test_a_short_text_is_there_before_a_long_one_that_came_before():
    made, model = serving(pause_s=0.02)
    client, over = TestClient(App(made)), []

    def ask(text):
        assert client.post("/predict", json={"inputs": text}).status_code == 200
        over.append(text)

    first = threading.Thread(target=ask, args=("a",))
    first.start()
    while model._generator.steps < 3:
        time.sleep(0.001)
    ask("x")
    first.join()
    assert over == ["x", "a"]
    assert model._generator.steps <= 26, "they were written side by side"


def test_a_full_queue_refuses_at_once_and_a_place_is_found_again():
    made, _ = serving(pause_s=0.02, places=1, max_queue=1)
    client, statuses = TestClient(App(made)), []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.post("/predict", json={"inputs": "a"}).status_code)) for _ in range(6)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert set(statuses) == {200, 503}
    assert client.post("/predict", json={"inputs": "y"}).json()["outputs"][0]["generated_text"] == "z"
