"""The event pipeline of an Azure stack, through Azure's own clients: blobs, tables and queues of Azure Storage."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContentSettings

from handlers.functions.azure.entities import key, of_parts
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.storage import Login
from tests.conformance.pipeline import Identity, Pipeline
from tests.storm.verdict import HELD_S, LATEST
from tests.support.deployment import Deployment

# Storage queues REST API, Get Messages: the most in one answer.
TAKEN = 32


class AzurePipeline(Pipeline):
    """One stack that is up, asked as the developer whom `pilotlight env --local` names."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        self._login = login = Login(deployment.variables(), Given({}, {}))
        self._objects = login.container(outputs["objectsUrl"])
        self._rows = login.table(outputs["resultsDatabase"], outputs["resultsTable"])

    def put(self, key: str, body: bytes, content_type: str = "text/plain") -> Identity:
        """A version is known by its ETag: the account keeps none but the newest."""
        settings = ContentSettings(content_type=content_type)
        stored = self._objects.get_blob_client(key).upload_blob(body, overwrite=True, content_settings=settings)
        return self._named(key), _plain(stored["etag"])

    def assert_gone(self) -> None:
        with pytest.raises(ResourceNotFoundError) as raised:
            self.put("anyone.txt", b"anyone?")
        assert raised.value.error_code == "ResourceNotFound", raised.value

    def look(self, identity: Identity) -> dict[str, Any] | None:
        try:
            return _row(self._rows.get_entity(key(identity[0]), key(identity[1])))
        except ResourceNotFoundError:
            return None

    def rows(self) -> list[dict[str, Any]]:
        return [_row(entity) for entity in self._rows.list_entities()]

    def live(self) -> dict[str, str]:
        return {self._named(blob.name): _plain(blob.etag) for blob in self._objects.list_blobs()}

    def newest(self, name: str) -> str | None:
        row = self.look((name, LATEST))
        return None if row is None else str(row["latest"])

    def messages(self) -> list[dict[str, Any]]:
        queue, found = self._login.queue(self._outputs["resultsQueueUrl"]), []
        for message in self._taken(queue):
            found.append(_content(message))
            queue.delete_message(message)
        return found

    def dead(self) -> list[Identity]:
        return [_identity(letter) for letter in self._letters()]

    def letters(self) -> dict[Identity, dict[str, str]]:
        """What each dead letter says besides its object."""
        told = ("reason", "attempts", "permanent")
        return {
            _identity(letter): {name: str(letter[name]).lower() if name != "reason" else letter[name] for name in told}
            for letter in self._letters()
        }

    def fetched(self, uri: str) -> bytes:
        body: bytes = self._login.blob(uri).download_blob().readall()
        return body

    def waiting(self, queue: str = "queueUrl") -> int:
        """Messages that wait, are put off, or are under way, in the queue of that output."""
        return int(self._login.queue(self._outputs[queue]).get_queue_properties().approximate_message_count)

    def _letters(self) -> list[dict[str, Any]]:
        """Of every dead letter, which stays there: its time out of sight ends with the reading."""
        queue = self._login.queue(self._outputs["deadLetterQueueUrl"])
        # Where the reading takes longer than they are out of sight the first ones come again, and only the newest receipt gives one back.
        found: dict[str, Any] = {}
        for page in queue.receive_messages(messages_per_page=TAKEN, visibility_timeout=HELD_S).by_page():
            messages = list(page)
            again = all(message.id in found for message in messages)
            found |= {message.id: message for message in messages}
            if again:
                break
        for message in found.values():
            queue.update_message(message, visibility_timeout=0)
        return [_content(message) for message in found.values()]

    def _taken(self, queue: Any) -> Iterator[Any]:
        yield from queue.receive_messages(messages_per_page=TAKEN, visibility_timeout=HELD_S)

    def _named(self, key: str) -> str:
        return f"{self._outputs['objectsBucket']}/{key}"


def _row(entity: Mapping[str, Any]) -> dict[str, Any]:
    """As the other tables have it: a long result lies in parts here, and an ETag has another name."""
    whole = of_parts("result", entity)
    named = {"etag" if name == "objectEtag" else name: value for name, value in entity.items()}
    return {**named, **({} if whole is None else {"result": whole})}


def _content(message: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(base64.b64decode(message.content))
    return told


def _identity(letter: Mapping[str, Any]) -> Identity:
    """The version that a dead letter is about: it holds the event that was not processed."""
    event = letter["event"]
    container, _, name = str(event["subject"]).rpartition("/containers/")[2].partition("/blobs/")
    return f"{container}/{name}", _plain(event["data"]["eTag"])


def _plain(etag: str) -> str:
    return etag.strip('"')
