"""Azurite's way onto this machine: whole or not at all, once, and with a reason where it can't be."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from pilotlight.twin.azure import azurite_install
from pilotlight.twin.supervised import EmulatorError


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine whose npm has nothing and reaches nobody."""
    if shutil.which("npm") is None:
        pytest.skip("There is no npm on PATH.")
    return {**os.environ, "npm_config_registry": "http://127.0.0.1:9/", "npm_config_cache": str(tmp_path / "npm")}


def test_without_a_network_it_says_what_to_do_and_leaves_nothing(tmp_path: Path, offline: dict[str, str]) -> None:
    with pytest.raises(EmulatorError, match=r"Connect to a network.*run `up` again(?s:.*)ECONNREFUSED"):
        azurite_install.ensure(tmp_path / "cache", offline)
    assert [one.name for one in (tmp_path / "cache" / "node").iterdir() if one.suffix != ".lock"] == []


def test_who_comes_second_waits_and_takes_what_the_first_has_made(tmp_path: Path, offline: dict[str, str]) -> None:
    place = azurite_install.modules_folder(tmp_path / "cache")
    place.parent.mkdir(parents=True)
    found: list[azurite_install.Installed] = []
    second = threading.Thread(target=lambda: found.append(azurite_install.ensure(tmp_path / "cache", offline)))
    with FileLock(f"{place}.lock"):
        second.start()
        second.join(0.5)
        assert second.is_alive()
        place.mkdir()
    second.join(10)
    assert [one.modules for one in found] == [place]


def test_a_node_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    for name, said in (("node", "v18.20.0"), ("npm", "")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {said}\n")
        (tmp_path / name).chmod(0o755)
    assert azurite_install._on_path({"PATH": str(tmp_path)}) is None
    (tmp_path / "node").write_text("#!/bin/sh\necho v22.1.0\n")
    newer = azurite_install._on_path({"PATH": str(tmp_path)})
    assert newer is not None
    assert newer.executable == tmp_path / "node"
