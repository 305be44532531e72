"""A model of many parts in Cloud Storage: fetched side by side, over slow, broken and busy connections, straight into memory."""

import re
import threading

import pytest

from handlers.engines import fetching, ranges
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
from tests.parts.handlers.large_models import WEIGHTS, asked_ranges, assert_whole, parts_of, with_small_parts, write_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("source"), 6 << 20)


@pytest.fixture
def settings(google, bucket, archive, tmp_path, monkeypatch):
    bucket.put("model.tar.gz", archive.read_bytes(), "application/gzip")
    with_small_parts(monkeypatch)
    return HandlerSettings(model_dir=tmp_path / "none", model_uri=f"gs://{bucket.name}/model.tar.gz", model_cache=tmp_path / "cache")


def test_it_is_asked_for_by_parts_and_its_weights_lie_in_memory(settings, archive, front):
    fetched = fetching.fetch(settings)
    assert_whole(fetched, archive)
    # Each once; a machine that is busy may have made one slow, which is asked for twice.
    assert set(asked_ranges(front)) == parts_of(archive)
    assert (fetched.folder / WEIGHTS).is_symlink()


def test_parts_that_break_or_are_refused_for_now_are_asked_for_again(settings, archive, front):
    # Of the first answer, which tells the size, nothing is read.
    front.statuses[:] = [None, None, 503, None, 429]
    front.cut_after[:] = [100, 500_000, 10]
    assert_whole(fetching.fetch(settings), archive)
    assert len(asked_ranges(front)) > len(parts_of(archive))


def test_a_slow_part_holds_up_the_start_no_longer_than_a_second_request_takes(settings, archive, front, monkeypatch):
    monkeypatch.setattr(ranges, "_LEAST_PATIENCE_S", 0.2)
    slow, seen = threading.Event(), []

    def stand_still(headers):
        if re.match(r"bytes=2097152-", headers.get("range", "")):
            seen.append(headers["range"])
            if len(seen) == 1:
                slow.wait(60)

    front.guard = stand_still
    try:
        assert_whole(fetching.fetch(settings), archive)
        assert len(seen) == 2
        assert not slow.is_set()
    finally:
        slow.set()


def test_an_object_that_is_replaced_meanwhile_is_never_mixed_with_the_old_one(settings, archive, bucket, front):
    replaced = threading.Event()

    def replace(headers):
        if "range" in headers and not replaced.is_set():
            replaced.set()
            bucket.put("model.tar.gz", bytes(archive.stat().st_size), "application/gzip")

    front.guard = replace
    with pytest.raises(ModelError, match=r"can't be fetched: 404|can't be unpacked"):
        fetching.fetch(settings)
    assert not settings.model_cache.exists()
