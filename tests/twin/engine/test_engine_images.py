"""docker-build's Image without Docker: what Check refuses, when it differs, what a push needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from pilotlight.twin.aws import ecr, ecr_rows
from pilotlight.twin.docker_build import IMAGE
from pilotlight.twin.values import UNKNOWN
from tests.twin.engine.wire import Wire

HOST = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def source(tmp_path: Path, ports: dict[str, int]) -> Path:
    """A context beside the program's folder, as `..` names it."""
    context = tmp_path / "source"
    (context / "app").mkdir(parents=True)
    (context / "Dockerfile").write_text('FROM python:3.11-slim AS cpu\nCOPY app /app\nENTRYPOINT ["python"]\n')
    (context / "app" / "main.py").write_text("print(1)\n")
    return context


@pytest.fixture
def builder(connect: Callable[..., Wire]) -> Wire:
    return connect("docker-build", region=None)


@pytest.fixture
def inputs(source: Path, wire: Wire) -> dict[str, Any]:
    """What the blueprint declares, for a repository that exists, with a token of its registry."""
    wire.made(ecr.REPOSITORY, "repository", {"name": "repo", "imageTagMutability": "IMMUTABLE"})
    token, _ = wire.invoke(ecr_rows.AUTHORIZATION)
    return {
        "push": False,
        "exports": [{"registry": {}}],
        "context": {"location": "../source"},
        "dockerfile": {"location": "../source/Dockerfile"},
        "target": "cpu",
        "tags": [f"{HOST}/repo:build-1"],
        "registries": [{"address": HOST, "username": token["userName"], "password": token["password"]}],
    }


def test_an_image_is_built_pushed_and_found_by_digest_and_tag(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    _, _, outputs = builder.made(IMAGE, "image", inputs)
    assert outputs["ref"] == f"{HOST}/repo:build-1@{outputs['digest']}"
    assert len(outputs["contextHash"]) == 64
    assert outputs["context"] == {"location": "../source"}
    for uri in (f"{HOST}/repo@{outputs['digest']}", f"{HOST}/repo:build-1"):
        found = ecr.image(twin.world, uri)
        assert found is not None
        assert found["digest"] == outputs["digest"]
    assert ecr.image(twin.world, f"{HOST}/repo:other") is None
    assert ecr.image(twin.world, f"{HOST}/repo@sha256:{'0' * 64}") is None
    assert ecr.image(twin.world, "not a reference") is None


def test_a_preview_knows_nothing_of_the_build(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    _, outputs = builder.create(IMAGE, "image", builder.check(IMAGE, "image", inputs).inputs, preview=True)
    assert {outputs[name] for name in ("ref", "digest", "contextHash")} == {UNKNOWN}
    id_, given, made = builder.made(IMAGE, "image", inputs)
    changed = builder.update(IMAGE, "image", id_, made, {**given, "target": "cpu"}, preview=True)
    assert {changed[name] for name in ("ref", "digest", "contextHash")} == {UNKNOWN}


def test_another_token_is_no_difference_and_another_file_is_one(builder: Wire, inputs: dict[str, Any], source: Path) -> None:
    id_, given, outputs = builder.made(IMAGE, "image", inputs)
    renewed = {**given, "registries": [{**given["registries"][0], "password": "another"}]}
    assert builder.diff(IMAGE, "image", id_, given, outputs, renewed).changes == pb.DiffResponse.DIFF_NONE
    (source / "app" / "main.py").write_text("print(2)\n")
    answer = builder.diff(IMAGE, "image", id_, given, outputs, given)
    assert (list(answer.diffs), list(answer.replaces)) == (["contextHash"], [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"context": {"location": "../none"}}, "not a valid directory"),
        ({"dockerfile": {"location": "../source/None"}}, "there is no such file"),
        ({"tags": [f"{HOST}/Repo:1"]}, "must be lower case"),
        ({"tags": ["a:b:c"]}, "use registry/repository:tag"),
        ({"tags": []}, "at least one tag is needed"),
        ({"dockerfile": {"inline": "FROM scratch"}}, "reads a Dockerfile from a file"),
        ({"context": {"location": "../source", "named": {"x": {"location": "."}}}}, "builds from one context"),
        ({"exports": [{"docker": {}}]}, "pushes to registries only"),
        ({"load": True}, "no Docker"),
        ({"target": "gpu"}, "gpu"),
    ],
)
def test_check_refuses(builder: Wire, inputs: dict[str, Any], change: dict[str, Any], expected: str) -> None:
    problems = builder.check(IMAGE, "image", inputs | change).problems
    assert any(expected in problem for problem in problems), problems


def test_an_unknown_instruction_is_refused_with_its_line(builder: Wire, inputs: dict[str, Any], source: Path) -> None:
    (source / "Dockerfile").write_text("FROM python:3.11-slim AS cpu\nFETCH x\n")
    (problem,) = builder.check(IMAGE, "image", inputs).problems
    assert "FETCH" in problem
    assert "2" in problem


def test_tags_that_are_not_known_yet_are_not_missing(builder: Wire, inputs: dict[str, Any]) -> None:
    assert builder.check(IMAGE, "image", inputs | {"tags": [UNKNOWN]}).problems == []
    assert builder.check(IMAGE, "image", inputs | {"tags": UNKNOWN, "context": UNKNOWN}).problems == []


def test_a_push_needs_the_repository_and_a_token_of_this_twin(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    cases = [
        ({"tags": [f"{HOST}/missing:1"]}, "does not exist"),
        ({"tags": ["docker.io/library/x:1"]}, "does not exist"),
        ({"registries": []}, "No credentials"),
        ({"registries": [{"address": HOST, "username": "AWS", "password": "9999999999.abc"}]}, "not valid"),
        ({"registries": [{**inputs["registries"][0], "username": "me"}]}, "not valid"),
    ]
    for change, expected in cases:
        with pytest.raises(grpc.RpcError, match=expected):
            builder.made(IMAGE, "image", inputs | change)
    twin.clock.advance(13 * 3600)
    with pytest.raises(grpc.RpcError, match="has expired"):
        builder.made(IMAGE, "image", inputs)
    assert twin.images.built == []


def test_an_immutable_tag_cannot_move(builder: Wire, inputs: dict[str, Any], source: Path) -> None:
    builder.made(IMAGE, "image", inputs)
    builder.made(IMAGE, "same", inputs)
    (source / "app" / "main.py").write_text("print(2)\n")
    with pytest.raises(grpc.RpcError, match="ImageTagAlreadyExistsException"):
        builder.made(IMAGE, "other", inputs)


def test_an_excluded_tag_moves(builder: Wire, wire: Wire, inputs: dict[str, Any], source: Path, twin: Any) -> None:
    filters = [{"filter": "build-*", "filterType": "WILDCARD"}]
    news = {"name": "moving", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": filters}
    wire.made(ecr.REPOSITORY, "moving", news)
    moving = inputs | {"tags": [f"{HOST}/moving:build-1"]}
    id_, given, outputs = builder.made(IMAGE, "image", moving)
    (source / "app" / "main.py").write_text("print(2)\n")
    changed = builder.update(IMAGE, "image", id_, outputs, given)
    assert changed["digest"] != outputs["digest"]
    found = ecr.image(twin.world, f"{HOST}/moving:build-1")
    assert found is not None
    assert found["digest"] == changed["digest"]


def test_a_repository_with_images_goes_only_by_force(builder: Wire, wire: Wire, inputs: dict[str, Any], twin: Any) -> None:
    _, _, outputs = builder.made(IMAGE, "image", inputs)
    with pytest.raises(grpc.RpcError, match="RepositoryNotEmptyException"):
        wire.delete(ecr.REPOSITORY, "repository", "repo")
    assert ecr.holds(twin, HOST, "repo", outputs["digest"])
    old = twin.world.get(ecr.REPOSITORY, "repo")
    wire.update(ecr.REPOSITORY, "repository", "repo", dict(old.outputs), {**old.inputs, "forceDelete": True})
    wire.delete(ecr.REPOSITORY, "repository", "repo")
    assert not ecr.holds(twin, HOST, "repo", outputs["digest"])


def test_an_image_that_the_registry_lost_is_gone_at_refresh(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    id_, given, outputs = builder.made(IMAGE, "image", inputs)
    assert builder.read(IMAGE, "image", id_, given)[0] == id_
    ecr.remove(twin, HOST, "repo", outputs["digest"])
    assert builder.read(IMAGE, "image", id_, given)[0] == ""


def test_a_deleted_image_leaves_the_registry(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    id_, _, outputs = builder.made(IMAGE, "image", inputs)
    builder.delete(IMAGE, "image", id_)
    assert not ecr.holds(twin, HOST, "repo", outputs["digest"])


def test_an_image_that_was_left_on_is_taken_over_by_the_next_up(builder: Wire, inputs: dict[str, Any], twin: Any) -> None:
    builder.made(IMAGE, "image", inputs)
    id_, given, outputs = builder.made(IMAGE, "image", inputs)
    builder.diff(IMAGE, "image", id_, given, outputs, given)
    builder.made(IMAGE, "image", inputs)
    assert len(twin.world.find(IMAGE)) == 1
