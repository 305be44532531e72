"""Parts of the twin's Cloud Storage by themselves: listing, bodies in two parts, rules, conditions, and what a killed process leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilotlight.twin.gcp.storage_blobs import Blobs, hashes
from pilotlight.twin.gcp.storage_conditions import Conditions, NotModified
from pilotlight.twin.gcp.storage_lifecycle import meets
from pilotlight.twin.gcp.storage_list import page
from pilotlight.twin.gcp.storage_multipart import Related
from pilotlight.twin.gcp.storage_store import ObjectStore, Version
from pilotlight.twin.rows import Refusal

DAY_S = 86_400.0
NAMES = st.lists(st.text(st.sampled_from("ab/é\ud7ff\U0010ffff"), min_size=1, max_size=5), max_size=12, unique=True)


def version(name: str = "o", generation: int = 1, **given: Any) -> Version:
    return Version(
        **{"bucket": "b", "name": name, "generation": generation, "blob": "", "size": 1, "created": 0.0, "updated": 0.0, **given}
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    made = ObjectStore(tmp_path / "storage.sqlite3")
    yield made
    made.close()


def everything(store: ObjectStore, query: dict[str, str]) -> tuple[list[str], list[str], int]:
    """Names and prefixes of all pages, and the size of the largest."""
    names: list[str] = []
    prefixes: list[str] = []
    token: str | None = ""
    largest = 0
    while token is not None:
        found = page(store, "b", query | ({"pageToken": token} if token else {}))
        names += [one.name for one in found.items]
        prefixes += found.prefixes
        largest, token = max(largest, len(found.items) + len(found.prefixes)), found.token
    return names, prefixes, largest


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, st.text(st.sampled_from("ab/é\ud7ff"), max_size=2), st.sampled_from(["", "/", "ab"]), st.integers(1, 4))
def test_pages_hold_what_one_look_at_everything_finds(store: ObjectStore, names: list[str], prefix: str, delimiter: str, most: int) -> None:
    with store.transaction():
        for held in list(store.select("1")):
            store.drop(held)
        for name in names:
            store.put(version(name))
        store.put(version("zz", 2, bucket="another"))
    wanted = sorted((name for name in names if name.startswith(prefix)), key=lambda name: name.encode())
    below = [name.find(delimiter, len(prefix)) if delimiter else -1 for name in wanted]
    items = [name for name, at in zip(wanted, below, strict=True) if at < 0]
    folders = [name[: at + len(delimiter)] for name, at in zip(wanted, below, strict=True) if at >= 0]
    query = {"prefix": prefix, "delimiter": delimiter, "maxResults": str(most)}
    assert everything(store, query) == (items, [folder for folder, _ in groupby(folders)], min(most, len(items) + len(set(folders))))


def test_a_folder_of_many_is_passed_over(store: ObjectStore) -> None:
    with store.transaction():
        for number in range(3000):
            store.put(version(f"in/{number}"))
        store.put(version("later"))
    asked: list[str] = []
    store._db.set_trace_callback(asked.append)
    found = page(store, "b", {"delimiter": "/"})
    assert (found.prefixes, [one.name for one in found.items], found.token) == (["in/"], ["later"], None)
    assert len(asked) == 2


async def _chunks(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def _read(body: bytes, size: int) -> tuple[dict[str, object], bytes]:
    related = Related("multipart/related; boundary=mark", _chunks(body, size))
    said, _ = await related.head()
    return said, b"".join([chunk async for chunk in related.media()])


@given(st.lists(st.sampled_from([b"\r", b"\n", b"--", b"mark", b"x"]), max_size=30), st.sampled_from([b"\n", b"\r\n"]), st.integers(1, 50))
def test_a_body_in_two_parts_is_read_however_it_comes(pieces: list[bytes], line: bytes, size: int) -> None:
    media = b"".join(pieces)
    if line + b"--mark" in line + media:
        return
    parts = [b"--mark", b"Content-Type: application/json", b"", b'{"name": "o"}', b"--mark", b"Content-Type: text/plain", b"", media]
    body = line.join([*parts, b"--mark--", b""])
    assert asyncio.run(_read(body, size)) == ({"name": "o"}, media)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({}, False),
        ({"age": 10}, True),
        ({"age": 11}, False),
        ({"age": 0}, False),
        ({"age": 0, "sendAgeIfZero": True}, True),
        ({"daysSinceNoncurrentTime": 4}, True),
        ({"daysSinceNoncurrentTime": 5}, False),
        ({"numNewerVersions": 2}, True),
        ({"numNewerVersions": 3}, False),
        ({"withState": "ARCHIVED"}, True),
        ({"withState": "LIVE"}, False),
        ({"age": 10, "withState": "LIVE"}, False),
        ({"matchesPrefixes": ["x", "in/"]}, True),
        ({"matchesSuffixes": [".txt"]}, False),
        ({"matchesStorageClasses": ["STANDARD"]}, True),
        ({"createdBefore": "1970-01-02"}, True),
        ({"createdBefore": "1970-01-01"}, False),
        ({"noncurrentTimeBefore": "1970-01-07"}, False),
        ({"daysSinceCustomTime": 5}, True),
        ({"customTimeBefore": "1970-01-05"}, False),
    ],
)
def test_a_rule_meets_what_it_says(condition: dict[str, Any], met: bool) -> None:
    fields = {"storageClass": "STANDARD", "customTime": "1970-01-05T00:00:00Z"}
    one = version("in/o", ended=6 * DAY_S, fields=fields)
    assert meets(condition, one, 2, 10 * DAY_S) is met


def test_conditions_are_on_the_live_version_or_on_none() -> None:
    live, old = version(generation=5, metageneration=2), version(generation=3, ended=1.0)
    Conditions(generation=5, metageneration=1).check(live, old)
    Conditions(generation=0).check(None, old)
    Conditions(generation_not=0).check(live, live)
    for unmet in (Conditions(generation=3), Conditions(generation=0), Conditions(metageneration=2), Conditions(generation_not=5)):
        with pytest.raises(Refusal) as caught:
            unmet.check(live, old)
        assert caught.value.status == 412
    with pytest.raises(NotModified):
        Conditions(metageneration_not=1).check(live, old, reading=True)
    with pytest.raises(Refusal):
        Conditions.of({"ifGenerationMatch": "5.0"})


KILLED = """
import asyncio, os, sys
from pathlib import Path
from pilotlight.twin.gcp.storage_blobs import Blobs
from pilotlight.twin.gcp.storage_store import ObjectStore, Version

async def body():
    yield bytes(1000)

home, when = Path(sys.argv[1]), sys.argv[2]
store, blobs = ObjectStore(home / "storage.sqlite3"), Blobs(home / "storage")
blob = blobs.new()
asyncio.run(blobs.append(blob, body()))
if when == "before":
    os._exit(9)
made = Version(bucket="b", name="o", generation=store.next_generation(0), blob=blob, size=1000, created=0, updated=0)
with store.transaction():
    store.put(made)
    store.add_event({"kind": "finalized"}, 0)
    if when == "within":
        os._exit(9)
os._exit(9)
"""


@pytest.mark.parametrize(("when", "held"), [("before", 0), ("within", 0), ("after", 1)])
def test_a_killed_process_leaves_an_object_with_its_event_or_nothing(tmp_path: Path, when: str, held: int) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), when], check=False)
    assert ended.returncode == 9
    store, blobs = ObjectStore(tmp_path / "storage.sqlite3"), Blobs(tmp_path / "storage")
    blobs.sweep(store.blobs())
    files = list((tmp_path / "storage").iterdir())
    assert (store.count("b"), len(store.events_due(1)), len(files)) == (held, held, held)
    assert all(hashes(file)["md5Hash"] == hashes(bytes(1000))["md5Hash"] for file in files)
    store.close()


def test_generations_grow_though_the_clock_goes_back(store: ObjectStore) -> None:
    first = store.next_generation(1000.0)
    assert first == 1_000_000_000
    assert [store.next_generation(1000.0), store.next_generation(5.0), store.next_generation(2000.0)] == [first + 1, first + 2, 2 * first]
