"""ECR: repositories, what was pushed to them, and the tokens that allow a push."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import hmac
import json
import os
import re
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.rows import Invoke, Properties, Refusal, Row
from pilotlight.twin.rows import Name as RowName
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource, World

REPOSITORY = "aws:ecr/repository:Repository"
LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
AUTHORIZATION = "aws:ecr/getAuthorizationToken:getAuthorizationToken"
# A pushed image is no resource of a program; the twin keeps it in the world under a type of its own.
IMAGE = "twin:ecr/image:Image"
# ECR user guide, "Private registry authentication": a token is valid for 12 hours.
TOKEN_S = 12 * 3600
_URI = re.compile(r"(?P<host>[^/]+)/(?P<name>[^@:]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?")


def registry(twin: Twin, region: str) -> str:
    """The host name of the account's registry in a region."""
    return f"{twin.account}.dkr.ecr.{region}.amazonaws.com"


def image(world: World, uri: str) -> Resource | None:
    """The pushed image of `host/name:tag` or `host/name@digest` (outputs `digest`, `tags`, `repository`), or None."""
    parts = _URI.fullmatch(uri)
    if parts is None:
        return None
    found = [one for one in world.find(IMAGE, repository=parts["name"]) if one["host"] == parts["host"]]
    if parts["digest"]:
        return next((one for one in found if one["digest"] == parts["digest"]), None)
    return next((one for one in found if (parts["tag"] or "latest") in one["tags"]), None)


def repository(twin: Twin, host: str, name: str) -> Resource:
    """The repository that `host/name` names. Raises Refusal as a registry answers a push."""
    found = next((one for one in twin.world.find(REPOSITORY, name=name) if one["repositoryUrl"] == f"{host}/{name}"), None)
    if found is None:
        raise Refusal(
            "RepositoryNotFoundException",
            f"name unknown: the repository {name!r} does not exist in the registry {host or '(none)'}: the twin holds the registries "
            f"{twin.account}.dkr.ecr.<region>.amazonaws.com; make the repository first (`depends_on`).",
            404,
        )
    return found


def authorize(twin: Twin, user: str, password: str) -> None:
    """Raises Refusal for a token that this twin did not issue, or that has expired."""
    expiry, _, _ = password.partition(".")
    if user != "AWS" or not expiry.isdigit() or not hmac.compare_digest(password, _password(twin, int(expiry))):
        raise Refusal("denied", "Your authorization token is not valid: get one with getAuthorizationToken.", 401)
    if int(expiry) < twin.clock.now():
        raise Refusal("denied", "Your authorization token has expired. Reauthenticate and try again.", 401)


def push(twin: Twin, target: Resource, tag: str, digest: str) -> None:
    """Record an image under a tag. Raises Refusal where the repository's tags cannot move."""
    name, host = target["name"], str(target["repositoryUrl"]).split("/", 1)[0]
    held = twin.world.find(IMAGE, repository=name, host=host)
    bearer = next((one for one in held if tag in one["tags"]), None)
    if bearer is not None and bearer["digest"] != digest:
        if not _movable(target, tag):
            raise Refusal(
                "ImageTagAlreadyExistsException",
                f"The image tag {tag!r} already exists in the {name!r} repository and cannot be overwritten because the tag is immutable.",
            )
        _record(twin, name, host, bearer["digest"], [one for one in bearer["tags"] if one != tag])
    same = next((one for one in held if one["digest"] == digest), None)
    _record(twin, name, host, digest, sorted({*(same["tags"] if same else []), tag}))


def remove(twin: Twin, name: str, digest: str) -> None:
    """Delete an image; one that is not there is no error."""
    for one in twin.world.find(IMAGE, repository=name, digest=digest):
        twin.world.delete(IMAGE, one.id)


def holds(twin: Twin, name: str, digest: str) -> bool:
    return twin.world.one(IMAGE, repository=name, digest=digest) is not None


def _record(twin: Twin, name: str, host: str, digest: str, tags: list[str]) -> None:
    outputs = {"repository": name, "host": host, "digest": digest, "tags": tags}
    twin.world.put(Resource(token=IMAGE, id=f"{host}/{name}@{digest}", urn="", outputs=outputs))


def _movable(target: Resource, tag: str) -> bool:
    mode = target.get("imageTagMutability", "MUTABLE")
    filters = [str(one["filter"]) for one in target.get("imageTagMutabilityExclusionFilters", [])]
    excluded = mode.endswith("_WITH_EXCLUSION") and any(fnmatch.fnmatchcase(tag, pattern) for pattern in filters)
    return bool(mode.startswith("MUTABLE") != excluded)


def _password(twin: Twin, expiry: int) -> str:
    """A token that only this twin can make, and that needs no record: the expiry and its seal."""
    return f"{expiry}.{hmac.new(_key(twin), str(expiry).encode(), hashlib.sha256).hexdigest()}"


def _key(twin: Twin) -> bytes:
    path = twin.home / "registry.key"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    draft.touch(mode=0o600)
    draft.write_bytes(os.urandom(32))
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        draft.unlink()
    return path.read_bytes()


def _token(twin: Twin, args: Properties) -> dict[str, Any]:
    region = str(args["region"])
    expiry = int(twin.clock.now()) + TOKEN_S
    password = _password(twin, expiry)
    return {
        "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
        "expiresAt": datetime.fromtimestamp(expiry, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "id": region,
        "region": region,
        "password": password,
        "proxyEndpoint": f"https://{registry(twin, region)}",
        "userName": "AWS",
    }


def _repository(twin: Twin, inputs: Properties) -> dict[str, Any]:
    region, name = inputs["region"], inputs["name"]
    return {
        "arn": f"arn:aws:ecr:{region}:{twin.account}:repository/{name}",
        "registryId": twin.account,
        "repositoryUrl": f"{registry(twin, region)}/{name}",
    }


def _delete_repository(twin: Twin, resource: Resource) -> None:
    host = str(resource["repositoryUrl"]).split("/", 1)[0]
    images = twin.world.find(IMAGE, repository=resource["name"], host=host)
    if images and not resource.get("forceDelete"):
        raise Refusal(
            "RepositoryNotEmptyException",
            f"The repository with name {resource['name']!r} in registry with id {twin.account!r} cannot be deleted because "
            f"it still contains images ({len(images)}): delete them, or set forceDelete.",
        )
    for one in images:
        twin.world.delete(IMAGE, one.id)


def _policy_text(inputs: Properties) -> list[str]:
    try:
        rules = json.loads(inputs["policy"])["rules"] if "policy" in inputs else [{}]
    except (ValueError, KeyError, TypeError):
        rules = None
    if not isinstance(rules, list) or not rules:
        return ['policy: is not a lifecycle policy: use JSON of the form {"rules": [{"rulePriority": 1, …}]}.']
    return []


def _check_repository(twin: Twin, inputs: Properties) -> None:
    if twin.world.one(REPOSITORY, name=inputs["repository"]) is None:
        raise Refusal("RepositoryNotFoundException", f"The repository with name {inputs['repository']!r} does not exist.", 404)


ROWS: tuple[Row, ...] = (
    Row(
        token=REPOSITORY,
        id=lambda p: str(p["name"]),
        # ECR API reference, CreateRepository: 2 to 256 characters, lower case.
        name=RowName(field="name", max_length=256, lower=True),
        replaces=frozenset({"name", "region", "encryptionConfigurations"}),
        computed=_repository,
        cfn="AWS::ECR::Repository",
        rename={
            "name": "RepositoryName",
            "encryptionConfigurations": "EncryptionConfiguration",
            "encryptionConfigurations.kmsKey": "EncryptionConfiguration.KmsKey",
            "imageTagMutabilityExclusionFilters.filter": "ImageTagMutabilityExclusionFilters.ImageTagMutabilityExclusionFilterValue",
            "imageTagMutabilityExclusionFilters.filterType": "ImageTagMutabilityExclusionFilters.ImageTagMutabilityExclusionFilterType",
        },
        delete=_delete_repository,
    ),
    Row(
        token=LIFECYCLE,
        id=lambda p: str(p["repository"]),
        replaces=frozenset({"repository", "region"}),
        computed=lambda twin, inputs: {"registryId": twin.account},
        limits=_policy_text,
        check=_check_repository,
        upsert=True,
    ),
)
INVOKES: tuple[Invoke, ...] = (Invoke(token=AUTHORIZATION, answer=_token),)
