"""Firestore: the twin's own, for Google's clients unchanged (FIRESTORE_EMULATOR_HOST), one port for each identity.

Own, because the emulator that needs no Java loses increments, takes stale update times and forgets everything at its end. Not served:
listening to changes, the write stream, pipelines, reads of the past, searches for vectors. Composite indexes are not asked for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.cloud.firestore_v1.types import firestore as types
from google.cloud.firestore_v1.types import write as write_types
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from google.rpc import status_pb2  # type: ignore[import-untyped]

from pilotlight.twin.gcp import firestore_values, firestore_writes
from pilotlight.twin.gcp.callers import Allowed, Caller
from pilotlight.twin.gcp.firestore_reads import Reads, database_of
from pilotlight.twin.gcp.firestore_store import DocumentStore, micros
from pilotlight.twin.gcp.grpc_front import GrpcError, GrpcFront, Method, invalid, not_served
from pilotlight.twin.timers import Timer, Timers

SERVICE = "google.firestore.v1.Firestore"
_GET, _LIST = "datastore.entities.get", "datastore.entities.list"
_CREATE, _UPDATE, _DELETE = "datastore.entities.create", "datastore.entities.update", "datastore.entities.delete"
_DATABASE = "datastore.databases.get"
# Firestore API, documents.batchWrite.
MAX_BATCH = 500
# Firestore deletes what has expired within a day, "typically"; the twin looks once an hour of its clock.
EXPIRY_S = 3600.0
Write: Any = write_types.Write.pb()


@dataclass(frozen=True, kw_only=True)
class TimeToLive:
    """A field that holds when its document expires: in a database (full name), of all collections of an id. `offset_s` is added."""

    database: str
    collection: str
    field: str
    offset_s: float = 0.0


class FirestoreService:
    """`exists` tells whether there is a database of that full name, `expiring` what has a time to live, `out` whether a test asked for an
    outage: all are asked at every use."""

    def __init__(
        self,
        path: Path,
        timers: Timers,
        allowed: Allowed,
        exists: Callable[[str], bool],
        expiring: Callable[[], Iterable[TimeToLive]] = tuple,
        out: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = DocumentStore(path, timers.now)
        self._timers = timers
        self._allowed = allowed
        self._exists = exists
        self._expiring = expiring
        self._out = out
        self._reads = Reads(self.store)
        self._sweeper: Timer | None = None

    async def start(self) -> None:
        """Open no port yet: `front.port(caller)` does."""
        self.front = GrpcFront({SERVICE: self._methods()}, self._allowed, self._out)
        self._sweeper = self._timers.every(lambda instant: instant + EXPIRY_S, self._expire)

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.front.close()
        self.store.close()

    def _methods(self) -> Mapping[str, Method]:
        def unary(request: Any, answer: Callable[[Any], Any], *permissions: str) -> Method:
            async def served(asked: Any, caller: Caller) -> Any:
                return answer(asked)

            return Method(request=request.pb(), needs=self._needs(*permissions), unary=served)

        def streamed(request: Any, answer: Callable[[Any], AsyncGenerator[Any, None]], *permissions: str) -> Method:
            return Method(request=request.pb(), needs=self._needs(*permissions), streamed=lambda asked, caller: answer(asked))

        async def commit(asked: Any, caller: Caller) -> Any:
            return self._commit(asked)

        async def batch(asked: Any, caller: Caller) -> Any:
            return self._batch_write(asked)

        reads = self._reads
        return {
            "Commit": Method(request=types.CommitRequest.pb(), needs=self._write_needs, unary=commit),
            "BatchWrite": Method(request=types.BatchWriteRequest.pb(), needs=self._write_needs, unary=batch),
            "BeginTransaction": unary(types.BeginTransactionRequest, reads.begin, _DATABASE),
            "Rollback": unary(types.RollbackRequest, reads.rollback, _DATABASE),
            "GetDocument": unary(types.GetDocumentRequest, reads.get, _GET),
            "CreateDocument": unary(types.CreateDocumentRequest, self._create, _CREATE),
            "UpdateDocument": unary(types.UpdateDocumentRequest, self._update, _UPDATE),
            "DeleteDocument": unary(types.DeleteDocumentRequest, self._delete, _DELETE),
            "ListDocuments": unary(types.ListDocumentsRequest, reads.list_documents, _GET, _LIST),
            "ListCollectionIds": unary(types.ListCollectionIdsRequest, reads.collections, _LIST),
            "BatchGetDocuments": streamed(types.BatchGetDocumentsRequest, reads.batch_get, _GET),
            "RunQuery": streamed(types.RunQueryRequest, reads.query, _GET, _LIST),
            "RunAggregationQuery": streamed(types.RunAggregationQueryRequest, reads.aggregate, _GET, _LIST),
        }

    # Rights.

    def _needs(self, *permissions: str) -> Callable[[Any], Iterable[tuple[str, str]]]:
        def asked(request: Any) -> Iterable[tuple[str, str]]:
            name = _subject(request)
            database = self._database(name)
            return [(permission, database) for permission in permissions]

        return asked

    def _write_needs(self, request: Any) -> Iterable[tuple[str, str]]:
        database = self._database(request.database)
        needed = {permission for write in request.writes for permission in _rights(write)} or {_DATABASE}
        return [(permission, database) for permission in sorted(needed)]

    def _database(self, name: str) -> str:
        database = database_of(name)
        if not self._exists(database):
            project, id_ = (database.split("/") + [""] * 4)[1:4:2]
            text = f"The database {id_} does not exist for project {project}: make it in a program (firestore.Database) and run `up`."
            raise GrpcError(grpc.StatusCode.NOT_FOUND, text)
        return database

    # Writes.

    def _commit(self, request: Any) -> Any:
        results, time = self._written(request.database, request.writes, request.transaction)
        return types.CommitResponse.pb()(write_results=results, commit_time=time)

    def _written(self, database: str, writes: Iterable[Any], transaction: bytes = b"") -> tuple[list[Any], Any]:
        try:
            return self.store.commit(database, writes, transaction)
        finally:
            self._reads.ended()

    def _batch_write(self, request: Any) -> Any:
        names = [firestore_writes.name_of(write) for write in request.writes]
        if len(names) > MAX_BATCH or len(names) > len(set(names)):
            raise invalid(f"{len(names)} writes of {len(set(names))} documents: use up to {MAX_BATCH}, each of another document.")
        answer = types.BatchWriteResponse.pb()()
        for write in request.writes:
            try:
                (result,), _ = self._written(request.database, [write])
                answer.write_results.append(result)
                answer.status.append(status_pb2.Status())
            except GrpcError as error:
                answer.write_results.append(firestore_writes.WriteResult())
                answer.status.append(status_pb2.Status(code=error.code.value[0], message=error.message))
        return answer

    def _one(self, write: Any, mask: Any) -> Any:
        self._written(database_of(write.update.name), [write])
        ((_, document),), _ = self.store.read([write.update.name])
        return firestore_values.projected(document, list(mask.field_paths)) if mask.field_paths else document

    def _create(self, request: Any) -> Any:
        if not request.document_id:
            raise not_served("The local twin does not choose ids of documents: give a documentId.")
        write = Write(update=request.document)
        write.update.name = f"{request.parent}/{request.collection_id}/{request.document_id}"
        write.current_document.exists = False
        return self._one(write, request.mask)

    def _update(self, request: Any) -> Any:
        write = Write(update=request.document)
        for field in ("update_mask", "current_document"):
            if request.HasField(field):
                getattr(write, field).CopyFrom(getattr(request, field))
        return self._one(write, request.mask)

    def _delete(self, request: Any) -> Any:
        write = Write(delete=request.name)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        self._written(database_of(request.name), [write])
        return empty_pb2.Empty()

    async def _expire(self, now: float) -> None:
        for rule in self._expiring():
            gone = [
                document.name
                for document in self.store.in_group(rule.database, rule.collection)
                if (value := firestore_values.get(document.fields, rule.field)) is not None
                and value.WhichOneof(firestore_values.KIND) == "timestamp_value"
                and micros(value.timestamp_value) / 1e6 + rule.offset_s <= now
            ]
            self.store.delete(gone)


def _subject(request: Any) -> str:
    """The name that tells a request's database."""
    for field in ("database", "parent", "name"):
        if field in request.DESCRIPTOR.fields_by_name:
            name: str = getattr(request, field)
            return name
    held: str = request.document.name
    return held


def _rights(write: Any) -> Iterable[str]:
    """What a write needs: one that may create a document and may change one needs both."""
    if write.WhichOneof("operation") == "delete":
        return (_DELETE,)
    condition = write.current_document
    kind = condition.WhichOneof("condition_type")
    if kind is None:
        return (_CREATE, _UPDATE)
    return (_CREATE,) if kind == "exists" and not condition.exists else (_UPDATE,)
