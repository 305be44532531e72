"""A cache of the test's own, and a packager that remembers what it said."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pilotlight.packaging import PackagedModel, package_model


class Packager:
    """Packages into the test's cache; `said` holds the progress lines."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.said: list[str] = []

    def __call__(self, source: Path | str, task: str = "feature-extraction", engine: str = "onnx", **options: Any) -> PackagedModel:
        return package_model(str(source), task, engine, self.cache, progress=self.said.append, **options)

    def left_over(self) -> list[str]:
        """What lies in the cache beside complete artifacts, locks and the wheels' and hub's own copies."""
        folder = self.cache / "artifacts"
        return [path.name for path in folder.glob("*") if path.suffix != ".lock" and not (path / "artifact.json").is_file()]


def members(packaged: PackagedModel) -> dict[str, bytes]:
    """The content of the artifact's members by name."""
    with tarfile.open(packaged.archive) as archive:
        return {item.name: archive.extractfile(item).read() for item in archive.getmembers()}  # type: ignore[union-attr]


def manifest(packaged: PackagedModel) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(members(packaged)["manifest.json"])
    return content


@pytest.fixture
def packager(tmp_path: Path) -> Packager:
    return Packager(tmp_path / "cache")


@pytest.fixture(name="members")
def _members() -> Any:
    return members


@pytest.fixture(name="manifest")
def _manifest() -> Any:
    return manifest
