"""Images with a Docker daemon on this machine (Linux, since containers share the host's network)."""

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.images.engines import BuildFailed, ImageConfig, Launch, build_secrets
from tests.images.payload import archive_bytes
from tests.images.processes import ForegroundClient


class Docker:
    """An engine that removes the images and containers that it made; the build cache is the daemon's own business."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="pilotlight-images-")
        self._secrets = build_secrets(Path(self._folder.name))
        self._images: list[str] = []

    @staticmethod
    def _docker(*arguments: str) -> str:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, env=os.environ | {"DOCKER_BUILDKIT": "1"}, check=False
        )
        if done.returncode != 0:
            raise BuildFailed(f"docker {arguments[0]} failed ({done.returncode}):\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout.strip()

    def build(self, context: Path, *, dockerfile: Path, target: str | None = None, fresh: bool = False) -> str:
        name = f"pilotlight-test:{uuid.uuid4().hex[:12]}"
        command = ["build", "--network", "host", "--tag", name]
        command += ["--no-cache"] if fresh else []
        command += ["--target", target] if target else []
        command += [word for key, path in self._secrets.items() for word in ("--secret", f"id={key},src={path}")]
        self._docker(*command, "--file", str(dockerfile), str(context))
        self._images.append(name)
        return name

    def digest(self, image: str) -> str:
        return self._docker("image", "inspect", "--format", "{{.Id}}", image)

    def config(self, image: str) -> ImageConfig:
        return ImageConfig.of(json.loads(self._docker("image", "inspect", "--format", "{{json .Config}}", image)))

    def diff_ids(self, image: str) -> list[str]:
        return list(json.loads(self._docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", image)))

    def pushed_bytes(self, image: str) -> list[int]:
        # Docker tells the sizes of a push only to a registry.
        with tempfile.NamedTemporaryFile(dir=self._folder.name, suffix=".tar") as archive:
            self._docker("image", "save", "--output", archive.name, image)
            return archive_bytes(Path(archive.name))

    @contextmanager
    def run(self, image: str, launch: Launch) -> Iterator["DockerContainer"]:
        name = f"pilotlight-test-{uuid.uuid4().hex[:12]}"
        container = DockerContainer(name, image, launch, log=Path(self._folder.name) / name)
        try:
            yield container
        finally:
            container.close()

    def close(self) -> None:
        try:
            if self._images:
                self._docker("image", "rm", "--force", *self._images)
        finally:
            self._folder.cleanup()


class DockerContainer(ForegroundClient):
    """`docker run` in the foreground."""

    def __init__(self, name: str, image: str, launch: Launch, *, log: Path) -> None:
        self._name = name
        command = ["docker", "run", "--name", name, "--network", "host", "--read-only", "--tmpfs", "/tmp:size=512m,mode=1777"]
        command += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
        command += [f"--env={key}={value}" for key, value in launch.env.items()]
        command += [f"--volume={source}:{target}:ro" for target, source in launch.mounts.items()]
        command += [f"--memory={launch.memory_mb}m", f"--memory-swap={launch.memory_mb}m"] if launch.memory_mb else []
        super().__init__([*command, image, *launch.args], log=log)

    def terminate(self) -> None:
        subprocess.run(["docker", "kill", "--signal", "TERM", self._name], check=True, capture_output=True)

    def execute(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "exec", self._name, *argv], capture_output=True, text=True, timeout=60, check=False)

    def remove(self) -> None:
        subprocess.run(["docker", "rm", "--force", self._name], capture_output=True, check=False)
