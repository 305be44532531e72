"""ECR: the resource types, and the function that gives a token for a push."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from pilotlight.twin.aws import ecr
from pilotlight.twin.registry_tokens import password as sealed
from pilotlight.twin.rows import Invoke, Name, Properties, Refusal, Row
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

LIFECYCLE = "aws:ecr/lifecyclePolicy:LifecyclePolicy"
AUTHORIZATION = "aws:ecr/getAuthorizationToken:getAuthorizationToken"


def _token(twin: Twin, args: Properties) -> dict[str, Any]:
    region = str(args["region"])
    expiry = int(twin.clock.now()) + ecr.TOKEN_S
    password = sealed(twin, expiry)
    return {
        "authorizationToken": base64.b64encode(f"AWS:{password}".encode()).decode(),
        "expiresAt": datetime.fromtimestamp(expiry, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "id": region,
        "region": region,
        "password": password,
        "proxyEndpoint": f"https://{ecr.registry(twin, region)}",
        "userName": "AWS",
    }


def _repository(twin: Twin, inputs: Properties) -> dict[str, Any]:
    region, name = inputs["region"], inputs["name"]
    return {
        "arn": f"arn:aws:ecr:{region}:{twin.account}:repository/{name}",
        "registryId": twin.account,
        "repositoryUrl": f"{ecr.registry(twin, region)}/{name}",
    }


def _delete_repository(twin: Twin, resource: Resource) -> None:
    host = str(resource["repositoryUrl"]).split("/", 1)[0]
    images = twin.world.find(ecr.IMAGE, repository=resource["name"], host=host)
    if images and not resource.get("forceDelete"):
        raise Refusal(
            "RepositoryNotEmptyException",
            f"The repository with name {resource['name']!r} in registry with id {twin.account!r} cannot be deleted because "
            f"it still contains images ({len(images)}): delete them, or set forceDelete.",
        )
    for one in images:
        twin.world.delete(ecr.IMAGE, one.id)


def _policy_text(inputs: Properties) -> list[str]:
    try:
        rules = json.loads(inputs["policy"])["rules"] if "policy" in inputs else [{}]
    except (ValueError, KeyError, TypeError):
        rules = None
    if not isinstance(rules, list) or not rules:
        return ['policy: is not a lifecycle policy: use JSON of the form {"rules": [{"rulePriority": 1, …}]}.']
    return []


def _check_repository(twin: Twin, inputs: Properties) -> None:
    if twin.world.one(ecr.REPOSITORY, name=inputs["repository"]) is None:
        raise Refusal("RepositoryNotFoundException", f"The repository with name {inputs['repository']!r} does not exist.", 404)


ROWS: tuple[Row, ...] = (
    Row(
        token=ecr.REPOSITORY,
        id=lambda p: str(p["name"]),
        # ECR API reference, CreateRepository: 2 to 256 characters, lower case.
        name=Name(field="name", max_length=256, lower=True),
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
