"""Artifact Registry: which pushes it takes, what it holds of them, and whose token opens it."""

from __future__ import annotations

import pytest

from pilotlight.twin import registries
from pilotlight.twin.aws import ecr
from pilotlight.twin.gcp import registry
from pilotlight.twin.gcp.types import REPOSITORY
from pilotlight.twin.rows import Refusal
from pilotlight.twin.world import Resource
from tests.parts.twin.gcp.account import PROJECT, REGION, Account

HOST = f"{REGION}-docker.pkg.dev"
NAME = f"{PROJECT}/images/server"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
OCI = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def repository(account: Account) -> Resource:
    account.enable("artifactregistry")
    return account.make(REPOSITORY, "images", {"repositoryId": "images", "format": "DOCKER"})


def test_a_host_name_tells_whose_registry_it_is() -> None:
    assert registries.of(HOST) is registry
    assert registries.of("123456789012.dkr.ecr.us-east-1.amazonaws.com") is ecr


def test_an_image_is_found_by_tag_and_by_digest(account: Account, repository: Resource) -> None:
    registry.push(account.twin, repository, HOST, NAME, "one", ONE, OCI)
    for uri in (f"{HOST}/{NAME}:one", f"{HOST}/{NAME}@{ONE}", f"{HOST}/{NAME}:one@{ONE}"):
        found = registry.image(account.world, uri)
        assert found is not None
        assert found["digest"] == ONE
    for uri in (
        f"{HOST}/{NAME}",
        f"{HOST}/{NAME}:two",
        f"{HOST}/{PROJECT}/images/other:one",
        f"us-docker.pkg.dev/{NAME}:one",
        "server:one",
    ):
        assert registry.image(account.world, uri) is None
    assert registry.holds(account.twin, HOST, NAME, ONE)
    registry.remove(account.twin, HOST, NAME, ONE)
    assert not registry.holds(account.twin, HOST, NAME, ONE)


def test_a_tag_moves_unless_tags_are_immutable(account: Account, repository: Resource) -> None:
    for digest in (ONE, TWO):
        registry.push(account.twin, repository, HOST, NAME, "latest", digest, OCI)
    moved = registry.image(account.world, f"{HOST}/{NAME}")
    assert moved is not None
    assert moved["digest"] == TWO
    fixed = account.change(repository, {"dockerConfig": {"immutableTags": True}})
    registry.push(account.twin, fixed, HOST, NAME, "latest", TWO, OCI)
    with pytest.raises(Refusal, match="has enabled tag immutability: 'latest' of server cannot move"):
        registry.push(account.twin, fixed, HOST, NAME, "latest", ONE, OCI)


def test_a_push_needs_a_repository_of_images(account: Account, repository: Resource) -> None:
    assert registry.repository(account.twin, HOST, NAME).id == repository.id
    with pytest.raises(Refusal, match="make the repository first"):
        registry.repository(account.twin, HOST, f"{PROJECT}/none/server")
    with pytest.raises(Refusal, match="make the repository first"):
        registry.repository(account.twin, "us-docker.pkg.dev", NAME)
    with pytest.raises(Refusal, match="names no image: use LOCATION-docker"):
        registry.repository(account.twin, HOST, PROJECT)
    account.make(REPOSITORY, "wheels", {"repositoryId": "wheels", "format": "PYTHON"})
    with pytest.raises(Refusal, match="holds PYTHON packages, not images"):
        registry.repository(account.twin, HOST, f"{PROJECT}/wheels/server")


def test_only_the_developers_token_opens_it_and_not_for_ever(account: Account, repository: Resource) -> None:
    token = registry.access_token(account.twin)
    registry.authorize(account.twin, repository, registry.USER, token)
    for user, given in (("AWS", token), (registry.USER, token.removeprefix("ya29.")), (registry.USER, "ya29.9999999999.abc"), ("", "")):
        with pytest.raises(Refusal, match="Unauthenticated request"):
            registry.authorize(account.twin, repository, user, given)
    account.twin.clock.advance(registry.TOKEN_S + 1)
    with pytest.raises(Refusal, match="Unauthenticated request"):
        registry.authorize(account.twin, repository, registry.USER, token)


def test_a_repository_takes_its_images_with_it(account: Account, repository: Resource) -> None:
    registry.push(account.twin, repository, HOST, NAME, "one", ONE, OCI)
    account.delete(repository)
    assert not registry.holds(account.twin, HOST, NAME, ONE)
