"""S3's event notifications, as SQS delivers them: which object versions were created.

Source of the shape and of its rules: S3 user guide, "Event message structure".
"""

import json
from typing import Any
from urllib.parse import quote, unquote_plus

from handlers.functions.logs import request_id
from handlers.functions.outcomes import Refused
from handlers.functions.versions import ObjectVersion

# S3's own have 16 to 18 hexadecimal digits; shorter ones are filled up with zeros on the right, so that they compare as text.
SEQUENCER_DIGITS = 64


def is_sqs(event: object) -> bool:
    """Whether a Lambda event is a batch of SQS messages."""
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and bool(records) and isinstance(records[0], dict) and records[0].get("eventSource") == "aws:sqs"


def created(body: str, message_id: str) -> list[ObjectVersion]:
    """The versions that one message tells of; none for S3's test event and for what is not a creation.

    Their correlation id is S3's own of the upload, else the message's. Raises Refused for a message that is no event of S3.
    """
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The message is not JSON: {error}.") from error
    if isinstance(event, dict) and event.get("Event") == "s3:TestEvent":
        return []
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list) or not records:
        raise Refused("The message is no event notification of S3: it has no 'Records'.")
    return [_version(record, message_id) for record in records if _is_creation(record)]


def _is_creation(record: Any) -> bool:
    name = record.get("eventName") if isinstance(record, dict) else None
    if not isinstance(name, str) or record.get("eventSource") != "aws:s3":
        raise Refused("The message is no event notification of S3: a record has another 'eventSource'.")
    return name.startswith("ObjectCreated:")


def _version(record: dict[str, Any], message_id: str) -> ObjectVersion:
    try:
        stored, bucket = record["s3"]["object"], str(record["s3"]["bucket"]["name"])
        # URL-encoded, with a plus for a blank.
        key = unquote_plus(stored["key"], errors="strict")
        size, sequencer = int(stored["size"]), str(stored.get("sequencer") or "")
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Refused(f"The message is no event notification of S3: {type(error).__name__}: {error}.") from error
    # Absent where versioning was never switched on, "null" where it is suspended.
    version = stored.get("versionId") or "null"
    etag = str(stored.get("eTag") or "")
    own = record.get("responseElements")
    uploaded = own.get("x-amz-request-id") if isinstance(own, dict) else None
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version=None if version == "null" else str(version),
        sequencer=sequencer.upper().ljust(SEQUENCER_DIGITS, "0"),
        etag=etag,
        size=size,
        uri=f"s3://{bucket}/{quote(key)}{_which(version, etag)}",
        request_id=request_id({}, str(uploaded or message_id)),
    )


def _which(version: object, etag: str) -> str:
    """The part of an address that says which content is meant, so that no later one is taken for it."""
    if version != "null":
        return f"?versionId={quote(str(version), safe='')}"
    return f"?etag={quote(etag, safe='')}" if etag else ""
