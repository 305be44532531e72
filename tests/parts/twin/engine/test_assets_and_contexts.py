"""Assets as files of this machine, and the hash of a build context."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotlight.twin import assets
from pilotlight.twin.docker_context import context_hash
from pilotlight.twin.rows import Refusal
from pilotlight.twin.values import ARCHIVE, ASSET, SIGNATURE


def asset(**fields: Any) -> dict[str, Any]:
    return {SIGNATURE: ASSET, "hash": "h", **fields}


def archive(**fields: Any) -> dict[str, Any]:
    return {SIGNATURE: ARCHIVE, "hash": "h", **fields}


def test_values_that_are_no_assets_stay(tmp_path: Path) -> None:
    value = {"a": [1, {"b": "c"}], "path": "x"}
    assert assets.resolve(value, tmp_path, tmp_path) == value


def test_a_relative_path_belongs_to_the_programs_folder(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "program").mkdir()
    (found,) = assets.resolve([asset(path="../a.txt")], tmp_path / "program", tmp_path)
    assert found["path"] == str(tmp_path / "a.txt")


def test_two_zips_of_equal_content_are_one_file(tmp_path: Path) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "b.py").write_text("b")
        (tmp_path / name / "a.py").write_text("a")
        paths.append(assets.resolve(archive(path=name), tmp_path, tmp_path / "cache")["path"])
    assert paths[0] == paths[1]
    with zipfile.ZipFile(paths[0]) as opened:
        assert opened.namelist() == ["a.py", "sub/b.py"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [Path(paths[0]).name]


def test_an_archive_of_assets_has_their_names(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x").write_text("x")
    members = {"t.txt": asset(text="hello"), "below": archive(path="folder"), "deep": archive(assets={"y": asset(text="y")})}
    found = assets.resolve(archive(assets=members), tmp_path, tmp_path / "cache")
    with zipfile.ZipFile(found["path"]) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == {"below/x": b"x", "deep/y": b"y", "t.txt": b"hello"}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (asset(path="none"), "MissingFile"),
        (asset(uri="https://example.com"), "RemoteAsset"),
        (archive(uri="https://example.com/a.zip"), "RemoteAsset"),
        (archive(path="none.zip"), "MissingFile"),
        (archive(path="a.txt"), "InvalidArchive"),
    ],
)
def test_what_cannot_be_a_file_is_refused(tmp_path: Path, given: dict[str, Any], code: str) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(Refusal) as caught:
        assets.resolve(given, tmp_path, tmp_path / "cache")
    assert caught.value.code == code


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    (root / "src" / "__pycache__").mkdir(parents=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "src" / "a.py").write_text("a")
    (root / "src" / "__pycache__" / "a.pyc").write_bytes(b"\0")
    (root / ".dockerignore").write_text("**/__pycache__\nsecret\n!secret/kept\n")
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root


def hashed(root: Path) -> str:
    return context_hash(root, root / "Dockerfile")


def test_the_hash_follows_the_providers_recipe(context: Path) -> None:
    expected = hashlib.sha256((context / "Dockerfile").read_bytes())
    for name in (".dockerignore", "Dockerfile", "src/a.py"):
        expected.update((context / name).read_bytes() + name.encode() + b"-rw-r--r--")
    assert hashed(context) == expected.hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src" / "a.py").write_text("b"),
        lambda root: (root / "src" / "a.py").rename(root / "src" / "b.py"),
        lambda root: (root / "src" / "a.py").chmod(0o755),
        lambda root: (root / "src" / "link").symlink_to("a.py"),
        lambda root: (root / "Dockerfile").write_text("FROM other\n"),
        lambda root: [(root / "secret").mkdir(), (root / "secret" / "kept").write_text("x")],
    ],
)
def test_the_hash_changes_with(context: Path, change: Callable[[Path], Any]) -> None:
    before = hashed(context)
    change(context)
    assert hashed(context) != before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "src" / "__pycache__" / "a.pyc").write_bytes(b"\1"),
        lambda root: [(root / "secret").mkdir(), (root / "secret" / "hidden").write_text("x")],
        lambda root: (root / "empty").mkdir(),
        lambda root: (root / "src" / "a.py").touch(),
    ],
)
def test_the_hash_does_not_change_with(context: Path, change: Callable[[Path], Any]) -> None:
    before = hashed(context)
    change(context)
    assert hashed(context) == before


def test_an_ignored_folder_is_not_even_read(context: Path) -> None:
    locked = context / "src" / "__pycache__" / "loop"
    locked.symlink_to(locked)
    assert hashed(context)


def test_named_contexts_count_in_the_order_of_their_names(context: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    first = context_hash(context, context / "Dockerfile", {"a": tmp_path / "one", "b": tmp_path / "two"})
    assert first == context_hash(context, context / "Dockerfile", {"b": tmp_path / "two", "a": str(tmp_path / "one")})
    assert first != context_hash(context, context / "Dockerfile", {"a": tmp_path / "two", "b": tmp_path / "one"})
