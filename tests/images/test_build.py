"""Builds: one commit gives one digest, and only what is locked goes in."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.images.bare import Bare
from tests.images.conftest import copy_context
from tests.images.engines import BuildFailed, Engine

pytestmark = pytest.mark.images


def test_two_builds_of_one_commit_have_one_digest(engine: Engine, context: Path, image: str, tmp_path: Path) -> None:
    """The first build of a store that was empty, and one that takes nothing from it."""
    if not isinstance(engine, Bare):
        pytest.skip("Docker's local builds carry file times: only buildah's `--timestamp 0` is compared.")
    second = copy_context(tmp_path / "another-checkout")
    for name in ("containers", "handlers"):
        for path in (context / name).rglob("*"):
            if path.is_file():
                (second / path.relative_to(context)).write_bytes(path.read_bytes())
    later = time.time() + 3600
    for path in second.rglob("*"):
        os.utime(path, (later, later))
    digest = engine.digest(engine.build(second, dockerfile=second / "containers/Dockerfile", target="cpu", fresh=True))
    assert digest == engine.digest(image)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)


def test_a_changed_handler_changes_the_digest(engine: Engine, image: str, tmp_path: Path) -> None:
    changed = copy_context(tmp_path / "changed")
    with (changed / "handlers/__init__.py").open("a") as file:
        file.write("# changed\n")
    assert engine.digest(engine.build(changed, dockerfile=changed / "containers/Dockerfile", target="cpu")) != engine.digest(image)


def test_a_lock_that_was_tampered_with_builds_nothing(engine: Engine, tmp_path: Path) -> None:
    context = copy_context(tmp_path / "tampered")
    lock = context / "containers/requirements/cpu.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, lock.read_text()))
    with pytest.raises(BuildFailed, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        engine.build(context, dockerfile=context / "containers/Dockerfile", target="cpu")
