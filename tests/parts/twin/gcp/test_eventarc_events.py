"""CloudEvents of objects: what a trigger wants, and what its service gets, read by the function that is to understand it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from handlers.functions.gcp import object_events
from handlers.functions.http_request import HttpRequest
from pilotlight.twin.gcp.eventarc_events import body, headers, wants
from pilotlight.twin.gcp.storage_events import ObjectEvent
from pilotlight.twin.gcp.types import TRIGGER
from pilotlight.twin.world import Resource

NAME = 'in/a b "100 %" ü.txt'
STORED = {"bucket": "objects", "name": NAME, "generation": "1774000000000001", "size": "5", "etag": "CA=", "id": "x"}


def event(kind: str = "finalized", bucket: str = "objects") -> ObjectEvent:
    return ObjectEvent(kind=kind, bucket=bucket, resource=STORED, at=1_774_000_000.25, id="12345")


def trigger(**wanted: str) -> Resource:
    found = [{"attribute": name, "value": value} for name, value in wanted.items()]
    return Resource(token=TRIGGER, id="t", urn="", outputs={"matchingCriterias": found})


def test_the_attributes_are_headers() -> None:
    assert headers(event()) == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "12345",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/objects",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-subject": "objects/in/a%20b%20%22100%20%25%22%20%C3%BC.txt",
        "ce-time": "2026-03-20T09:46:40.250000Z",
        "ce-bucket": "objects",
    }


def test_the_function_reads_it() -> None:
    request = HttpRequest("POST", "/", dict(headers(event())), body(event()), None)
    found = object_events.created(object_events.read(request))
    assert (found.bucket, found.key, found.version, found.size) == ("objects", NAME, "1774000000000001", 5)
    assert json.loads(body(event())) == STORED


@pytest.mark.parametrize(
    ("wanted", "is_wanted"),
    [
        ({"type": "finalized", "bucket": "objects"}, True),
        ({"type": "finalized", "bucket": "others"}, False),
        ({"type": "deleted", "bucket": "objects"}, False),
        ({"type": "finalized", "bucket": "objects", "subject": "x"}, False),
    ],
)
def test_every_criterion_counts(wanted: dict[str, Any], is_wanted: bool) -> None:
    wanted["type"] = f"google.cloud.storage.object.v1.{wanted['type']}"
    assert wants(trigger(**wanted), event()) is is_wanted
