"""Entries that stay, as many as there is room for."""

from __future__ import annotations

from pathlib import Path

from pilotlight.twin.gcp.log_entries import Source
from pilotlight.twin.log_store import LogStore

SOURCE = Source(project="p", location="europe-west1", service="server", revision="server-00001-abc", instance="00ff")
OTHER = Source(project="other", location="europe-west1", service="server", revision="server-00001-abc", instance="00ff")


class Now:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


def texts(store: LogStore, project: str = "p", **asked: object) -> list[str]:
    return [entry["textPayload"] for _, entry in store.entries(project, **asked)]  # type: ignore[arg-type]


def test_entries_come_by_time_from_where_they_are_asked_for(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs.sqlite3", Now())
    for number in range(1200):
        store.write(SOURCE, f"line {number}")
    store.write(OTHER, "of another project")
    store.write(SOURCE, "  ")
    assert texts(store) == [f"line {number}" for number in range(1200)]
    assert texts(store, newest_first=True)[0] == "line 1199"
    assert texts(store, since=101.0 + 1190)[0] == "line 1190"
    place = next(place for place, entry in store.entries("p") if entry["textPayload"] == "line 700")
    assert texts(store, after=place)[0] == "line 701"
    assert texts(store, after=place, newest_first=True)[0] == "line 699"
    assert texts(store, "other") == ["of another project"]


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs.sqlite3", Now())
    store.write(SOURCE, "half a character: \udcff")
    store.close()
    assert texts(LogStore(tmp_path / "logs.sqlite3", Now())) == ["half a character: ?"]


def test_of_too_much_the_newest_stays(tmp_path: Path) -> None:
    store = LogStore(tmp_path / "logs.sqlite3", Now(), kept_bytes=5000)
    for number in range(60):
        store.write(SOURCE, f"line {number}")
        store.flush()
    kept = texts(store)
    assert kept[-1] == "line 59"
    assert 5 < len(kept) < 30
    assert kept == [f"line {number}" for number in range(60 - len(kept), 60)]
