"""The row of `docker-build:index:Image`: built without Docker, pushed to a repository of the twin's own registry."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilotlight.twin.aws import ecr
from pilotlight.twin.docker_context import context_hash
from pilotlight.twin.dockerfile import DockerfileError
from pilotlight.twin.dockerfile import resolve as resolve_stage
from pilotlight.twin.environments import EnvironmentRefused
from pilotlight.twin.images import Built, ImageRefused
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import UNKNOWN, has_unknown
from pilotlight.twin.world import Resource

__all__ = ["ROWS", "context_hash"]

IMAGE = "docker-build:index:Image"
# Reference grammar of the distribution project: a lower-case path of components, a tag of at most 128 characters.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = re.compile(rf"(?:(?P<host>[a-zA-Z0-9.-]+(?::\d+)?)/)?(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?")
_OUTPUTS = frozenset({"ref", "digest", "contextHash"})
# Ways of putting a build elsewhere than in a registry, and inputs of RUN, which the twin does not run.
_REFUSED = {"load": "it has no Docker to load an image into", "ssh": "it runs no RUN instruction", "secrets": "it runs no RUN instruction"}


def _resolve(folder: Path, inputs: Properties) -> Properties:
    """Context and Dockerfile as absolute paths. They are written relative to the program's folder."""
    resolved = dict(inputs)
    context = inputs.get("context")
    location = context.get("location") if isinstance(context, Mapping) else "."
    if isinstance(location, str) and location != UNKNOWN and "://" not in location:
        resolved["context"] = {**(context if isinstance(context, Mapping) else {}), "location": str((folder / location).resolve())}
    dockerfile = inputs.get("dockerfile")
    written = dockerfile.get("location") if isinstance(dockerfile, Mapping) else None
    if isinstance(written, str) and written != UNKNOWN:
        resolved["dockerfile"] = {**(dockerfile or {}), "location": str((folder / written).resolve())}
    return resolved


def _place(inputs: Properties) -> tuple[Path, Path]:
    context = Path(inputs["context"]["location"])
    written = (inputs.get("dockerfile") or {}).get("location")
    return context, Path(written) if written else context / "Dockerfile"


def _pushes(inputs: Properties) -> bool:
    exports = inputs.get("exports") or []
    return bool(inputs.get("push")) or any("registry" in export and (export["registry"] or {}).get("push", True) for export in exports)


def _limits(inputs: Properties) -> list[str]:
    """What the real provider refuses in its Check, and what the twin cannot do."""
    problems = [f"{name}: the local twin refuses it: {why}." for name, why in _REFUSED.items() if inputs.get(name)]
    for index, export in enumerate(inputs.get("exports") or []):
        problems += [f"exports[{index}].{kind}: the local twin pushes to registries only." for kind in export if kind != "registry"]
    problems += [text for index, tag in enumerate(inputs.get("tags") or []) if (text := _tag_problem(index, str(tag)))]
    if _pushes(inputs) and not inputs.get("tags"):
        problems.append("tags: is missing: at least one tag is needed to push.")
    return [*problems, *_place_problems(inputs)]


def _tag_problem(index: int, tag: str) -> str | None:
    if _TAG.fullmatch(tag):
        return None
    hint = "the repository's name must be lower case" if tag != tag.lower() else "use registry/repository:tag"
    return f"tags[{index}]: {tag!r} is not a valid reference: {hint}."


def _place_problems(inputs: Properties) -> list[str]:
    if (inputs.get("context") or {}).get("named"):
        return ["context.named: the local twin builds from one context: move what is needed into it."]
    if (inputs.get("dockerfile") or {}).get("inline"):
        return ["dockerfile.inline: the local twin reads a Dockerfile from a file: set dockerfile.location."]
    if "location" not in (inputs.get("context") or {}):
        return []
    context, dockerfile = _place(inputs)
    if not context.is_dir():
        return [f'context.location: "{context}": not a valid directory: use a folder of this machine.']
    if not dockerfile.is_file():
        return [f'dockerfile.location: "{dockerfile}": there is no such file.']
    try:
        resolve_stage(dockerfile, inputs.get("target"), inputs.get("buildArgs") or {})
    except DockerfileError as error:
        return [f"dockerfile: {error}"]
    return []


def _targets(twin: Twin, inputs: Properties) -> list[tuple[Resource, str]]:
    """(repository, tag) of each tag. Refusal when a push there would be refused."""
    found = []
    for written in inputs.get("tags") or [] if _pushes(inputs) else []:
        parts = _TAG.fullmatch(written)
        assert parts is not None
        host, name, tag = parts["host"] or "", parts["name"], parts["tag"] or "latest"
        repository = ecr.repository(twin, host, name)
        credentials = next((entry for entry in inputs.get("registries") or [] if _host(entry.get("address", "")) == host), None)
        if credentials is None:
            raise Refusal("denied", f"No credentials for {host}: add it to `registries`, with a token of getAuthorizationToken.", 401)
        ecr.authorize(twin, str(credentials.get("username")), str(credentials.get("password")))
        found.append((repository, tag))
    return found


def _check(twin: Twin, inputs: Properties) -> None:
    _targets(twin, inputs)


def _host(address: str) -> str:
    return address.split("://", 1)[-1].split("/", 1)[0]


def _build(twin: Twin, inputs: Properties) -> Built:
    context, dockerfile = _place(inputs)
    try:
        return twin.images.build(
            context,
            dockerfile,
            inputs.get("target"),
            inputs.get("platforms") or (),
            inputs.get("buildArgs") or {},
            inputs.get("labels") or {},
        )
    except (DockerfileError, ImageRefused, EnvironmentRefused) as error:
        raise Refusal("BuildFailed", str(error)) from None


def _publish(twin: Twin, resource: Resource) -> dict[str, Any]:
    """Build and push; the outputs that depend on the build."""
    targets = _targets(twin, resource.inputs)
    built = _build(twin, resource.inputs)
    for repository, tag in targets:
        ecr.push(twin, repository, tag, built.digest)
    tags = resource.inputs.get("tags") or []
    ref = f"{tags[0]}@{built.digest}" if tags else built.digest
    return {"digest": built.digest, "contextHash": built.context_hash, "ref": ref}


def _id(properties: Properties) -> str:
    """The first tag: one image has one, and an image that was left on in the cloud is found again by it."""
    tags = properties.get("tags") or []
    if tags:
        return str(tags[0])
    return "image-" + hashlib.sha256(repr(sorted(properties["context"].items())).encode()).hexdigest()[:12]


def _delete(twin: Twin, resource: Resource) -> None:
    for written in resource.get("tags", []) if _pushes(resource.outputs) else []:
        parts = _TAG.fullmatch(written)
        if parts is not None and resource.get("digest"):
            ecr.remove(twin, parts["name"], resource["digest"])


def _read(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    """Gone when the registry no longer has what was pushed."""
    names = [parts["name"] for tag in resource.get("tags", []) if (parts := _TAG.fullmatch(tag))]
    if _pushes(resource.outputs) and not all(ecr.holds(twin, name, resource["digest"]) for name in names):
        return None
    return dict(resource.outputs)


def _comparable(inputs: Properties) -> Properties:
    """Without passwords: a registry's token is another on every run."""
    registries = inputs.get("registries")
    if not isinstance(registries, list):
        return inputs
    plain = [{k: v for k, v in entry.items() if k != "password"} if isinstance(entry, Mapping) else entry for entry in registries]
    return {**inputs, "registries": plain}


def _drifted(old: Properties, new: Properties) -> set[str]:
    """The files may have changed although the inputs did not."""
    if has_unknown(new.get("context")) or _place_problems(new):
        return set()
    context, dockerfile = _place(new)
    return set() if context_hash(context, dockerfile) == old.get("contextHash") else {"contextHash"}


ROWS: tuple[Row, ...] = (
    Row(
        token=IMAGE,
        id=_id,
        limits=_limits,
        check=_check,
        create=_publish,
        update=lambda twin, old, new: _publish(twin, new),
        delete=_delete,
        read=_read,
        upsert=True,
        volatile=_OUTPUTS,
        resolve=_resolve,
        comparable=_comparable,
        drifted=_drifted,
    ),
)
