"""What docker-build's Image refuses before anything is built, and where its files are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pilotlight.twin.aws.ecr import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from pilotlight.twin.dockerfile import DockerfileError
from pilotlight.twin.dockerfile import resolve as resolve_stage
from pilotlight.twin.rows import Properties
from pilotlight.twin.values import UNKNOWN

# Reference grammar of the distribution project: a lower-case path of components, a tag of at most 128 characters.
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
TAG = re.compile(rf"(?:(?P<host>[a-zA-Z0-9.-]+(?::\d+)?)/)?(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?")
# Ways of putting a build elsewhere than in a registry, and inputs of RUN, which the twin does not run.
_REFUSED = {"load": "it has no Docker to load an image into", "ssh": "it runs no RUN instruction", "secrets": "it runs no RUN instruction"}


def resolve(folder: Path, inputs: Properties) -> Properties:
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


def place(inputs: Properties) -> tuple[Path, Path]:
    context = Path(inputs["context"]["location"])
    written = (inputs.get("dockerfile") or {}).get("location")
    return context, Path(written) if written else context / "Dockerfile"


def pushes(inputs: Properties) -> bool:
    exports = inputs.get("exports") or []
    return bool(inputs.get("push")) or any("registry" in export and (export["registry"] or {}).get("push", True) for export in exports)


def media_type(inputs: Properties) -> str:
    """Media type of what is pushed: an index for several platforms, else one manifest.

    BuildKit writes OCI's types unless `ociMediaTypes` is false (release notes of 0.31).
    """
    registry = [export["registry"] or {} for export in inputs.get("exports") or [] if "registry" in export]
    docker = any(export.get("ociMediaTypes") is False for export in registry)
    if len(inputs.get("platforms") or ()) > 1:
        return DOCKER_LIST if docker else OCI_INDEX
    return DOCKER_MANIFEST if docker else OCI_MANIFEST


def limits(inputs: Properties) -> list[str]:
    """What the real provider refuses in its Check, and what the twin cannot do."""
    problems = [f"{name}: the local twin refuses it: {why}." for name, why in _REFUSED.items() if inputs.get(name)]
    for index, export in enumerate(inputs.get("exports") or []):
        problems += [f"exports[{index}].{kind}: the local twin pushes to registries only." for kind in export if kind != "registry"]
    problems += [text for index, tag in enumerate(inputs.get("tags") or []) if (text := _tag_problem(index, str(tag)))]
    if pushes(inputs) and not inputs.get("tags"):
        problems.append("tags: is missing: at least one tag is needed to push.")
    return [*problems, *place_problems(inputs)]


def _tag_problem(index: int, tag: str) -> str | None:
    if TAG.fullmatch(tag):
        return None
    hint = "the repository's name must be lower case" if tag != tag.lower() else "use registry/repository:tag"
    return f"tags[{index}]: {tag!r} is not a valid reference: {hint}."


def place_problems(inputs: Properties) -> list[str]:
    if (inputs.get("context") or {}).get("named"):
        return ["context.named: the local twin builds from one context: move what is needed into it."]
    if (inputs.get("dockerfile") or {}).get("inline"):
        return ["dockerfile.inline: the local twin reads a Dockerfile from a file: set dockerfile.location."]
    if "location" not in (inputs.get("context") or {}):
        return []
    context, dockerfile = place(inputs)
    if not context.is_dir():
        return [f'context.location: "{context}": not a valid directory: use a folder of this machine.']
    if not dockerfile.is_file():
        return [f'dockerfile.location: "{dockerfile}": there is no such file.']
    try:
        resolve_stage(dockerfile, inputs.get("target"), inputs.get("buildArgs") or {})
    except DockerfileError as error:
        return [f"dockerfile: {error}"]
    return []
