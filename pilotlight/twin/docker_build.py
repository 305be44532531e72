"""The row of `docker-build:index:Image`: built without Docker, pushed to a repository of the twin's own registry."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from pilotlight.twin import registries
from pilotlight.twin.docker_checks import TAG, limits, media_type, place, place_problems, pushes, resolve
from pilotlight.twin.docker_context import context_hash
from pilotlight.twin.dockerfile import DockerfileError
from pilotlight.twin.environments import EnvironmentRefused
from pilotlight.twin.images import Built, ImageRefused
from pilotlight.twin.rows import Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.values import has_unknown
from pilotlight.twin.world import Resource

__all__ = ["ROWS", "context_hash"]

IMAGE = "docker-build:index:Image"
_OUTPUTS = frozenset({"ref", "digest", "contextHash"})


def _targets(twin: Twin, inputs: Properties) -> list[tuple[Resource, re.Match[str]]]:
    """(repository, parts of the tag) of each tag. Refusal when a push there would be refused."""
    found = []
    for written in inputs.get("tags") or [] if pushes(inputs) else []:
        parts = TAG.fullmatch(written)
        assert parts is not None
        host = parts["host"] or ""
        registry = registries.of(host)
        repository = registry.repository(twin, host, parts["name"])
        credentials = _login(inputs, host, parts["name"])
        if credentials is None:
            raise Refusal("denied", f"No credentials for {host}: add it to `registries`, with a token of the registry's cloud.", 401)
        registry.authorize(twin, repository, str(credentials.get("username")), str(credentials.get("password")))
        found.append((repository, parts))
    return found


def _check(twin: Twin, inputs: Properties) -> None:
    _targets(twin, inputs)


def _login(inputs: Properties, host: str, name: str) -> Mapping[str, Any] | None:
    """The credentials for an image's host. Of several, those whose address names the image's registry: Azure's share a host here."""
    found = [entry for entry in inputs.get("registries") or [] if _bare(entry).split("/", 1)[0] == host]
    return next((entry for entry in found if f"{host}/{name}".startswith(f"{_bare(entry)}/")), found[0] if found else None)


def _bare(entry: Mapping[str, Any]) -> str:
    return str(entry.get("address", "")).split("://", 1)[-1].rstrip("/")


def _build(twin: Twin, inputs: Properties) -> Built:
    context, dockerfile = place(inputs)
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
    for repository, parts in targets:
        host, tag = parts["host"] or "", parts["tag"] or "latest"
        registries.of(host).push(twin, repository, host, parts["name"], tag, built.digest, media_type(resource.inputs))
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
    for written in resource.get("tags", []) if pushes(resource.outputs) else []:
        parts = TAG.fullmatch(written)
        if parts is not None and resource.get("digest"):
            host = parts["host"] or ""
            registries.of(host).remove(twin, host, parts["name"], resource["digest"])


def _read(twin: Twin, resource: Resource) -> dict[str, Any] | None:
    """Gone when the registry no longer has what was pushed."""
    places = [(parts["host"] or "", parts["name"]) for tag in resource.get("tags", []) if (parts := TAG.fullmatch(tag))]
    if pushes(resource.outputs) and not all(registries.of(host).holds(twin, host, name, resource["digest"]) for host, name in places):
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
    if has_unknown(new.get("context")) or place_problems(new):
        return set()
    context, dockerfile = place(new)
    return set() if context_hash(context, dockerfile) == old.get("contextHash") else {"contextHash"}


ROWS: tuple[Row, ...] = (
    Row(
        token=IMAGE,
        id=_id,
        limits=limits,
        check=_check,
        create=_publish,
        update=lambda twin, old, new: _publish(twin, new),
        delete=_delete,
        read=_read,
        upsert=True,
        volatile=_OUTPUTS,
        resolve=resolve,
        comparable=_comparable,
        drifted=_drifted,
    ),
)
