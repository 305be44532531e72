"""Tokens of a managed identity: asked for as Azure's own client asks, kept, renewed before they end."""

import threading

import pytest
from azure.identity import ManagedIdentityCredential

from handlers.functions.azure.identity import STORAGE, access_tokens
from handlers.functions.outcomes import Unavailable
from handlers.functions.tokens import ATTEMPTS
from tests.parts.handlers.azure.servers import CLIENT_ID, SECRET


@pytest.fixture(autouse=True)
def endpoint(identities, monkeypatch):
    for name, value in identities.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("handlers.functions.tokens._FIRST_PAUSE_S", 0.001)


def test_it_is_asked_for_as_azures_own_client_asks(identities):
    theirs = ManagedIdentityCredential(client_id=CLIENT_ID).get_token("https://storage.azure.com/.default").token
    ours = access_tokens(STORAGE).get()
    assert identities.tokens == [theirs, ours]
    first, second = identities.asked
    # The audience that both mean; Microsoft's pages write it with the slash.
    assert second.pop("resource").rstrip("/") == first.pop("resource").rstrip("/") == "https://storage.azure.com"
    assert first == second == {"api-version": "2019-08-01", "client_id": CLIENT_ID}


def test_an_app_with_one_identity_need_not_name_it(identities, monkeypatch):
    monkeypatch.delenv("AZURE_CLIENT_ID")
    with pytest.raises(Unavailable, match="400"):
        access_tokens(STORAGE).get()
    assert "client_id" not in identities.asked[0]


def test_threads_share_one_token_and_one_flight(identities):
    tokens, found = access_tokens(STORAGE), []
    threads = [threading.Thread(target=lambda: found.append(tokens.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), set(found), len(identities.asked)) == (8, {"token-1"}, 1)


def test_a_token_is_renewed_five_minutes_before_its_end(identities):
    identities.lifetime_s = 305
    tokens = access_tokens(STORAGE)
    assert [tokens.get(), tokens.get()] == ["token-1", "token-1"]
    identities.lifetime_s = 295
    tokens = access_tokens(STORAGE)
    assert [tokens.get(), tokens.get()] == ["token-2", "token-3"]


def test_a_token_that_can_not_be_renewed_serves_until_its_end(identities):
    identities.lifetime_s = 295
    tokens = access_tokens(STORAGE)
    assert tokens.get() == "token-1"
    identities.failing[:] = [500] * ATTEMPTS
    assert [tokens.get(), tokens.get()] == ["token-1", "token-1"]
    # Not with every call: who waits for the endpoint each time is slower than with a token that is good.
    assert len(identities.asked) == 1 + ATTEMPTS
    identities.lifetime_s = 0
    tokens = access_tokens(STORAGE)
    tokens.get()
    identities.failing[:] = [500] * ATTEMPTS
    with pytest.raises(Unavailable, match="The identity endpoint gave no token: 500"):
        tokens.get()


def test_an_endpoint_that_is_not_ready_is_asked_again_and_a_refusal_is_told(identities):
    identities.failing[:] = [503, 429]
    assert access_tokens(STORAGE).get() == "token-1"
    identities.asked.clear()
    identities.failing[:] = [404]
    with pytest.raises(Unavailable, match="gave no token: 404"):
        access_tokens(STORAGE).get()
    assert len(identities.asked) == 1


def test_the_header_of_another_app_is_refused_and_stays_secret(monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    with pytest.raises(Unavailable, match="403") as refusal:
        access_tokens(STORAGE).get()
    assert "another" not in str(refusal.value)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("name", ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"])
def test_an_app_without_an_identity_is_told_what_is_missing(monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(Unavailable, match="There is no managed identity: the platform sets IDENTITY_ENDPOINT and IDENTITY_HEADER"):
        access_tokens(STORAGE).get()


@pytest.mark.parametrize("text", ["", "no token", "[]", '{"access_token": "a"}', '{"access_token": "a", "expires_on": "soon"}'])
def test_an_answer_that_is_no_token_is_told_as_such(identities, text):
    identities.text = text
    with pytest.raises(Unavailable, match="is no access token"):
        access_tokens(STORAGE).get()
