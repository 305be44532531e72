"""Images without Docker: which files they hold, when they are the same, what is refused."""

import json
import os
import stat
from pathlib import Path

import pytest

from pilotlight.twin import sandbox
from pilotlight.twin.aws import ecr
from pilotlight.twin.docker_checks import media_type
from pilotlight.twin.docker_context import context_hash
from pilotlight.twin.dockerfile import DockerfileError
from pilotlight.twin.environments import EnvironmentRefused, environment_key
from pilotlight.twin.images import ImageRefused, Images, image_digest
from pilotlight.twin.placement import Program, place
from pilotlight.twin.processes import Processes

DOCKERFILE = """\
FROM python:3.11 AS build
FROM python:3.11 AS cpu
LABEL dev.pilotlight.requirements=lock.txt dev.pilotlight.venv=/opt/venv dev.pilotlight.python={python}
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY app/ ./app/
USER {user}
ENTRYPOINT ["python", "-m", "app"]
"""
PYTHON = sandbox.platform_key().split("-")[0]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "app" / "deep").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("X = 1\n")
    (folder / "app" / "deep" / "notes.md").write_text("no")
    (folder / "app" / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "app" / "deep" / "run.sh").chmod(0o700)
    (folder / ".dockerignore").write_text("**/*.md\n!keep.md\n")
    (folder / "lock.txt").write_text("# nothing\n")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(python=PYTHON, user="10001"))
    return folder


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return Images(tmp_path / "cache", tmp_path / "home", Processes(), context_hash)


def test_an_image_holds_the_copied_files_readable_for_its_user_and_no_ignored_ones(images, context):
    built = images.build(context, context / "Dockerfile", "cpu")
    root = images.folder / built.digest.removeprefix("sha256:") / "root"
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files == {"app/app/main.py", "app/app/deep/run.sh"}
    assert stat.S_IMODE((root / "app/app/deep/run.sh").stat().st_mode) == 0o744
    assert list(root.rglob("main.*.pyc"))
    assert images.environments.path(built.environment).joinpath("bin", "python").exists()


def test_an_image_is_found_again_by_another_twin_with_the_same_cache(images, context, tmp_path):
    built = images.build(context, context / "Dockerfile", "cpu")
    again = Images(tmp_path / "cache", tmp_path / "elsewhere", Processes(), context_hash)
    assert again.find(built.digest) == built
    assert again.find("sha256:" + "0" * 64) is None


def test_a_changed_source_is_another_image_and_an_ignored_file_is_not(images, context):
    first = images.build(context, context / "Dockerfile", "cpu").digest
    (context / "app" / "deep" / "notes.md").write_text("other")
    assert images.build(context, context / "Dockerfile", "cpu").digest == first
    (context / "app" / "main.py").write_text("X = 2\n")
    assert images.build(context, context / "Dockerfile", "cpu").digest != first


def test_everything_that_a_build_is_asked_for_decides_its_digest():
    one = image_digest("hash", "cpu", ["linux/amd64"], {"A": "1"}, {})
    assert one == image_digest("hash", "cpu", ["linux/amd64"], {"A": "1"}, {})
    others = {
        image_digest("other", "cpu", ["linux/amd64"], {"A": "1"}, {}),
        image_digest("hash", "gpu", ["linux/amd64"], {"A": "1"}, {}),
        image_digest("hash", "cpu", ["linux/arm64"], {"A": "1"}, {}),
        image_digest("hash", "cpu", ["linux/amd64"], {"A": "2"}, {}),
        image_digest("hash", "cpu", ["linux/amd64"], {"A": "1"}, {"l": "1"}),
    }
    assert len(others | {one}) == 6


def test_an_interrupted_build_leaves_nothing_that_counts(images, context, monkeypatch):
    monkeypatch.setattr("pilotlight.twin.images.copy_sources", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        images.build(context, context / "Dockerfile", "cpu")
    monkeypatch.undo()
    built = images.build(context, context / "Dockerfile", "cpu")
    assert images.find(built.digest) == built


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (DOCKERFILE.format(python="3.9", user="1"), ImageRefused, "for Python 3.9 and the twin runs on"),
        (DOCKERFILE.format(python=PYTHON, user="app"), ImageRefused, "must be numeric"),
        (DOCKERFILE.format(python=PYTHON, user="1").replace("lock.txt", "none.txt"), ImageRefused, "'none.txt'"),
        (DOCKERFILE.format(python=PYTHON, user="1") + "COPY --from=build /usr/bin/x /usr/bin/x\n", ImageRefused, "runs no build stage"),
        (DOCKERFILE.format(python=PYTHON, user="1") + "COPY missing /x\n", DockerfileError, "no such file or folder"),
        (DOCKERFILE.format(python=PYTHON, user="1") + "COPY ../secret /x\n", DockerfileError, "leaves the build context"),
        ("FROM a\n", ImageRefused, "neither ENTRYPOINT nor CMD"),
    ],
)
def test_what_the_twin_cannot_build_is_refused_with_the_reason(images, context, text, error, said):
    (context / "Dockerfile").write_text(text)
    with pytest.raises(error, match=said):
        images.build(context, context / "Dockerfile")


def test_a_lock_without_hashes_is_refused(images, context):
    (context / "lock.txt").write_text("six==1.17.0\n")
    with pytest.raises(EnvironmentRefused, match="no environment could be made"):
        images.build(context, context / "Dockerfile")
    assert not [path for path in images.environments.folder.iterdir() if path.is_dir()]


def test_the_key_of_an_environment_follows_its_lock():
    assert environment_key(b"a") == environment_key(b"a") != environment_key(b"b")


def test_without_a_file_system_of_its_own_a_program_gets_this_machines_paths(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: False)
    root, venv = tmp_path / "root", tmp_path / "venv"
    (root / "app").mkdir(parents=True)
    (venv / "bin").mkdir(parents=True)
    program = Program(
        argv=("/opt/venv/bin/python", "-m", "app", "/apple"),
        env={"PATH": "/opt/venv/bin:/usr/bin", "MODEL_DIR": "/opt/ml/model", "PLAIN": "text"},
        workdir="/app",
        root=root,
        places={"/opt/venv": venv, "/opt/ml/model": tmp_path},
        scratch=tmp_path / "scratch",
    )
    spec, env = place(program, tmp_path / "mountpoint")
    assert spec.root is None
    assert spec.uid is None
    assert spec.cwd == str(root / "app")
    assert env["PATH"] == f"{venv}/bin:/usr/bin"
    assert (env["MODEL_DIR"], env["PLAIN"], env["TMPDIR"]) == (str(tmp_path), "text", str(tmp_path / "scratch"))
    assert spec.argv[1:] == ("-m", "app", "/apple")
    assert (tmp_path / "scratch").is_dir()


def test_an_image_folder_over_a_folder_of_the_host_shows_both(tmp_path):
    inside = tmp_path / "usr" / "src" / "app"
    inside.mkdir(parents=True)
    mounts = {mount.target: mount.source for mount in sandbox.image_mounts(tmp_path)}
    assert mounts["/usr/bin"] in ("/usr/bin", os.readlink("/usr/bin") if os.path.islink("/usr/bin") else "/usr/bin")
    assert any(target.startswith("/usr/src") and str(tmp_path) in source for target, source in mounts.items())


def test_the_launch_of_a_process_carries_no_variable_of_its_own():
    spec = sandbox.LaunchSpec(argv=("x",), cwd="/", parent=1)
    assert json.loads(spec.command()[-1])["argv"] == ["x"]
    assert "-I" in spec.command()


@pytest.mark.parametrize(
    ("inputs", "pushed"),
    [
        ({"exports": [{"registry": {"ociMediaTypes": False}}]}, ecr.DOCKER_MANIFEST),
        ({"exports": [{"registry": {"ociMediaTypes": True}}]}, ecr.OCI_MANIFEST),
        ({"exports": [{"registry": None}]}, ecr.OCI_MANIFEST),
        ({"push": True}, ecr.OCI_MANIFEST),
        ({"push": True, "platforms": ["linux/amd64", "linux/arm64"]}, ecr.OCI_INDEX),
        ({"exports": [{"registry": {"ociMediaTypes": False}}], "platforms": ["linux/amd64", "linux/arm64"]}, ecr.DOCKER_LIST),
    ],
)
def test_a_push_has_the_media_type_that_buildkit_writes(inputs, pushed):
    assert media_type(inputs) == pushed
