"""Destroying is refused while something is kept; AWS is moto's."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from pilotlight.cli.exits import CommandError, Exit
from pilotlight.cli.retention import refuse_to_lose_data
from pilotlight.cli.session import Session

BUCKET = {"type": "aws:s3/bucket:Bucket", "id": "kept", "inputs": {"bucket": "kept"}, "outputs": {"bucket": "kept"}}
REPOSITORY = {
    "type": "aws:ecr/repository:Repository",
    "id": "images",
    "inputs": {"name": "images"},
    "outputs": {"name": "images", "repositoryUrl": "123.dkr.ecr.us-east-1.amazonaws.com/images"},
}


@pytest.fixture
def destroying(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> Iterator[Callable[..., None]]:
    """Asks whether a stack with these resources may be destroyed."""
    for name, value in {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    session = session_in("cloud")

    def ask(*resources: dict[str, Any]) -> None:
        monkeypatch.setattr(Session, "resources", lambda self, stack: list(resources))
        refuse_to_lose_data(session, "demo")

    with mock_aws():
        yield ask


def test_an_empty_bucket_and_registry_may_go(destroying: Callable[..., None]) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="kept")
    boto3.client("ecr", region_name="us-east-1").create_repository(repositoryName="images")
    destroying(BUCKET, REPOSITORY)


def test_a_bucket_with_an_object_is_kept_and_the_setting_named(destroying: Callable[..., None]) -> None:
    store = boto3.client("s3", region_name="us-east-1")
    store.create_bucket(Bucket="kept")
    store.put_object(Bucket="kept", Key="a", Body=b"x")
    with pytest.raises(
        CommandError, match=r"`dataRetention: keep` holds the bucket kept.*Nothing was deleted.*dataRetention: delete"
    ) as caught:
        destroying(BUCKET)
    assert caught.value.code is Exit.FAILED


def test_a_bucket_with_deleted_versions_only_still_holds_data(destroying: Callable[..., None]) -> None:
    store = boto3.client("s3", region_name="us-east-1")
    store.create_bucket(Bucket="kept")
    store.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    store.put_object(Bucket="kept", Key="a", Body=b"x")
    store.delete_object(Bucket="kept", Key="a")
    with pytest.raises(CommandError, match="the bucket kept"):
        destroying(BUCKET)


def test_a_registry_with_an_image_is_kept(destroying: Callable[..., None]) -> None:
    registry = boto3.client("ecr", region_name="us-east-1")
    registry.create_repository(repositoryName="images")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": {"digest": "sha256:0"}, "layers": []}
    registry.put_image(repositoryName="images", imageManifest=json.dumps(manifest), imageTag="build-1")
    with pytest.raises(CommandError, match="the image repository images"):
        destroying(REPOSITORY)


@pytest.mark.parametrize("flag", [{"forceDestroy": True}, {"forceDelete": True}])
def test_what_was_deployed_to_be_deleted_is_not_looked_at(destroying: Callable[..., None], flag: dict[str, bool]) -> None:
    resource = BUCKET if "forceDestroy" in flag else REPOSITORY
    destroying(resource | {"inputs": flag})


def test_a_bucket_that_is_gone_keeps_nothing(destroying: Callable[..., None]) -> None:
    destroying(BUCKET, REPOSITORY)


def test_a_service_that_does_not_answer_stops_the_destroy(monkeypatch: pytest.MonkeyPatch, session_in: Callable[[str], Session]) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    session = dataclasses.replace(session_in("local"), variables=variables)
    monkeypatch.setattr(Session, "resources", lambda self, stack: [BUCKET])
    with pytest.raises(CommandError, match="can't be seen, so nothing was deleted"):
        refuse_to_lose_data(session, "demo")
