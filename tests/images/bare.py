"""Images without Docker: buildah builds (chroot, overlay), runc runs."""

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.images import base
from tests.images.bundle import bundle_config
from tests.images.engines import BuildFailed, ImageConfig, Launch, build_secrets
from tests.images.payload import oci_bytes
from tests.images.processes import ForegroundClient


class Bare:
    """An engine whose store, containers and states live in one temporary folder."""

    def __init__(self, cache: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pilotlight-images-"))
        self._secrets = build_secrets(self._folder)
        try:
            self._import(base.base_tar(cache))
        except BaseException:
            self.close()
            raise

    def _buildah(self, *arguments: str) -> str:
        store = ["--root", str(self._folder / "store"), "--runroot", str(self._folder / "run"), "--storage-driver", "overlay"]
        # buildah keeps what it works on in TMPDIR.
        scratch = os.environ | {"TMPDIR": str(self._folder)}
        done = subprocess.run(["buildah", *store, *arguments], capture_output=True, text=True, env=scratch, check=False)
        if done.returncode != 0:
            raise BuildFailed(f"buildah {arguments[0]} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip()

    def _import(self, tar: Path) -> None:
        container = self._buildah("from", "scratch")
        self._buildah("add", "--quiet", container, str(tar), "/")
        self._buildah("config", "--cmd", "python3", "--env", f"PATH={base.PATH}", container)
        self._buildah("commit", "--quiet", "--rm", "--timestamp", "0", container, base.NAME)

    def build(self, context: Path, *, dockerfile: Path, target: str | None = None, fresh: bool = False) -> str:
        name = f"localhost/pilotlight-{uuid.uuid4().hex[:12]}"
        command = ["build", "--pull-never", "--isolation", "chroot", "--timestamp", "0", "--format", "oci", "--tag", name]
        command += ["--layers", *(["--no-cache"] if fresh else [])]
        command += ["--build-arg", f"BASE={base.NAME}", *(["--target", target] if target else [])]
        ignored = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
        command += ["--ignorefile", str(ignored)] if ignored.is_file() else []
        command += [word for key, path in self._secrets.items() for word in ("--secret", f"id={key},src={path}")]
        self._buildah(*command, "--file", str(dockerfile), str(context))
        return name

    def _inspect(self, image: str) -> dict[str, object]:
        return dict(json.loads(self._buildah("inspect", "--type", "image", image)))

    def digest(self, image: str) -> str:
        return str(self._inspect(image)["FromImageDigest"])

    def config(self, image: str) -> ImageConfig:
        described = self._inspect(image)["OCIv1"]
        assert isinstance(described, dict)
        return ImageConfig.of(described["config"])

    def diff_ids(self, image: str) -> list[str]:
        described = self._inspect(image)["OCIv1"]
        assert isinstance(described, dict)
        return list(described["rootfs"]["diff_ids"])

    def pushed_bytes(self, image: str) -> list[int]:
        # A push to a folder compresses as one to a registry does.
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            self._buildah("push", "--quiet", "--compression-format", "gzip", image, f"oci:{folder}")
            return oci_bytes(Path(folder))

    def save(self, image: str, archive: Path) -> None:
        """What `docker save` writes."""
        self._buildah("push", "--quiet", image, f"docker-archive:{archive}")

    @contextmanager
    def run(self, image: str, launch: Launch) -> Iterator["RuncContainer"]:
        name = f"pilotlight-{uuid.uuid4().hex[:12]}"
        layer = self._buildah("from", "--pull-never", image)
        try:
            root = Path(self._buildah("mount", layer))
            bundle = self._folder / name
            bundle.mkdir()
            (bundle / "config.json").write_text(json.dumps(bundle_config(name, root, self.config(image), launch)))
            container = RuncContainer(name, bundle, state=self._folder / "runc")
            try:
                yield container
            finally:
                container.close()
        finally:
            self._buildah("rm", layer)

    def close(self) -> None:
        try:
            if (self._folder / "store").exists():
                self._buildah("rm", "--all")
        finally:
            shutil.rmtree(self._folder, ignore_errors=False)


class RuncContainer(ForegroundClient):
    """runc stays in the foreground and ends with the status of process 1."""

    def __init__(self, name: str, bundle: Path, *, state: Path) -> None:
        self._name = name
        self._runc = ["runc", "--root", str(state)]
        super().__init__([*self._runc, "run", "--bundle", str(bundle), name], log=bundle / "log")

    def terminate(self) -> None:
        subprocess.run([*self._runc, "kill", self._name, "TERM"], check=True)

    def execute(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._runc, "exec", self._name, *argv], capture_output=True, text=True, timeout=60, check=False)

    def remove(self) -> None:
        subprocess.run([*self._runc, "delete", "--force", self._name], capture_output=True, check=False)
