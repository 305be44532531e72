"""Azure's own clients in a process of an app, unchanged, on a whole twin: they are who the app is, and may what its identity may."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from pilotlight.twin.azure.account import TENANT
from pilotlight.twin.azure.types import APP
from pilotlight.twin.world import Resource
from tests.twin.azure.accounts import account, container
from tests.twin.azure.harness import GROUP_ID, AzureHarness, harness_in

ARM = "https://management.azure.com/"
# azure-identity and azure-storage-blob find everything in the variables: what a blob holds, or why it is not to be read.
CLIENT = """
import json, sys
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

def read():
    with ContainerClient.from_container_url(sys.argv[1], credential=DefaultAzureCredential(), retry_total=0) as container:
        try:
            return container.download_blob("greeting").readall().decode()
        except AzureError as error:
            return str(getattr(error, "error_code", None) or error)

print(json.dumps(read()))
"""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[AzureHarness]:
    running = harness_in(tmp_path)
    yield running
    running.down()


@pytest.fixture
def blobs(harness: AzureHarness) -> Resource:
    """An account whose container `models` has a blob."""
    stored = account(harness)
    container(harness, stored, "models").upload_blob("greeting", b"hello")
    return stored


def variables(harness: AzureHarness, who: Resource) -> dict[str, str]:
    """The environment of a process of an app that is this identity."""
    assigned = {who.id: {"principalId": who["principalId"], "clientId": who["clientId"]}}
    id_ = f"{GROUP_ID}/providers/Microsoft.App/containerApps/{who['name']}"
    app = Resource(token=APP, id=id_, urn="", outputs={"identity": {"userAssignedIdentities": assigned}})
    return {**harness.twin.azure.variables(harness.twin, app), "AZURE_CLIENT_ID": who["clientId"]}


def read(environment: dict[str, str], stored: Resource) -> str:
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "IDENTITY_", "MSI_"))}
    command = [sys.executable, "-c", CLIENT, f"{stored['primaryEndpoints']['blob']}models"]
    done = subprocess.run(command, env={**alone, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout))


def test_azures_clients_read_what_the_identity_of_their_app_may_read(harness: AzureHarness, blobs: Resource) -> None:
    who = harness.identity("reader")
    environment, scope = variables(harness, who), f"{blobs.id}/blobServices/default/containers/models"
    assert read(environment, blobs) == "AuthorizationPermissionMismatch"
    grant = harness.grant(who, "Storage Blob Data Reader", scope)
    assert read(environment, blobs) == "hello"
    harness.remove(grant)
    assert read(environment, blobs) == "AuthorizationPermissionMismatch"
    harness.grant(who, "Storage Blob Data Reader", scope)
    harness.remove(who)
    assert "Unable to load the proper Managed Identity" in read(environment, blobs)


def test_anybody_finds_the_keys_over_tls_and_they_outlive_the_twin(tmp_path: Path) -> None:
    first = harness_in(tmp_path)
    who, address = first.identity("caller"), first.twin.azure.url(first.twin, "entra", TENANT)
    token, trusted = first.token(who, ARM), ssl.create_default_context(cafile=first.ca_file)
    first.down()
    again = harness_in(tmp_path)
    try:
        with httpx.Client(trust_env=False, verify=trusted, timeout=60) as client:
            told = client.get(f"{address}/.well-known/openid-configuration").raise_for_status().json()
            assert told["jwks_uri"].startswith(f"{address}/")
            (key,) = client.get(told["jwks_uri"]).raise_for_status().json()["keys"]
        claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], audience=ARM, issuer=told["issuer"])
        assert claims["oid"] == who["principalId"]
    finally:
        again.down()
