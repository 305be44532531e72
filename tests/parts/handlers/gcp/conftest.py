"""Google Cloud for the handlers under test: a Cloud Storage and a metadata server, both real servers on this machine."""

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.parts.handlers.gcp.google_servers import Firestore, Topics, firestore_server, pubsub_server
from tests.parts.handlers.gcp.servers import Metadata, metadata_server
from tests.parts.handlers.http_servers import Front, front_of
from tests.support import fake_gcs

PROJECT = "my-project"
RESULTS_TOPIC, DEAD_TOPIC = f"projects/{PROJECT}/topics/mine-results", f"projects/{PROJECT}/topics/mine-dead"


@pytest.fixture(scope="session")
def cloud_storage() -> Iterator[str]:
    with fake_gcs.running() as address:
        yield address


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with metadata_server() as made:
        yield made


@pytest.fixture
def front(cloud_storage: str) -> Iterator[Front]:
    with front_of(cloud_storage, "/as/runner") as made:
        yield made


@pytest.fixture
def google(front: Front, metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that lead to both, set for this process."""
    variables = {"STORAGE_EMULATOR_HOST": front.address, "GCE_METADATA_HOST": metadata.host}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


class Bucket:
    """A bucket of a test's own."""

    def __init__(self, address: str) -> None:
        self.address, self.name = address, f"bucket-{uuid.uuid4().hex[:12]}"
        httpx.post(f"{address}/storage/v1/b?project=my-project", json={"name": self.name}).raise_for_status()

    def put(self, key: str, body: bytes | str, content_type: str = "text/plain") -> str:
        """Store an object; its generation."""
        content = body.encode() if isinstance(body, str) else body
        query = {"uploadType": "media", "name": key}
        url = f"{self.address}/upload/storage/v1/b/{self.name}/o"
        answer = httpx.post(url, params=query, content=content, headers={"content-type": content_type})
        return str(answer.raise_for_status().json()["generation"])

    def delete(self, key: str) -> None:
        httpx.delete(f"{self.address}/storage/v1/b/{self.name}/o/{key.replace('/', '%2F')}").raise_for_status()


@pytest.fixture
def bucket(cloud_storage: str) -> Bucket:
    return Bucket(cloud_storage)


@pytest.fixture
def firestore(monkeypatch: pytest.MonkeyPatch) -> Iterator[Firestore]:
    with firestore_server() as made:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.address)
        yield made


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topics]:
    """The topics of results and of dead letters."""
    from handlers.functions.gcp import topics as module

    with pubsub_server(RESULTS_TOPIC, DEAD_TOPIC) as made:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", made.address)
        module._client.cache_clear()
        yield made
        module._client.cache_clear()
