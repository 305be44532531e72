"""A model of many parts in S3: fetched side by side, over slow and broken connections, straight into memory."""

import re
import threading

import boto3
import pytest
from moto.server import ThreadedMotoServer

from handlers.engines import fetching, ranges
from handlers.engines.manifest import ModelError
from handlers.settings import HandlerSettings
from tests.parts.handlers.http_servers import front_of
from tests.parts.handlers.large_models import WEIGHTS, asked_ranges, assert_whole, parts_of, with_small_parts, write_archive

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("source"), 6 << 20)


@pytest.fixture(scope="module")
def s3():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def front(s3, archive, monkeypatch):
    """What stands before S3, with the archive in it."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=s3)
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="model.tar.gz", Body=archive.read_bytes())
    with front_of(s3) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.address)
        yield made


@pytest.fixture
def settings(front, tmp_path, monkeypatch):
    with_small_parts(monkeypatch)
    return HandlerSettings(model_dir=tmp_path / "none", model_uri="s3://models/model.tar.gz", model_cache=tmp_path / "cache")


def test_it_is_asked_for_by_parts_and_its_weights_lie_in_memory(settings, archive, front):
    fetched = fetching.fetch(settings)
    assert_whole(fetched, archive)
    # Each once; a machine that is busy may have made one slow, which is asked for twice.
    assert set(asked_ranges(front)) == parts_of(archive)
    assert (fetched.folder / WEIGHTS).is_symlink()


def test_parts_whose_connections_break_are_asked_for_again(settings, archive, front):
    # The first answer tells the size, and is not read.
    front.cut_after[:] = [1000, 500_000, 10]
    assert_whole(fetching.fetch(settings), archive)
    assert len(asked_ranges(front)) >= len(parts_of(archive)) + 2


@pytest.mark.parametrize("cuts", [[1000], [2_500_000, 10], [0]], ids=str)
def test_so_is_the_rest_of_one_that_comes_whole(front, archive, tmp_path, cuts):
    """Of 6 MB, less than a part."""
    settings = HandlerSettings(model_dir=tmp_path / "none", model_uri="s3://models/model.tar.gz", model_cache=tmp_path / "cache")
    front.cut_after[:] = cuts
    assert_whole(fetching.fetch(settings), archive)
    assert front.cut_after == []
    assert asked_ranges(front)


def test_a_folder_that_is_mounted_is_no_other_folder(settings, archive, monkeypatch):
    settings.model_cache.mkdir()
    monkeypatch.setattr(type(settings.model_cache), "is_mount", lambda path: path == settings.model_cache)
    fetched = fetching.fetch(settings)
    assert_whole(fetched, archive)
    assert fetched.folder.parent == settings.model_cache


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


def test_a_store_that_knows_no_parts_is_refused_before_the_whole_is_read_for_one(settings, front):
    def forget(headers):
        headers.pop("range", None)

    front.guard = forget
    with pytest.raises(ModelError, match="can't be fetched in parts: the store sent"):
        fetching.fetch(settings)


def test_an_object_that_is_replaced_meanwhile_is_never_mixed_with_the_old_one(settings, archive, s3, front):
    replaced = threading.Event()

    def replace(headers):
        if "range" in headers and not replaced.is_set():
            replaced.set()
            content = bytes(archive.stat().st_size)
            boto3.client("s3", endpoint_url=s3).put_object(Bucket="models", Key="model.tar.gz", Body=content)

    front.guard = replace
    with pytest.raises(ModelError, match=r"can't be fetched: .*PreconditionFailed"):
        fetching.fetch(settings)
    assert not settings.model_cache.exists()


def test_a_right_that_is_on_its_way_is_waited_for_and_one_that_never_comes_is_told(settings, archive, front, monkeypatch):
    monkeypatch.setattr(fetching, "_FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(fetching, "POLICY_S", 0.4)
    asked = []
    front.said[403] = ({}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    def refuse(times):
        def guard(headers):
            asked.append(headers)
            return 403 if len(asked) <= times else None

        return guard

    front.guard = refuse(2)
    assert_whole(fetching.fetch(settings), archive)
    asked.clear()
    front.guard = refuse(1000)
    with pytest.raises(ModelError, match=r"can't be fetched: .*AccessDenied"):
        fetching.fetch(
            HandlerSettings(model_dir=settings.model_dir, model_uri=settings.model_uri, model_cache=settings.model_cache.parent / "other")
        )
    assert 2 < len(asked) < 20
