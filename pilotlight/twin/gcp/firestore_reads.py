"""Reads of documents and the transactions that they belong to, as Firestore's methods answer them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc  # type: ignore[import-untyped]
from google.cloud.firestore_v1.types import firestore as types
from google.protobuf import empty_pb2  # type: ignore[import-untyped]

from pilotlight.twin.gcp import firestore_query, firestore_values, firestore_writes
from pilotlight.twin.gcp.firestore_store import DocumentStore
from pilotlight.twin.gcp.grpc_front import GrpcError, not_served

# Firestore API, documents.list.
MAX_PAGE = 300
# How long a transaction waits for its turn at a document, in seconds of the machine; then it takes its chance.
TURN_S = 2.0


def database_of(name: str) -> str:
    """`projects/P/databases/D` of anything in it."""
    return "/".join(name.split("/")[:4])


class Reads:
    """To be used in one loop, and told (`ended`) of every commit."""

    def __init__(self, store: DocumentStore) -> None:
        self.store = store
        self._ended = asyncio.Event()

    # Transactions.

    def begin(self, request: Any) -> Any:
        return types.BeginTransactionResponse.pb()(transaction=self._begun(request.database, request.options))

    def _begun(self, database: str, options: Any) -> bytes:
        read_only = options.WhichOneof("mode") == "read_only"
        if read_only and options.read_only.WhichOneof("consistency_selector"):
            raise not_served("The local twin does not read the past: leave readTime out.")
        if not read_only and options.read_write.retry_transaction:
            self.store.rollback(options.read_write.retry_transaction)
        return self.store.begin(database, read_only=read_only)

    def rollback(self, request: Any) -> Any:
        self.store.rollback(request.transaction)
        self.ended()
        return empty_pb2.Empty()

    def ended(self) -> None:
        """A transaction has ended: those that wait for their turn look again."""
        self._ended.set()
        self._ended = asyncio.Event()

    async def _turn(self, names: list[str], transaction: bytes) -> None:
        """Wait until no other transaction holds one of the documents: without it a busy one would abort more often than clients retry."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TURN_S
        while self.store.held_by_others(names, transaction) and (left := deadline - loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._ended.wait()
            except TimeoutError:
                return

    def _consistency(self, request: Any, database: str) -> tuple[bytes, bool]:
        """The transaction that a read belongs to, empty for none, and whether the read begins it."""
        selector = request.WhichOneof("consistency_selector")
        if selector == "read_time":
            raise not_served("The local twin does not read the past: leave readTime out.")
        if selector == "new_transaction":
            return self._begun(database, request.new_transaction), True
        return request.transaction, False

    # Reads.

    async def batch_get(self, request: Any) -> AsyncGenerator[Any, None]:
        names = list(request.documents)
        for name in names:
            firestore_writes.require_name(name)
        transaction, begins = self._consistency(request, request.database)
        if transaction:
            await self._turn(names, transaction)
        found, time = self.store.read(names, transaction)
        response = types.BatchGetDocumentsResponse.pb()
        if begins:
            yield response(transaction=transaction)
        for name, document in found:
            if document is None:
                yield response(missing=name, read_time=time)
            else:
                kept = firestore_values.projected(document, list(request.mask.field_paths)) if request.HasField("mask") else document
                yield response(found=kept, read_time=time)

    def get(self, request: Any) -> Any:
        firestore_writes.require_name(request.name)
        transaction, _ = self._consistency(request, database_of(request.name))
        ((name, document),), _ = self.store.read([request.name], transaction)
        if document is None:
            raise GrpcError(grpc.StatusCode.NOT_FOUND, f"Document {name!r} not found.")
        return firestore_values.projected(document, list(request.mask.field_paths)) if request.HasField("mask") else document

    async def query(self, request: Any) -> AsyncGenerator[Any, None]:
        transaction, begins = self._consistency(request, database_of(request.parent))
        found, time = self.store.query(request.parent, request.structured_query, transaction)
        response = types.RunQueryResponse.pb()
        if begins:
            yield response(transaction=transaction)
        for document in found:
            yield response(document=document, read_time=time)
        if not found:
            yield response(read_time=time)

    async def aggregate(self, request: Any) -> AsyncGenerator[Any, None]:
        transaction, begins = self._consistency(request, database_of(request.parent))
        asked = request.structured_aggregation_query
        found, time = self.store.query(request.parent, asked.structured_query, transaction)
        answer = types.RunAggregationQueryResponse.pb()(read_time=time)
        if begins:
            answer.transaction = transaction
        for number, one in enumerate(asked.aggregations, 1):
            field = answer.result.aggregate_fields[one.alias or f"field_{number}"]
            field.CopyFrom(firestore_query.aggregated(one, found))
        yield answer

    def list_documents(self, request: Any) -> Any:
        if request.order_by and request.order_by != firestore_query.NAME:
            raise not_served("The local twin lists documents by name only: leave orderBy out, or run a query.")
        path = f"{request.parent}/{request.collection_id}"
        held = {one.name: one for one in self.store.collection(path)}
        if request.show_missing:
            depth = path.count("/") + 2
            for name in self.store.names_below(path):
                held.setdefault("/".join(name.split("/")[:depth]), None)
        names = [name for name in sorted(held, key=firestore_values.name_key) if name > request.page_token]
        size = request.page_size or MAX_PAGE
        answer = types.ListDocumentsResponse.pb()(next_page_token=names[size - 1] if len(names) > size else "")
        for name in names[:size]:
            document = held[name] if held[name] is not None else firestore_values.Document(name=name)
            masked = firestore_values.projected(document, list(request.mask.field_paths)) if request.HasField("mask") else document
            answer.documents.append(masked)
        return answer

    def collections(self, request: Any) -> Any:
        depth = request.parent.count("/") + 1
        ids = sorted({name.split("/")[depth] for name in self.store.names_below(request.parent)})
        return types.ListCollectionIdsResponse.pb()(collection_ids=ids)
