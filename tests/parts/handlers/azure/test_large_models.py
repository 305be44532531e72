"""A model of many parts in a blob: fetched side by side, over slow, broken and busy connections, straight into memory."""

import re
import threading

import pytest

from handlers.engines import fetching, ranges
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
from tests.parts.handlers.large_models import WEIGHTS, asked_ranges, assert_whole, parts_of, with_small_parts, write_archive

NAME, RANGE = "models/a b/model.tar.gz", "x-ms-range"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("source"), 6 << 20)


@pytest.fixture
def settings(azure, archive, tmp_path, monkeypatch):
    azure.account.blobs.put(NAME, archive.read_bytes(), "application/gzip")
    with_small_parts(monkeypatch)
    uri = azure.blob("models/a%20b/model.tar.gz")
    return HandlerSettings(model_dir=tmp_path / "none", model_uri=uri, model_cache=tmp_path / "cache")


def test_it_is_asked_for_by_parts_of_one_version_and_its_weights_lie_in_memory(settings, archive, azure):
    fetched = fetching.fetch(settings)
    assert_whole(fetched, archive)
    # Each once; a machine that is busy may have made one slow, which is asked for twice.
    assert set(asked_ranges(azure.front, RANGE)) == parts_of(archive)
    assert len({headers["if-match"] for _, _, headers in azure.front.seen if RANGE in headers}) == 1
    assert (fetched.folder / WEIGHTS).is_symlink()


def test_parts_that_break_or_are_refused_for_now_are_asked_for_again(settings, archive, azure):
    # Of the first answer, which tells the size, nothing is read.
    azure.front.statuses[:] = [None, None, 503, None, 429]
    azure.front.cut_after[:] = [100, 500_000, 10]
    assert_whole(fetching.fetch(settings), archive)
    assert len(asked_ranges(azure.front, RANGE)) > len(parts_of(archive))


def test_a_slow_part_holds_up_the_start_no_longer_than_a_second_request_takes(settings, archive, azure, monkeypatch):
    monkeypatch.setattr(ranges, "_LEAST_PATIENCE_S", 0.2)
    slow, seen = threading.Event(), []

    def stand_still(headers):
        if re.match(r"bytes=2097152-", headers.get(RANGE, "")):
            seen.append(headers[RANGE])
            if len(seen) == 1:
                slow.wait(60)

    azure.front.guard = stand_still
    try:
        assert_whole(fetching.fetch(settings), archive)
        assert len(seen) == 2
        assert not slow.is_set()
    finally:
        slow.set()


def test_an_object_that_is_replaced_meanwhile_is_never_mixed_with_the_old_one(settings, archive, azure):
    replaced = threading.Event()

    def replace(headers):
        if RANGE in headers and not replaced.is_set():
            replaced.set()
            azure.account.blobs.put(NAME, bytes(archive.stat().st_size), "application/gzip")

    azure.front.guard = replace
    with pytest.raises(ModelError, match="can't be fetched: 412"):
        fetching.fetch(settings)
    assert not settings.model_cache.exists()
