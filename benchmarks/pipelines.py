"""What the benchmark of events does on each cloud: how objects are put there, when all are done, what became of them."""

import hashlib
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import boto3
from botocore.config import Config

from benchmarks.record import BenchmarkError
from benchmarks.uploader import TYPE, Uploader
from pilotlight.cli.azure.logins import Given
from pilotlight.cli.azure.storage import STORAGE, Login
from pilotlight.cli.gcp.clients import firestore
from tests.conformance.pipeline_azure import AzurePipeline as StoredRows
from tests.storm.verdict import LATEST, WAITING, rows_of
from tests.support.clients import client
from tests.support.deployment import Deployment

PATIENCE_S = 300
POLL_S = 0.1
# Documents in one look: objects are done in about the order in which they came, and a look at many that are not is the twin's work too.
LOOK = 20
_SIGNED_S = 3600
# Of Azure Storage's REST API: since 2019 it takes tokens for blobs.
_VERSION = "2021-08-06"


class Pipeline(ABC):
    """The objects and results of one stack that is up."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self.bucket, self._outputs = str(outputs["objectsBucket"]), outputs

    @abstractmethod
    def uploader(self, keys: Sequence[str]) -> Uploader:
        """What puts a text under every key."""

    @abstractmethod
    def waits(self, keys: Sequence[str]) -> Iterator[bool]:
        """Whether anything is left to do, again and again until nothing is."""

    @abstractmethod
    def answers(self, prefix: str) -> list[dict[str, Any]]:
        """The results of all objects whose keys begin so."""

    def drained(self, keys: Sequence[str]) -> None:
        """Until every object has its result. BenchmarkError where that takes too long."""
        deadline = time.monotonic() + PATIENCE_S
        for waits in self.waits(keys):
            if not waits:
                return
            if time.monotonic() > deadline:
                raise BenchmarkError(f"Objects are without results after {PATIENCE_S} s.")
            time.sleep(POLL_S)


class AwsPipeline(Pipeline):
    """A bucket of S3, a queue that is empty when all is done, a table."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(outputs)
        self._variables = deployment.variables()
        self._sqs, self._dynamodb = (client(self._variables, name) for name in ("sqs", "dynamodb"))

    def uploader(self, keys: Sequence[str]) -> Uploader:
        s3 = boto3.client(
            "s3",
            endpoint_url=self._variables["AWS_ENDPOINT_URL"],
            region_name=self._variables["AWS_REGION"],
            aws_access_key_id=self._variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self._variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )
        asked = ({"Bucket": self.bucket, "Key": key, "ContentType": TYPE} for key in keys)
        return Uploader("PUT", [s3.generate_presigned_url("put_object", Params=each, ExpiresIn=_SIGNED_S) for each in asked])

    def waits(self, keys: Sequence[str]) -> Iterator[bool]:
        """A message is deleted after its row was written."""
        asked = {"QueueUrl": self._outputs["queueUrl"], "AttributeNames": list(WAITING)}
        while True:
            yield any(int(number) for number in self._sqs.get_queue_attributes(**asked)["Attributes"].values())

    def answers(self, prefix: str) -> list[dict[str, Any]]:
        start = f"{self.bucket}/{prefix}"
        rows = [row for row in rows_of(self._dynamodb, self._outputs["resultsTable"]) if row["object"].startswith(start)]
        return [row for row in rows if row["version"] != LATEST]


class GooglePipeline(Pipeline):
    """A bucket of Cloud Storage, and a collection of Firestore: Eventarc's own subscription shows nobody what waits in it."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(outputs)
        self._variables = deployment.twin("google")
        self._database = firestore(self._variables, outputs["project"], outputs["resultsDatabase"])
        self._documents = self._database.collection(outputs["resultsTable"])

    def uploader(self, keys: Sequence[str]) -> Uploader:
        address = f"{self._variables['STORAGE_EMULATOR_HOST'].rstrip('/')}/upload/storage/v1/b/{self.bucket}/o"
        return Uploader("POST", [f"{address}?{urlencode({'uploadType': 'media', 'name': key})}" for key in keys])

    def waits(self, keys: Sequence[str]) -> Iterator[bool]:
        """Each object's newest generation is named in the commit of its result; what was seen once is not asked for again."""
        left = [hashlib.sha256(f"{self.bucket}/{key}".encode()).hexdigest() for key in keys]
        while left:
            asked = [self._documents.document(f"{name}-latest") for name in left[:LOOK]]
            there = {each.id.removesuffix("-latest") for each in self._database.get_all(asked) if each.exists}
            left = [name for name in left if name not in there]
            if len(there) < len(asked):
                yield True
        yield False

    def answers(self, prefix: str) -> list[dict[str, Any]]:
        from google.cloud.firestore_v1.base_query import FieldFilter

        start = f"{self.bucket}/{prefix}"
        query = self._documents.where(filter=FieldFilter("object", ">=", start)).where(filter=FieldFilter("object", "<", f"{start}\uf8ff"))
        rows = [document.to_dict() or {} for document in query.stream()]
        return [row for row in rows if row["version"] != LATEST]


class AzurePipeline(Pipeline):
    """A container of blobs, a queue that Event Grid fills and that is empty when all is done, a table."""

    def __init__(self, deployment: Deployment, outputs: Mapping[str, Any]) -> None:
        super().__init__(outputs)
        self._variables = deployment.variables()
        self._stored = StoredRows(deployment, outputs)

    def uploader(self, keys: Sequence[str]) -> Uploader:
        token = Login(self._variables, Given({}, {})).credential.get_token(f"{STORAGE}/.default").token
        headers = {"Authorization": f"Bearer {token}", "x-ms-blob-type": "BlockBlob", "x-ms-version": _VERSION}
        addresses = [f"{self._outputs['objectsUrl']}/{quote(key)}" for key in keys]
        return Uploader("PUT", addresses, headers, ssl.create_default_context(cafile=self._variables["SSL_CERT_FILE"]))

    def waits(self, keys: Sequence[str]) -> Iterator[bool]:
        """A message is deleted after its entity was written; an event that is not in the queue yet has left no entity, for which the
        whole table is read, so only while the queue is empty."""
        while True:
            yield self._stored.waiting() > 0 or not self._all_there(keys)

    def answers(self, prefix: str) -> list[dict[str, Any]]:
        start = f"{self.bucket}/{prefix}"
        return [row for row in self._stored.rows() if row["object"].startswith(start) and row["version"] != LATEST]

    def _all_there(self, keys: Sequence[str]) -> bool:
        there = {row["object"] for row in self._stored.rows() if row["version"] == LATEST}
        return all(f"{self.bucket}/{key}" in there for key in keys)


def pipeline_of(deployment: Deployment, outputs: Mapping[str, Any]) -> Pipeline:
    """The pipeline of a stack that is up, by its platform's cloud."""
    pipelines = {"aws": AwsPipeline, "azure": AzurePipeline, "gcp": GooglePipeline}
    return pipelines[str(outputs["platform"]).partition("-")[0]](deployment, outputs)
