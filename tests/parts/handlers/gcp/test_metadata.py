"""Tokens from the metadata server: kept, renewed before they end, and one that was refused is not given again."""

import threading

import pytest

from handlers.functions.gcp.metadata import MARGIN_S, access_tokens, id_tokens
from handlers.functions.outcomes import Unavailable
from handlers.functions.tokens import ATTEMPTS
from tests.parts.handlers.gcp.servers import ACCOUNT


@pytest.fixture(autouse=True)
def host(metadata, monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", metadata.host)
    monkeypatch.setattr("handlers.functions.tokens._FIRST_PAUSE_S", 0.001)


def test_an_id_token_tells_its_audience_who_calls(metadata):
    audience = "https://mine-endpoint-abc.a.run.app/a?b=c&d"
    token = id_tokens(audience).get()
    assert metadata.caller({"authorization": f"Bearer {token}"}, audience) == ACCOUNT
    assert metadata.asked[0].endswith("&format=full")


def test_threads_share_one_token(metadata):
    tokens, found = id_tokens("https://mine"), []
    threads = [threading.Thread(target=lambda: found.append(tokens.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), len(metadata.asked)) == (8, 1, 1)


@pytest.mark.parametrize("kind", [access_tokens, lambda: id_tokens("https://mine")], ids=["access", "id"])
def test_a_token_that_is_about_to_end_is_renewed(metadata, kind):
    metadata.lifetime_s = MARGIN_S + 2
    tokens = kind()
    first = tokens.get()
    assert tokens.get() == first
    metadata.lifetime_s = MARGIN_S - 2
    tokens = kind()
    assert tokens.get() != tokens.get()


def test_a_token_that_was_refused_is_not_given_again_and_its_successor_is_kept(metadata):
    tokens = id_tokens("https://mine")
    first = tokens.get()
    second = tokens.get(refused=first)
    assert second != first
    assert tokens.get(refused=first) == second


def test_a_server_that_is_not_ready_is_asked_again(metadata):
    metadata.failing[:] = [503, 429]
    assert access_tokens().get()
    metadata.failing[:] = [500] * ATTEMPTS
    with pytest.raises(Unavailable, match=r"gave no token: 500 Not now\."):
        access_tokens().get()
    metadata.asked.clear()
    metadata.failing[:] = [404]
    with pytest.raises(Unavailable, match="404"):
        access_tokens().get()
    assert len(metadata.asked) == 1


@pytest.mark.parametrize("text", ["", "no token", "a.b.c", "a.e30.c"])
def test_an_answer_that_is_no_token_is_told_as_such(metadata, monkeypatch, text):
    monkeypatch.setattr(metadata, "id_token", lambda _: text)
    with pytest.raises(Unavailable, match="is no ID token"):
        id_tokens("https://mine").get()


def test_no_server_at_all_is_told_with_its_address(monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 gave no token: ConnectionRefusedError"):
        access_tokens().get()
