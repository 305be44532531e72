"""The event pipeline of a Google stack, through Google's own clients: Cloud Storage, Firestore, Pub/Sub."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import pytest
from google.cloud import firestore, pubsub_v1
from google.pubsub_v1.services.subscriber.transports.grpc import SubscriberGrpcTransport

from tests.conformance.pipeline import Identity, Pipeline
from tests.support.deployment import Deployment

# Pub/Sub API: what one pull may take.
PULLED = 1000


class GooglePipeline(Pipeline):
    """One stack that is up; what serves its clients on the twin is what `pilotlight env --local` names."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        self._outputs = outputs
        variables = deployment.twin("google")
        self._storage = httpx.Client(base_url=variables["STORAGE_EMULATOR_HOST"], timeout=60)
        database, rows = _firestore(variables, outputs), outputs["resultsTable"]
        self._documents, self._attempts = database.collection(rows), database.collection(f"{rows}-attempts")
        channel = grpc.insecure_channel(variables["PUBSUB_EMULATOR_HOST"])
        self._pubsub = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))

    def put(self, key: str, body: bytes, content_type: str = "text/plain") -> Identity:
        bucket = self._outputs["objectsBucket"]
        given = {"uploadType": "media", "name": key}
        stored = self._storage.post(
            f"/upload/storage/v1/b/{bucket}/o", params=given, content=body, headers={"content-type": content_type}
        ).raise_for_status()
        return f"{bucket}/{key}", stored.json()["generation"]

    def assert_gone(self) -> None:
        with pytest.raises(httpx.HTTPStatusError) as raised:
            self.put("anyone.txt", b"anyone?")
        told = raised.value.response.json()["error"]
        assert (told["code"], told["message"].partition(":")[0]) == (404, "The specified bucket does not exist"), told

    def look(self, identity: Identity) -> dict[str, Any] | None:
        name = f"{hashlib.sha256(identity[0].encode()).hexdigest()}-{identity[1]}"
        found = self._documents.document(name).get()
        return found.to_dict() if found.exists else None

    def live(self) -> dict[str, str]:
        bucket, found = self._outputs["objectsBucket"], {}
        asked: dict[str, str] = {}
        while True:
            page = self._storage.get(f"/storage/v1/b/{bucket}/o", params=asked).raise_for_status().json()
            found |= {f"{bucket}/{item['name']}": item["generation"] for item in page.get("items", [])}
            if not page.get("nextPageToken"):
                return found
            asked["pageToken"] = page["nextPageToken"]

    def newest(self, name: str) -> str | None:
        row = self.look((name, "latest"))
        return None if row is None else str(row["latest"])

    def under_way(self) -> int:
        """How many events have begun an attempt and are not delivered yet."""
        return sum(1 for _ in self._open())

    def attempts_over(self) -> int:
        """Ends the time of every attempt that is under way or ended without a word; how many events there are
        that are not delivered.

        Functions have the machine's clock, not the twin's.
        """
        count = 0
        for document in self._open():
            document.reference.update({"ends": 0.0})
            count += 1
        return count

    def _open(self) -> Any:
        return self._attempts.where(filter=firestore.FieldFilter("over", "==", False)).stream()

    def rows(self) -> list[dict[str, Any]]:
        return [document.to_dict() or {} for document in self._documents.stream()]

    def messages(self) -> list[dict[str, Any]]:
        subscription, found = self._outputs["resultsQueueUrl"], []
        while taken := self._pull(subscription):
            found += [json.loads(each.message.data) for each in taken]
            self._pubsub.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in taken])
        return found

    def dead(self) -> list[Identity]:
        return [_identity(message) for message in self._dead()]

    def letters(self) -> dict[Identity, dict[str, str]]:
        """What each dead letter says besides its object."""
        return {_identity(message): dict(message.attributes) for message in self._dead()}

    def fetched(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("gs://").partition("/")
        path = f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
        return self._storage.get(path, params={"alt": "media"}).raise_for_status().content

    def _dead(self) -> list[Any]:
        subscription = self._outputs["deadLetterQueueUrl"]
        taken: list[Any] = []
        while more := self._pull(subscription):
            taken += more
        if taken:
            ids = [each.ack_id for each in taken]
            self._pubsub.modify_ack_deadline(subscription=subscription, ack_ids=ids, ack_deadline_seconds=0)
        return [each.message for each in taken]

    def _pull(self, subscription: str) -> list[Any]:
        answer = self._pubsub.pull(subscription=subscription, max_messages=PULLED, return_immediately=True)
        return list(answer.received_messages)


def _firestore(variables: Mapping[str, str], outputs: Mapping[str, Any]) -> firestore.Client:
    """A client of this twin's Firestore: it reads the address where it is made, and from its environment alone."""
    name = "FIRESTORE_EMULATOR_HOST"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, variables[name])
        return firestore.Client(project=outputs["project"], database=outputs["resultsDatabase"])


def _identity(message: Any) -> Identity:
    """The version that a dead letter is about: it is the CloudEvent that was not processed, its body the object."""
    told = json.loads(message.data)
    return f"{told['bucket']}/{told['name']}", str(told["generation"])
