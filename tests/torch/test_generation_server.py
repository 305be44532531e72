"""The model server with a model that writes, as a process: the real clients, whole and streamed, and what happens to who leaves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from huggingface_hub import InferenceClient
from openai import BadRequestError, NotFoundError, OpenAI, UnprocessableEntityError

from pilotlight.twin.ports import port_for_later

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a cold start"
PLAIN, SCALED = "llama-plain", "llama-scaled"


@contextmanager
def running(models: Path, kind: str = PLAIN, **variables: str) -> Iterator[httpx.Client]:
    port = port_for_later()
    folder = models / f"{kind}-text-generation-torch"
    needed = {"PATH": os.environ["PATH"], "PORT": str(port), "BIND_HOST": "127.0.0.1", "MODEL_DIR": str(folder), "MODEL_THREADS": "1"}
    server = subprocess.Popen([sys.executable, "-m", "handlers.server"], cwd=ROOT, env=needed | variables, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            until = time.monotonic() + 120
            while server.poll() is None and time.monotonic() < until:
                try:
                    if client.get("/ping").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.05)
            client.headers["x-server-pid"] = str(server.pid)
            yield client
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def plain(models):
    with running(models, MAX_INPUTS="8") as client:
        yield client


@pytest.fixture
def openai(plain):
    with OpenAI(base_url=f"http://127.0.0.1:{plain.base_url.port}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


def predicted(client: httpx.Client, text: object = PROMPT, **parameters: object) -> list[dict[str, object]]:
    answer = client.post("/predict", json={"inputs": text, "parameters": {"max_new_tokens": 24, **parameters}})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, object]] = answer.json()["outputs"]
    return found


def figures(client: httpx.Client) -> dict[str, float]:
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in client.get("/metrics").text.splitlines())
        if not name.startswith("#")
    }


def test_our_own_contract_continues_texts(plain):
    (row,) = predicted(plain)
    assert row["finish_reason"] in ("stop", "length")
    assert (len(row["generated_text"]) > 0, row["generated_tokens"] <= 24) == (True, True)
    assert predicted(plain, [PROMPT, "warm"]) == [[row], predicted(plain, "warm")]
    assert predicted(plain, return_full_text=True)[0]["generated_text"] == PROMPT + row["generated_text"]
    invoked = plain.post("/invocations", json={"inputs": PROMPT, "parameters": {"max_new_tokens": 24}})
    assert invoked.json()["outputs"] == [row]


def test_openai_completions_whole_and_streamed(openai, plain):
    (row,) = predicted(plain)
    asked = {"model": PLAIN, "prompt": PROMPT, "max_tokens": 24, "temperature": 0}
    whole = openai.completions.create(**asked)
    assert (whole.object, whole.choices[0].text) == ("text_completion", row["generated_text"])
    assert whole.choices[0].finish_reason == row["finish_reason"]
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (row["prompt_tokens"], row["generated_tokens"])
    chunks = list(openai.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == row["generated_text"]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == row["finish_reason"]
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 8, "it comes in pieces"
    several = openai.completions.create(**(asked | {"prompt": [PROMPT, "warm"]}))
    assert [choice.text for choice in several.choices] == [row["generated_text"], predicted(plain, "warm")[0]["generated_text"]]


def test_openai_chats_whole_and_streamed(openai, plain):
    messages = [{"role": "user", "content": "hello"}]
    asked = {"model": PLAIN, "messages": messages, "max_completion_tokens": 24, "temperature": 0}
    (row,) = predicted(plain, "<s><unk><pad>-[user] hello\n[assistant] ", add_special_tokens=False)
    whole = openai.chat.completions.create(**asked)
    assert (whole.choices[0].message.role, whole.choices[0].message.content) == ("assistant", row["generated_text"])
    chunks = list(openai.chat.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == row["generated_text"]
    assert chunks[-1].choices[0].finish_reason == row["finish_reason"]
    parts = [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}]
    assert openai.chat.completions.create(**(asked | {"messages": parts})).choices == whole.choices


def test_openai_draws_as_the_seed_has_it(openai):
    def drawn(seed):
        return openai.completions.create(model=PLAIN, prompt=PROMPT, max_tokens=24, seed=seed, temperature=1.3, top_p=0.9).choices[0].text

    assert drawn(3) == drawn(3) != drawn(4)


def test_openai_is_refused_by_name(openai, plain):
    with pytest.raises(NotFoundError):
        openai.completions.create(model="gpt", prompt=PROMPT)
    with pytest.raises(UnprocessableEntityError, match="are left"):
        openai.completions.create(model=PLAIN, prompt=PROMPT, max_tokens=5000, stream=True)
    with pytest.raises(UnprocessableEntityError, match="no developers"):
        openai.chat.completions.create(model=PLAIN, messages=[{"role": "developer", "content": "x"}])
    for more in ({"n": 2}, {"logprobs": 3}, {"suffix": "x"}, {"temperature": -1}, {"stop": [""]}, {"top_p": -0.1}, {"tools": []}):
        with pytest.raises((UnprocessableEntityError, BadRequestError)):
            openai.completions.create(model=PLAIN, prompt=PROMPT, extra_body=more)
    answer = plain.post("/v1/embeddings", json={"model": PLAIN, "input": "x"})
    assert answer.json()["type"].endswith("task-mismatch")
    assert "text-generation" in answer.json()["detail"]


def test_hugging_faces_client_whole_and_streamed(plain, monkeypatch):
    # These tests run with the hub out of reach; this server is on this machine.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    client = InferenceClient(model=f"http://127.0.0.1:{plain.base_url.port}", timeout=120)
    (row,) = predicted(plain)
    assert client.text_generation(PROMPT, max_new_tokens=24) == row["generated_text"]
    assert "".join(client.text_generation(PROMPT, max_new_tokens=24, stream=True)) == row["generated_text"]
    details = client.text_generation(PROMPT, max_new_tokens=24, details=True)
    # There the token that ends a text counts, too.
    every = row["generated_tokens"] + (row["finish_reason"] == "stop")
    assert (details.generated_text, details.details.generated_tokens, len(details.details.tokens)) == (row["generated_text"], every, every)
    tokens = list(client.text_generation(PROMPT, max_new_tokens=24, stream=True, details=True))
    assert (tokens[-1].generated_text, tokens[-1].details.generated_tokens, len(tokens)) == (row["generated_text"], every, every)
    assert [token.token.id for token in tokens] == [token.id for token in details.details.tokens]
    stop = row["generated_text"][4:7]
    expected = row["generated_text"].partition(stop)[0]
    assert "".join(client.text_generation(PROMPT, max_new_tokens=24, stream=True, stop=[stop])) == expected
    stopped = client.text_generation(PROMPT, max_new_tokens=24, details=True, stop=[stop]).details
    assert (stopped.finish_reason, stopped.generated_tokens) == ("stop_sequence", len(stopped.tokens))
    answer = plain.post("/", json={"inputs": PROMPT, "parameters": {"repetition_penalty": 1.2}})
    assert (answer.status_code, "repetition_penalty" in answer.text) == (422, True)


def test_who_comes_joins_those_that_are_written(plain):
    """A long text is on its way; a short one that comes later is there before it."""
    over: list[str] = []

    def ask(name: str, new: int) -> None:
        predicted(plain, max_new_tokens=new, temperature=0.5, seed=1, top_p=0.999)
        over.append(name)

    before = figures(plain)['pilotlight_tokens_total{kind="generated"}']
    long = threading.Thread(target=ask, args=("long", 300))
    long.start()
    while figures(plain)['pilotlight_tokens_total{kind="generated"}'] < before + 5:
        time.sleep(0.001)
    ask("short", 2)
    long.join()
    assert over[0] == "short"


def test_who_leaves_in_the_middle_is_not_written_on(plain):
    body = {"model": PLAIN, "prompt": PROMPT, "max_tokens": 300, "stream": True, "temperature": 1, "seed": 1}
    before = figures(plain)['pilotlight_tokens_total{kind="generated"}']
    with plain.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        next(answer.iter_lines())
    time.sleep(0.5)
    after = figures(plain)['pilotlight_tokens_total{kind="generated"}']
    time.sleep(0.5)
    assert figures(plain)['pilotlight_tokens_total{kind="generated"}'] == after
    assert after - before < 300


def test_time_that_is_over_ends_a_stream_with_a_word(plain):
    body = {"model": PLAIN, "prompt": PROMPT, "max_tokens": 300, "stream": True, "temperature": 1, "seed": 2}
    started = time.perf_counter()
    whole = plain.post("/v1/completions", json=body)
    if time.perf_counter() - started < 0.2:
        pytest.skip("this machine writes 300 tokens too fast")
    answer = plain.post("/v1/completions", json=body, headers={"x-request-timeout-ms": "150"})
    assert whole.text.endswith("data: [DONE]\n\n")
    if answer.status_code == 200:
        assert json.loads(answer.text.strip().rpartition("\n")[2].removeprefix("data: "))["error"]["code"] == "deadline-exceeded"
    else:
        assert answer.status_code in (503, 504)


def test_a_model_without_a_chat_template_does_not_chat(models):
    with running(models, SCALED) as client:
        answer = client.post("/v1/chat/completions", json={"model": SCALED, "messages": [{"role": "user", "content": "x"}]})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:pilotlight:problem:task-mismatch")
        assert "no chat template" in answer.json()["detail"]
        assert predicted(client)


def test_a_server_that_leaves_finishes_its_streams(models):
    with running(models, DRAIN_S="60") as client:
        body = {"model": PLAIN, "prompt": PROMPT, "max_tokens": 200, "stream": True}
        with client.stream("POST", "/v1/completions", json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            os.kill(int(client.headers["x-server-pid"]), signal.SIGTERM)
            assert [line for line in lines if line][-1] == "data: [DONE]"
