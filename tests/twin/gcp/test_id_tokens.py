"""A plain client with an ID token of google-auth's, unchanged, which asks the twin's metadata server: it comes in, and no other does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from pilotlight.twin.world import Resource
from tests.twin.gcp.harness import GoogleHarness
from tests.twin.gcp.services import Run, harness_in

# In a process of its own, since google-auth reads the variables when it is imported: status and answer of a call with each token.
CLIENT = """
import json, sys
import google.auth.transport.requests as transport
import httpx
from google.oauth2 import id_token

address, audiences = sys.argv[1], sys.argv[2:]
tokens = [id_token.fetch_id_token(transport.Request(), audience) if audience else "" for audience in audiences]
with httpx.Client(trust_env=False, timeout=60) as client:
    for token in tokens:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = client.post(f"{address}/predict", json={}, headers=headers)
        print(json.dumps([answer.status_code, answer.text]))
"""


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleHarness]:
    running = harness_in(tmp_path_factory.mktemp("tokens"))
    yield running
    running.down()


@pytest.fixture
def run(harness: GoogleHarness) -> Iterator[Run]:
    made = Run(harness, harness.pushed(), harness.account("caller"), harness.account("runner"))
    yield made
    made.clear()


def called(run: Run, service: Resource, by: Resource, *audiences: str) -> list[tuple[int, Any]]:
    """What a process beside the one of another service, with the same metadata server, is answered with a token for each audience."""
    environment = {name: value for name, value in run.ask(by).json()["env"].items() if name.startswith("GCE_METADATA_")}
    command = [sys.executable, "-c", CLIENT, service["uri"], *audiences]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [(status, text) for status, text in map(json.loads, done.stdout.splitlines())]


def test_a_token_for_the_service_comes_in_and_no_other(run: Run) -> None:
    service, allowed, stranger = run(), run(serviceAccount=run.caller), run()
    good, others, nobody = called(run, service, allowed, service["uri"], allowed["uri"], "")
    assert good[0] == 200, good
    assert (others[0], nobody[0]) == (401, 403)
    assert f"whose audience is {service['uri']}" in others[1]
    assert "was not authenticated" in nobody[1]
    ((status, refusal),) = called(run, service, stranger, service["uri"])
    assert (status, f"for {run.runner}: no role on it permits that" in refusal) == (403, True), refusal
    seen = run.seen(service)
    assert len(seen) == 1, "the container heard of the first alone"
    assert seen[0]["headers"]["authorization"].endswith(".SIGNATURE_REMOVED_BY_GOOGLE")
