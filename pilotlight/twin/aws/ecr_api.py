"""The ECR API: repositories and their images, and as much of a manifest as tells what an image is."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pilotlight.twin.aws import ecr
from pilotlight.twin.aws.json_service import JsonService
from pilotlight.twin.rows import AwsRequest, Refusal
from pilotlight.twin.twin import Twin
from pilotlight.twin.world import Resource

# What the twin builds and runs (docker_checks.py refuses others).
PROCESSOR = "amd64"


def service(twin: Twin) -> JsonService:
    """The `ecr` service over the repositories and images of the world."""
    api = _Ecr(twin)
    return JsonService(
        "ecr",
        {
            "DescribeRepositories": ("ecr:DescribeRepositories", api.repositories),
            "ListImages": ("ecr:ListImages", api.images),
            "BatchGetImage": ("ecr:BatchGetImage", api.manifests),
            "GetDownloadUrlForLayer": ("ecr:GetDownloadUrlForLayer", api.layer),
        },
    )


class _Ecr:
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def repositories(self, request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
        names = parameters.get("repositoryNames")
        found = [self._repository(request, name) for name in names] if names else self._of_region(request)
        return {"repositories": [_described(one, self._twin.account) for one in found]}

    def images(self, request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
        found = self._pushed(request, parameters)
        return {
            "imageIds": [
                {"imageDigest": one["digest"], **({"imageTag": tag} if tag else {})} for one in found for tag in one["tags"] or [""]
            ]
        }

    def manifests(self, request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
        held = {one["digest"]: one for one in self._pushed(request, parameters)}
        asked = [str(one.get("imageDigest")) for one in parameters.get("imageIds") or []]
        images = [{"imageId": {"imageDigest": digest}, "imageManifest": _manifest(held[digest])} for digest in asked if digest in held]
        failures = [{"imageId": {"imageDigest": digest}, "failureCode": "ImageNotFound"} for digest in asked if digest not in held]
        return {"images": images, "failures": failures}

    def layer(self, request: AwsRequest, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The config of an image, in the address itself: the twin has no registry that would serve it."""
        digest = str(parameters.get("layerDigest"))
        if digest not in [one["digest"] for one in self._pushed(request, parameters)]:
            raise Refusal("LayersNotFoundException", f"The twin keeps no layer {digest}: it tells of the configs of images only.")
        config = base64.b64encode(json.dumps({"architecture": PROCESSOR, "os": "linux"}).encode()).decode()
        return {"downloadUrl": f"data:application/json;base64,{config}", "layerDigest": digest}

    def _of_region(self, request: AwsRequest) -> list[Resource]:
        host = ecr.registry(self._twin, request.region)
        return [one for one in self._twin.world.find(ecr.REPOSITORY) if str(one["repositoryUrl"]).startswith(f"{host}/")]

    def _repository(self, request: AwsRequest, name: str) -> Resource:
        found = next((one for one in self._of_region(request) if one["name"] == name), None)
        if found is None:
            message = f"The repository with name '{name}' does not exist in the registry with id '{self._twin.account}'"
            raise Refusal("RepositoryNotFoundException", message)
        return found

    def _pushed(self, request: AwsRequest, parameters: Mapping[str, Any]) -> list[Resource]:
        repository = self._repository(request, str(parameters.get("repositoryName")))
        host = str(repository["repositoryUrl"]).split("/", 1)[0]
        return [one for one in self._twin.world.find(ecr.IMAGE, repository=repository["name"], host=host)]


def _described(repository: Resource, account: str) -> dict[str, Any]:
    return {
        "repositoryArn": repository["arn"],
        "registryId": account,
        "repositoryName": repository["name"],
        "repositoryUri": repository["repositoryUrl"],
    }


def _manifest(image: Resource) -> str:
    """An index names manifests, a manifest its config; the twin's images have their own digest for it."""
    media = ecr.media_type_of(image)
    part = {"mediaType": media, "digest": image["digest"]}
    if media in (ecr.DOCKER_LIST, ecr.OCI_INDEX):
        return json.dumps({"schemaVersion": 2, "mediaType": media, "manifests": [part]})
    return json.dumps({"schemaVersion": 2, "mediaType": media, "config": part, "layers": []})
