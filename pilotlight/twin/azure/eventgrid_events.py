"""Events of Blob Storage in Event Grid's own schema, and what is added to those that never arrived.

Source of the shapes: Event Grid documentation, "Azure Blob Storage as an Event Grid source" and "Event Grid message delivery and retry"
(read 2026-11).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pilotlight.twin.azure.storage_created import Created
from pilotlight.twin.azure.times import iso

if TYPE_CHECKING:
    from pilotlight.twin.azure.eventgrid_store import Delivery

BLOB_CREATED = "Microsoft.Storage.BlobCreated"
# Containers in which nothing makes an event (the same page).
SILENT = frozenset({"$logs", "$blobchangefeed"})
# The end of a request's id that is another one in the id of its event.
_OWN = 6


def event_of(created: Created, now: float) -> dict[str, Any]:
    """The event of a stored blob, which happened at `now` in seconds since the epoch. Its subject has the name as it is, unquoted."""
    data = {
        "api": created.api,
        "clientRequestId": created.client_request_id,
        "requestId": created.request_id,
        "eTag": created.etag,
        "contentType": created.content_type,
        "contentLength": created.content_length,
        "blobType": created.blob_type,
        "url": created.url,
        "sequencer": created.sequencer,
        "storageDiagnostics": {"batchId": str(uuid.uuid4())},
    }
    if not created.client_request_id:
        del data["clientRequestId"]
    return {
        "topic": created.account_id,
        "subject": f"/blobServices/default/containers/{created.container}/blobs/{created.blob}",
        "eventType": BLOB_CREATED,
        "id": f"{created.request_id[:-_OWN]}{secrets.token_hex(_OWN // 2)}",
        "data": data,
        "dataVersion": "",
        "metadataVersion": "1",
        "eventTime": iso(now),
    }


def dead_letter(delivery: Delivery) -> dict[str, Any]:
    """The event with the reason why it did not arrive."""
    tried = {} if delivery.tried is None else {"lastDeliveryAttemptTime": iso(delivery.tried)}
    return {
        **delivery.event,
        "deadLetterReason": delivery.reason,
        "deliveryAttempts": delivery.attempts,
        "lastDeliveryOutcome": delivery.outcome,
        "publishTime": iso(delivery.published),
        **tried,
    }


def dead_letter_name(subscription: Mapping[str, Any], now: float) -> str:
    """Of the blob that holds dead letters: the subscription's name in capitals, date and hour without leading zeros, a GUID.

    Event Grid documentation, "Set dead-letter location and retry policy" (read 2026-11).
    """
    at = datetime.fromtimestamp(now, UTC)
    return f"{subscription['name'].upper()}/{at.year}/{at.month}/{at.day}/{at.hour}/{uuid.uuid4()}.json"
