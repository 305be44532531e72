"""Events of Azure Storage as Event Grid puts them into a queue, in its own schema or as CloudEvents.

Source of the shapes and of the rules: Event Grid, "Azure Blob Storage as an Event Grid source"; Azure Storage, "Reacting to Blob storage
events", practices for consuming events.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from handlers.functions.azure.places import Place
from handlers.functions.logs import request_id
from handlers.functions.outcomes import Refused
from handlers.functions.versions import ObjectVersion

CREATED = "Microsoft.Storage.BlobCreated"
# The blob has its content with the event of the call after these.
_BEFORE_CONTENT = ("CreateFile", "SftpCreate")
_SUBJECT = re.compile(r"/blobServices/default/containers/(?P<container>[^/]+)/blobs/(?P<key>.+)", re.DOTALL)
# Sequencers compare as text once the shorter one is filled up with zeros on the left; they have 32 digits or 64.
SEQUENCER_DIGITS = 64


def created(body: bytes, objects: Place) -> ObjectVersion | None:
    """The version of a blob in the container `objects` that an event tells of; None for one that comes before its content.

    A version is known by its ETag, under which it is read. Raises Refused for another message.
    """
    event = _event(body)
    kind = event.get("eventType") or event.get("type")
    if kind != CREATED:
        raise Refused(f"The event is of type {str(kind)[:100]!r}: {CREATED} is worked on.")
    try:
        return _version(event, objects)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise Refused(f"The event is none of Azure Storage: {type(error).__name__}: {error}.") from error


def _event(body: bytes) -> Mapping[str, Any]:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"The message is not JSON: {error}.") from error
    if not isinstance(event, dict):
        raise Refused("The message is no event: it is no JSON object.")
    return event


def _version(event: Mapping[str, Any], objects: Place) -> ObjectVersion | None:
    data, named = event["data"], _SUBJECT.fullmatch(str(event["subject"]))
    if named is None:
        raise ValueError(f"the subject is {str(event['subject'])[:200]!r}")
    container, key = named["container"], named["key"]
    if container != objects.name:
        raise Refused(f"The event is of the container {container!r}: objects of {objects.name!r} are worked on.")
    if data.get("api") in _BEFORE_CONTENT:
        return None
    etag, size = str(data["eTag"]).strip('"'), int(data["contentLength"])
    if not etag or size < 0:
        raise ValueError("it has no eTag, or a size below 0")
    return ObjectVersion(
        bucket=container,
        key=key,
        version=etag,
        sequencer=str(data["sequencer"]).rjust(SEQUENCER_DIGITS, "0"),
        etag=etag,
        size=size,
        uri=f"{objects.account}/{container}/{quote(key)}?etag={quote(etag, safe='')}",
        # Azure Storage's own id of the upload.
        request_id=request_id({}, str(data.get("requestId") or event.get("id") or "")),
    )
