"""Images without Docker: the final stage of a Dockerfile as a folder, its locked packages as an environment, its entry point as a process.

RUN instructions are not executed. The stage's labels name what they would have made: `dev.pilotlight.requirements` the hashed
lock in the context, `dev.pilotlight.venv` the environment's path in the image, `dev.pilotlight.python` the interpreter's version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock

from pilotlight.twin import dockerfile as parser
from pilotlight.twin.context import compile_sources, copy_sources
from pilotlight.twin.environments import Environments
from pilotlight.twin.placement import Program, place
from pilotlight.twin.processes import Process, Processes

LABEL_LOCK = "dev.pilotlight.requirements"
LABEL_VENV = "dev.pilotlight.venv"
LABEL_PYTHON = "dev.pilotlight.python"
ContextHash = Callable[[Path, Path, Mapping[str, str]], str]


class ImageRefused(ValueError):
    """An image that cannot be built or started; the message says which and what to do."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image that the twin holds. `digest` is `sha256:<64 hex>`, `environment` the key of its packages."""

    digest: str
    context_hash: str
    env: Mapping[str, str]
    workdir: str
    user: str | None
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    venv: str | None
    environment: str | None
    labels: Mapping[str, str]


def image_digest(
    context_hash: str, target: str | None, platforms: Sequence[str], build_args: Mapping[str, str], labels: Mapping[str, str]
) -> str:
    """The digest that stands for a build: equal inputs, equal digest; tags do not count."""
    canonical = json.dumps(
        [context_hash, target or "", sorted(platforms), sorted(build_args.items()), sorted(labels.items())], separators=(",", ":")
    )
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _user(user: str | None, name: str) -> tuple[int, int] | None:
    if not user:
        return None
    uid, _, gid = user.partition(":")
    if not uid.isdigit() or (gid and not gid.isdigit()):
        raise ImageRefused(f"{name}: USER {user} must be numeric, as `USER 10001:10001`: a read-only root cannot look names up.")
    return int(uid), int(gid or uid)


class Images:
    """The images of one twin, below `<cache>/images`; what is there after a restart is what was built before it."""

    def __init__(self, cache: Path, home: Path, processes: Processes, context_hash: ContextHash) -> None:
        self.folder = cache / "images"
        self.environments = Environments(cache)
        self.mountpoint = home / "run" / "root"
        self._processes = processes
        shutil.rmtree(home / "run", ignore_errors=True)  # what workers of a killed twin left
        self._context_hash = context_hash

    def build(
        self,
        context: Path,
        dockerfile: Path,
        target: str | None = None,
        platforms: Sequence[str] = (),
        build_args: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Built:
        """Make the image, unless it is there. Blocking: call it outside the loop.

        Raises DockerfileError, ImageRefused (another Python, a named user, COPY from a build stage) or EnvironmentRefused.
        """
        context, dockerfile = context.resolve(), dockerfile.resolve()
        hashed = self._context_hash(context, dockerfile, {})
        digest = image_digest(hashed, target, platforms, build_args or {}, labels or {})
        if known := self.find(digest):
            return known
        stage = parser.resolve(dockerfile, target, build_args)
        merged = {**stage.labels, **(labels or {})}
        venv = merged.get(LABEL_VENV)
        self._judge(stage, merged, dockerfile.name)
        built = Built(
            digest=digest,
            context_hash=hashed,
            env=stage.env,
            workdir=stage.workdir,
            user=stage.user,
            entrypoint=stage.entrypoint,
            cmd=stage.cmd,
            venv=venv,
            environment=self._environment(context, merged.get(LABEL_LOCK), dockerfile.name) if venv else None,
            labels=merged,
        )
        self._store(built, context, dockerfile, stage)
        return built

    def find(self, digest: str) -> Built | None:
        """The image of that digest, if it is whole: its record, its files and its environment."""
        record = self._place(digest) / "image.json"
        try:
            fields = json.loads(record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        built = Built(**{**fields, "entrypoint": tuple(fields["entrypoint"]), "cmd": tuple(fields["cmd"])})
        if built.environment and not self.environments.path(built.environment).is_dir():
            return None
        return built

    async def launch(
        self,
        digest: str,
        *,
        env: Mapping[str, str],
        mounts: Mapping[str, Path],
        memory_mb: int | None,
        on_line: Callable[[str], None],
        name: str,
        scratch: Path,
        argv_suffix: Sequence[str] = (),
        argv: Sequence[str] | None = None,
        workdir: str | None = None,
        scratch_mb: int = 512,
    ) -> Process:
        """Start the image's entry point (or `argv`) with the image's variables and `env`, nothing of this machine's.

        `argv_suffix` takes the place of the image's CMD, as the arguments of `docker run` do.

        `mounts` puts folders of this machine read-only at paths of the image. Root on Linux: a file system of its own with the
        image's paths, its numeric user, a private /tmp of `scratch_mb` MiB. Elsewhere the paths are mapped to this machine's and
        TMPDIR is `scratch`. Raises ImageRefused when the image is not held.
        """
        built = self.find(digest)
        if built is None:
            raise ImageRefused(f"The twin holds no image {digest}: build it with `image: {{build: …}}`, or bring the stack up again.")
        command = [*(argv or (*built.entrypoint, *(argv_suffix or built.cmd)))]
        places = dict(mounts)
        if built.venv and built.environment:
            places[built.venv] = self.environments.path(built.environment)
        variables = {**built.env, **env}
        program = Program(
            argv=tuple(command),
            env=variables,
            workdir=workdir or built.workdir,
            root=self._place(built.digest) / "root",
            places=places,
            user=_user(built.user, built.digest),
            scratch=scratch,
            scratch_mb=scratch_mb,
        )
        spec, variables = place(program, self.mountpoint)
        return await self._processes.spawn(spec, variables, name=name, on_line=on_line, memory_mb=memory_mb)

    def _place(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")

    def _judge(self, stage: parser.Stage, labels: Mapping[str, str], name: str) -> None:
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        wanted = labels.get(LABEL_PYTHON, running)
        if wanted != running:
            raise ImageRefused(
                f"{name}: the image is for Python {wanted} and the twin runs on {running}: set the project up with Python {wanted}, "
                f"or change the base image and the label {LABEL_PYTHON}."
            )
        _user(stage.user, name)
        if not (stage.entrypoint or stage.cmd):
            raise ImageRefused(f"{name}: stage {stage.name!r} has neither ENTRYPOINT nor CMD, so there is nothing to start.")
        for copy in stage.copies:
            if copy.stage is not None and copy.target != labels.get(LABEL_VENV):
                raise ImageRefused(
                    f"{name}:{copy.line}: COPY --from={copy.stage} to {copy.target}: the twin runs no build stage; "
                    f"only the environment named by the label {LABEL_VENV} may come from one."
                )

    def _environment(self, context: Path, lock: str | None, name: str) -> str:
        if not lock or not (context / lock).is_file():
            raise ImageRefused(f"{name}: the label {LABEL_LOCK} must name the image's hashed lock in the build context, got {lock!r}.")
        return self.environments.ensure(context / lock)

    def _store(self, built: Built, context: Path, dockerfile: Path, stage: parser.Stage) -> None:
        """Beside its place and renamed when complete, so that a killed build leaves nothing that counts."""
        place = self._place(built.digest)
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f"{place.name}.lock"):
            if place.is_dir():
                return
            draft = place.with_name(place.name + ".draft")
            shutil.rmtree(draft, ignore_errors=True)
            root = draft / "root"
            root.mkdir(parents=True)
            (root / built.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
            copy_sources(context, dockerfile, stage.copies, root)
            compile_sources(root)
            if built.venv:
                (root / built.venv.lstrip("/")).mkdir(parents=True, exist_ok=True)
            (draft / "image.json").write_text(json.dumps(asdict(built), ensure_ascii=False), encoding="utf-8")
            draft.rename(place)
