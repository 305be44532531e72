"""Check of an image that is named by its digest."""

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from pilotlight.doctor.findings import Finding, fail, ok
from pilotlight.doctor.subject import READ_S, Subject

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com(?:\.cn)?/(?P<name>[^@:]+)(?::[^@]+)?@(?P<digest>sha256:.+)"
)
_MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
_INDEXES = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
# One manifest, in a form that Lambda takes; the tag is only where it lies, the stack names the digest.
_BUILD = (
    "docker buildx build --file containers/Dockerfile --target cpu --platform linux/amd64 --provenance=false "
    "--output type=registry,oci-mediatypes=false --tag {}:served . # then name its digest in `image.uri`, or set `image.build`"
)


def image(subject: Subject) -> Iterator[Finding]:
    """An image that `image.uri` names: pushed, one manifest, for the service's processor. Its place is judged with the settings."""
    uri = subject.settings.image.uri if subject.settings else None
    if not uri:
        return
    place = _ECR.fullmatch(uri)
    if place is None:
        return  # Told with the settings.
    client = subject.clients.of("ecr", subject.region)
    name = {"registryId": place["account"], "repositoryName": place["name"]}
    try:
        asked = client.batch_get_image(**name, imageIds=[{"imageDigest": place["digest"]}], acceptedMediaTypes=[*_MANIFESTS, *_INDEXES])
    except client.exceptions.RepositoryNotFoundException:
        asked = {"images": []}
    mend = _BUILD.format(uri[: place.end("name")])
    if not asked["images"]:
        yield fail("image", f"{uri} is not there", allowed="a pushed image", mend=mend)
        return
    manifest = json.loads(asked["images"][0]["imageManifest"])
    if manifest.get("mediaType") in _INDEXES or "manifests" in manifest:
        yield fail("image", f"{uri} is an index of several manifests", allowed="one manifest", mend=mend)
        return
    processor = _processor(client, name, manifest)
    if processor != "amd64":
        yield fail("image", f"{uri} is for {processor}", allowed="amd64", mend=mend)
        return
    yield ok("image", f"{place['name']} for {processor}")


def _processor(client: Any, name: Mapping[str, str], manifest: Mapping[str, Any]) -> str:
    """The architecture in the image's config, which lies in the registry as a layer does."""
    url = client.get_download_url_for_layer(**name, layerDigest=manifest["config"]["digest"])["downloadUrl"]
    # The twin hands such a small thing over in the address itself.
    if not url.startswith(("https://", "data:")):
        raise ValueError(f"the registry names {url!r} for the image's config")
    with urllib.request.urlopen(url, timeout=READ_S) as answer:  # noqa: S310 (checked above)
        return str(json.loads(answer.read())["architecture"])
